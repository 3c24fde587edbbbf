"""What does a training lose whose rows are three times as large as its memory may be?

3,000,000 rows of 96 float32 features, 1,152 MB, and a label: 96-256-256-1 learns them for one epoch, Adam, batch 256.
"in memory" has all rows in arrays. The streams read a Parquet file with row groups of 10,000 rows, or maps of NumPy's
files; the benchmark fails if the peak of such a process's resident memory, libraries and all, is over 384 MB. "memory"
is that peak less what was there before the fit; accuracy is that of 50,000 other rows. The page cache has the files.
"""

from __future__ import annotations

import os
import tempfile
import time

import numpy as np
from bench import tables
from bench.harness import Options, Peer, Record, at_work, present, thread_counts
from bench.memory import peak

ROWS, WIDTH, BLOCK, HELD = 3_000_000, 96, 50_000, 50_000
GROUP = 10_000
LIMIT = ROWS * WIDTH * 4 // 3

PEERS = {"whet": Peer("whet"), "whet map": Peer("whet"), "whet in memory": Peer("whet")}


def block(number, rows=BLOCK):
    rng = np.random.default_rng(number)
    X = rng.standard_normal((rows, WIDTH), np.float32)
    return X, (X[:, 0] * X[:, 1] + X[:, 2] + 0.5 * X[:, 3] * X[:, 4] > 0).astype(np.float32)


def write(folder):
    """A Parquet file and maps of the same rows."""
    import pyarrow as pa
    import pyarrow.parquet

    shape = (ROWS, WIDTH)
    maps = [np.lib.format.open_memmap(f"{folder}/{name}.npy", "w+", np.float32, size)
            for name, size in (("X", shape), ("y", shape[:1]))]  # fmt: skip
    writer = None
    for first in range(0, ROWS, BLOCK):
        X, y = block(first)
        maps[0][first : first + BLOCK], maps[1][first : first + BLOCK] = X, y
        rows = pa.table({f"x{i}": X[:, i] for i in range(WIDTH)} | {"y": y})
        writer = writer or pa.parquet.ParquetWriter(f"{folder}/rows.parquet", rows.schema, use_dictionary=False)
        writer.write_table(rows, row_group_size=GROUP)
    if writer is not None:
        writer.close()


def examine(peer, folder, threads):
    """Seconds of an epoch, kilobytes, accuracy."""
    import whet
    from whet import nn
    from whet.data import Stream

    whet.set_num_threads(threads)
    held = block(ROWS, HELD)
    model = nn.MLP(WIDTH, (256, 256), 1).initialize(0)
    model.predict(held[0])
    before = peak()
    maps = [np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in ("X", "y")]
    if peer == "whet in memory":
        data = [np.array(each) for each in maps]
    else:
        data = [Stream(f"{folder}/rows.parquet", target="y") if peer == "whet" else Stream(maps)]
    start = time.perf_counter()
    model.fit(*data, loss="bce_with_logits", epochs=1, batch_size=256)
    seconds = time.perf_counter() - start
    most = peak()
    if peer != "whet in memory" and most * 1024 > LIMIT:
        raise MemoryError(f"{most} KB, of which there may be {LIMIT // 1024}")
    return seconds, most - before, float(((model.predict(held[0])[:, 0] > 0) == held[1]).mean())


def run(options: Options) -> Record:
    chosen, threads = present(PEERS, options.peers), thread_counts((1, 2))[-1]
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        write(folder)
        for _ in range(min(options.rounds, 3)):
            for name, peer in chosen.items():
                with at_work(__name__, {name: peer}, threads) as workers:
                    found[name].append(tuple(workers[name].ask(examine=folder)))
    case, title = f"{ROWS:,} rows of {WIDTH}", f"{threads} thread{'s' * (threads > 1)}"
    made = []
    for place, (what, unit, kind, scale) in enumerate(
        (("an epoch", "seconds", "time", 1), ("memory", "MB", "amount", 1 / 1024), ("accuracy", "%", "value", 100))
    ):
        rounds = {case: {name: [each[place] for each in all_of] for name, all_of in found.items()}}
        made.append(tables.make(f"{title}: {what}", rounds, unit=unit, kind=kind, scale=scale))
        print("\n" + tables.markdown(made[-1]))
    return {"tables": made}
