"""Does a training step jump in time, or in work for the processors, past a certain width?

10-w-w-10, batch 64, mean squared error: the sweep of pytorch/pytorch#144633, where PyTorch's step took 144 times the
processors' time from one width to the next (there with batch 128 and 16 processors). The third kind of table divides
each width's time by what a straight line between its two neighbours says: 1 without a jump.
"""

from __future__ import annotations

from itertools import pairwise

from bench import peers, tables
from bench.harness import Options, Record, sweep

WIDTHS = (32, 40, 46, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)
BATCH, BATCHES, EPOCHS = 64, 100, 4

PEERS = {name: peers.PEERS[name] for name in ("whet", "torch")}


def prepare(peer, case, threads):
    task = peers.random_task([10, case["width"], case["width"], 10], BATCH, BATCH * BATCHES, regression=True)
    training = peers.make(peer, task, threads)
    epochs = EPOCHS if training.whole else 1
    return lambda: training.train(epochs), BATCHES * epochs


def over_the_line(table: tables.Table, cases: dict[str, Record]) -> tables.Table:
    """Each inner width's time, of one round after another, over the line between its neighbours' medians."""
    medians = {
        (case, name): tables.quartiles(times)[1]
        for case, row in table["cases"].items()
        for name, times in row["peers"].items()
    }
    found = {}
    for (before, case), (_, after) in pairwise(pairwise(table["cases"])):
        a, w, b = (cases[title]["width"] for title in (before, case, after))
        row = table["cases"][case]["peers"]
        found[case] = {
            name: [
                seconds / (medians[before, name] + (w - a) / (b - a) * (medians[after, name] - medians[before, name]))
                for seconds in times
            ]
            for name, times in row.items()
        }
    title = f"over the neighbours' line, {table['title']}"
    return tables.make(title, found, unit="times the neighbours' line", kind="value")


def run(options: Options) -> Record:
    cases = {f"{width}": {"width": width} for width in WIDTHS}
    unit, also = "microseconds per step", ("processors",)
    record = sweep(__name__, PEERS, cases, options, unit=unit, kind="time", scale=1e6, also=also)
    lines = [over_the_line(table, cases) for table in record["tables"]]
    for table in lines:
        print("\n" + tables.markdown(table))
    record["tables"] += lines
    return record
