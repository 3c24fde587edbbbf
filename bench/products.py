"""The peers of matrix products and of what surrounds them, and the machine's limits: shared by several benchmarks."""

from __future__ import annotations

import numpy as np
from bench.harness import Peer

WHET = Peer("whet", limit="peak")
# OpenBLAS runs its AVX2 code on recent AMD processors unless it is told otherwise.
NUMPY = {
    "numpy": Peer("numpy", limit="peak"),
    "numpy avx512": Peer("numpy", {"OPENBLAS_CORETYPE": "SkylakeX"}, isa="avx512", limit="peak"),
}
TORCH = Peer("torch", limit="peak")
JAX = Peer("jax", {"JAX_PLATFORMS": "cpu"}, limit="peak", pinned=True)
PEAK = Peer("whet")


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def tensors(threads, *arrays):
    """The arrays as PyTorch sees them, without a copy."""
    import torch

    torch.set_num_threads(threads)
    return [torch.from_numpy(x) for x in arrays]


def product(peer, a, b, transpose_a, transpose_b, threads):
    """A function that computes a b, either transposed if asked, into memory that it keeps where the peer can."""
    out = np.empty((a.shape[transpose_a], b.shape[1 - transpose_b]), np.float32)
    if peer.startswith("whet"):
        from whet import ops

        return lambda: ops.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b, out=out)
    if peer == "jax":
        import jax

        call = jax.jit(lambda x, y: (x.T if transpose_a else x) @ (y.T if transpose_b else y))
        ja, jb = jax.numpy.asarray(a), jax.numpy.asarray(b)
        return lambda: call(ja, jb).block_until_ready()
    if peer == "torch":
        import torch

        a, b, out = tensors(threads, a, b, out)
    left, right = a.T if transpose_a else a, b.T if transpose_b else b
    if peer == "torch":
        return lambda: torch.mm(left, right, out=out)
    return lambda: np.matmul(left, right, out=out)


def peak(threads, flop):
    """A function of FMAs alone, and how many times `flop` operations it does."""
    from whet import _core

    rounds = 500_000
    return lambda: _core.fma_loop(threads, rounds), _core.fma_loop(threads, rounds) / flop
