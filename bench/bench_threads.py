"""Is a product on two threads ever slower than on one?

Both in one process, turn by turn: cubes by their side, then x W^T, dy W and dy^T x of batches of one row, of one column
and of ten classes. Beside the medians, the ratio of the fastest turns is told, which a neighbour does not spoil.
"""

from __future__ import annotations

from bench import tables
from bench.harness import Options, Record, calls_that_fill, spend, thread_counts
from bench.products import normal, product

CUBES = (*range(16, 128, 8), *range(128, 256, 16), *range(256, 513, 32))
# (m, k, n)
NARROW = (
    *((1, k, n) for k, n in ((784, 128), (512, 512), (1024, 1024), (2048, 2048))),
    *((m, k, 1) for m, k in ((128, 128), (1024, 128), (1024, 1024), (10_000, 100))),
    *((m, k, 10) for m, k in ((32, 32), (128, 128), (256, 512), (1024, 512), (10_000, 128))),
)


def cases():
    for n in CUBES:
        yield f"{n}", (normal(n, n), normal(n, n), False, False)
    for m, k, n in NARROW:
        x, weight, dy = normal(m, k), normal(n, k), normal(m, n)
        yield f"({m},{k})x({k},{n}) y", (x, weight, False, True)
        yield f"({m},{k})x({k},{n}) dx", (dy, weight, False, False)
        yield f"({m},{k})x({k},{n}) dW", (dy, x, True, False)


def run(options: Options) -> Record:
    import whet

    if 2 not in thread_counts((2,)):
        return {"tables": []}
    names = {1: "one thread", 2: "whet"}
    rounds = {}
    for title, operands in cases():
        if options.only not in title:
            continue
        call = product("whet", *operands, 2)
        calls = calls_that_fill(options.seconds, call)
        taken: dict[str, list[float]] = {name: [] for name in names.values()}
        for turn in range(options.rounds):
            for threads in (1, 2) if turn % 2 else (2, 1):
                whet.set_num_threads(threads)
                spend(call, max(1, calls // 10))  # wakes the second thread, or lets it go to sleep
                taken[names[threads]].append(spend(call, calls)[0] / calls)
        rounds[title] = taken
    table = tables.make("2 threads beside 1", rounds, unit="microseconds", kind="time", scale=1e6)
    print("\n" + tables.markdown(table))
    fastest = {title: min(taken["whet"]) / min(taken["one thread"]) for title, taken in rounds.items()}
    slowest = max(fastest, key=lambda title: fastest[title])
    print(f"\nfastest turns, two threads / one: at most {fastest[slowest]:.3f}, at {slowest}")
    return {"tables": [table], "fastest": fastest}
