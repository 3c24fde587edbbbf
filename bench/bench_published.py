"""Do published trainings reach here what was published, and what does a step of one cost, with all that belongs to it?

The trainings are those of bench/published: `python -m bench.published` repeats them in whet and in PyTorch, which takes
hours and can be ended and continued; here its record is printed. They are single models on tables of TabM's report and
of its sequel on optimizers, each with its published configuration.

A step is timed for the MLP on California housing of TabM's report (Gorishniy et al., arXiv 2410.24210): 8-208-208-1
with dropout, 45,553 parameters, AdamW, the gradient clipped to a norm of 1, batches of 256, and after each epoch an
evaluation of the validation and the test rows. Its log has 1.855 ms a step on an A100, evaluation and mixed precision
included. Random rows in the place of the real ones, as many: what they hold costs nothing.
"""

from __future__ import annotations

import numpy as np
from bench import peers, tables
from bench.harness import Options, Record, sweep
from bench.published import report, runs

WIDTHS, BATCH, DROPOUT = [8, 208, 208, 1], 256, 0.17186995074626696
ADAMW = dict(lr=0.0005635553682721966, weight_decay=0.028758690586743314)
ROWS, EVALUATED, EPOCHS = 13_209, 3_303 + 4_128, 4
CASES = {"8-208-208-1, 256": {}, "the same without evaluation": dict(evaluated=False)}

PEERS = {name: peers.PEERS[name] for name in ("whet", "torch", "torch fused")}


def prepare(peer, case, threads):
    task = peers.random_task(WIDTHS, BATCH, ROWS)
    held = peers.random_task(WIDTHS, BATCH, EVALUATED) if case.get("evaluated", True) else None
    steps = -(-ROWS // BATCH) * EPOCHS
    make = whet if peer == "whet" else torch
    return make(task, held, threads, "fused" in peer), steps


def whet(task, held, threads, fused):
    from whet import nn, optim

    first, *hidden, last = task.widths
    model = nn.MLP(first, tuple(hidden), last, dropout=DROPOUT)
    settings = dict(loss=task.loss, optimizer=optim.AdamW(**ADAMW, clip_norm=1.0), batch_size=task.batch, epochs=EPOCHS)
    more = {} if held is None else dict(validation_data=(held.x, held.y))
    return lambda: model.fit(task.x, task.y, **settings, **more)


def torch(task, held, threads, fused):
    import torch

    torch.set_num_threads(threads)
    first, middle, _, last = task.widths
    layers = []
    for before in (first, middle):
        layers += [torch.nn.Linear(before, middle), torch.nn.ReLU(), torch.nn.Dropout(DROPOUT)]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(middle, last))
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW, fused=fused)
    criterion = torch.nn.MSELoss()
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    if held is not None:
        held_x, held_y = torch.from_numpy(held.x), torch.from_numpy(held.y)

    def epoch():
        model.train()
        for rows in torch.randperm(len(x)).split(task.batch):
            optimizer.zero_grad(set_to_none=True)
            criterion(model(x.index_select(0, rows)), y.index_select(0, rows)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        if held is not None:
            model.eval()
            with torch.no_grad():
                assert np.isfinite(criterion(model(held_x), held_y).item())

    return lambda: [epoch() for _ in range(EPOCHS)]


def repeated() -> list[tables.Table]:
    """Prints what the record of the trainings says; their figures of test rows, a table for each data set."""
    record = report.lines()
    try:
        chosen = [run for run in runs.published() if report.pairs(record, run)["whet"]]
    except FileNotFoundError:
        print("the published figures are left out: WHET_DATA names no folder with published_runs.csv.gz")
        return []
    print("\n" + report.table(chosen, record) + "\n\n" + "\n".join(report.order(chosen, record)))
    found: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}
    for each in chosen:
        both = report.pairs(record, each)
        tests = {library: [line["test"] for line in lines] for library, lines in both.items()}
        found.setdefault((each.dataset, each.metric), {})[f"{each.model} {each.optimizer}"] = tests
    return [tables.make(dataset, rows, unit=metric, kind="value") for (dataset, metric), rows in found.items()]


def run(options: Options) -> Record:
    record = sweep(__name__, PEERS, CASES, options, unit="microseconds per step", kind="time", scale=1e6)
    record["tables"] += repeated()
    return record
