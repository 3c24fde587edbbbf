"""How long does a row take as C, beside predict called from Python, and how large is the file?

The C is called for rows one after the other, from a loop of its own; "C, no FMA" is built for processors without it.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from bench import peers, tables
from bench.harness import LeftOutError, Options, Peer, Record, sweep

from whet import export, nn

CASES = {
    "10-32-32-1": dict(widths=[10, 32, 32, 1]),
    "14-128-128-2": dict(widths=[14, 128, 128, 2]),
    "784-128-10": dict(widths=[784, 128, 10]),
    "784-512-512-10": dict(widths=[784, 512, 512, 10]),
}
ROWS = 100
PEERS = {"whet": Peer("whet"), "C": Peer("whet"), "C, no FMA": Peer("whet")}
FLAGS = {"C": ["-march=native"], "C, no FMA": []}


def built(model: nn.Module, folder: Path, flags: list[str]) -> tuple[ctypes.CDLL, float]:
    """The library of a model, and the seconds that the compiler took."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise LeftOutError("no C compiler is installed")
    source, library, start = folder / "model.c", folder / "model.so", time.perf_counter()
    export.to_c(model, source)
    subprocess.run([compiler, "-std=c99", "-O3", *flags, "-shared", "-fPIC", source, "-lm", "-o", library], check=True)
    return ctypes.CDLL(str(library)), time.perf_counter() - start


def make(widths: list[int]) -> nn.Module:
    return nn.MLP(widths[0], widths[1:-1], widths[-1]).initialize(0)


def prepare(peer, case, threads):
    model, x = make(case["widths"]), peers.random_task(case["widths"], ROWS, ROWS).x
    if peer == "whet":
        return lambda: [model.predict(x[i : i + 1]) for i in range(ROWS)], ROWS
    with tempfile.TemporaryDirectory() as folder:
        library, _ = built(model, Path(folder), FLAGS[peer])
    out = np.empty((ROWS, case["widths"][-1]), np.float32)
    arguments = (x.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(ROWS))
    return lambda: library.model_predict_rows(*arguments), ROWS


def run(options: Options) -> Record:
    record = sweep(__name__, PEERS, CASES, options, unit="microseconds per row", kind="time", scale=1e6, threads=(1,))
    files: dict[str, dict[str, list[float]]] = {}
    for title, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds = built(make(case["widths"]), Path(folder), FLAGS["C"])[1]
            source, library = ((Path(folder) / name).stat().st_size / 1024 for name in ("model.c", "model.so"))
        files[title] = {"source, KB": [source], "library, KB": [library], "compiling, s": [seconds]}
    table = tables.make("the file", files, unit="as the columns say", kind="value")
    print("\n" + tables.markdown(table))
    return {**record, "tables": [*record["tables"], table]}
