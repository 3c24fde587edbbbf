"""Members of an ensemble side by side: rows of shape (k, features), with the names of the package tabm (Gorishniy,
Kotelnikov and Babenko, "TabM: advancing tabular deep learning with parameter-efficient ensembling", ICLR 2025).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from whet._checks import as_count, as_flag
from whet.nn import functional
from whet.nn.embeddings import NLinear
from whet.nn.init import Constant, Doubles, Initializer, Normal, RandomSigns, Uniform
from whet.nn.module import Module
from whet.nn.parameter import Parameter
from whet.nn.tracing import Value

__all__ = ["EnsembleView", "LinearBatchEnsemble", "LinearEnsemble", "MeanEnsemble", "ScaleEnsemble"]

_SCALINGS = {"ones": Constant(1.0), "normal": Normal(0.0, 1.0), "random-signs": RandomSigns()}


def _scaling(name: str, where: str) -> Initializer:
    if name not in _SCALINGS:
        raise ValueError(f"[{where}] expected scaling_init to be one of {', '.join(_SCALINGS)}, got {name!r}")
    return _SCALINGS[name]


class _Chunks(Initializer):
    """One number for each chunk of a row, for every row anew."""

    drawn: Initializer
    sizes: tuple[int, ...]

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.repeat(self.drawn.draw((shape[0], len(self.sizes)), seed, index), self.sizes, axis=1)


class _SameRows(Initializer):
    """A row for all."""

    drawn: Initializer

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.repeat(self.drawn.draw((1, *shape[1:]), seed, index), shape[0], axis=0)


class EnsembleView(Module):
    """The same row for each of k members: rows (features,) become (k, features).

    Args:
        k: How many members.
    """

    def __init__(self, *, k: int) -> None:
        self.k = as_count(k, "EnsembleView", "k")

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return functional.stack([x] * self.k)

    def _arguments(self) -> dict[str, Any]:
        return {"k": self.k}


class LinearEnsemble(NLinear):
    """k linear layers, one for each member: rows (k, in_features) become (k, out_features).

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias: Whether there is a bias (k, out_features) besides the weight (k, in_features, out_features).
        k: How many members.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, k: int) -> None:
        self.k = as_count(k, "LinearEnsemble", "k")
        super().__init__(self.k, in_features, out_features, bias)

    def _arguments(self) -> dict[str, Any]:
        sizes = {name: getattr(self, name) for name in ("in_features", "out_features", "k")}
        return {**sizes, "bias": self.bias is not None}


class LinearBatchEnsemble(Module):
    """s * (W (r * x)) + b: one W for all members, r, s and b of each member's own (Wen, Tran and Ba, ICLR 2020).

    Rows (k, in_features), or (in_features,) for all members alike, become (k, out_features).

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias: Whether there is a b (k, out_features).
        k: How many members.
        scaling_init: How r (k, in_features) and s (k, out_features) are drawn: "ones", "normal" or "random-signs"; a
            pair for r and s. TabM has ("random-signs", "ones") in its first layer and "ones" in the others.
        first_scaling_init_chunks: Widths of neighbouring inputs, those of one feature, for which a member's r begins
            as one number; they add up to in_features. None for a number each.

    All members begin with the same b.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        k: int,
        scaling_init: str | tuple[str, str] = "ones",
        first_scaling_init_chunks: Sequence[int] | None = None,
    ) -> None:
        self.in_features = as_count(in_features, "LinearBatchEnsemble", "in_features")
        self.out_features = as_count(out_features, "LinearBatchEnsemble", "out_features")
        self.k = as_count(k, "LinearBatchEnsemble", "k")
        self.scaling_init = scaling_init
        pair = (scaling_init, scaling_init) if isinstance(scaling_init, str) else tuple(scaling_init)
        if len(pair) != 2:
            raise ValueError(f"[LinearBatchEnsemble] expected scaling_init to be a name or two, got {scaling_init!r}")
        first, second = (_scaling(name, "LinearBatchEnsemble") for name in pair)
        self.first_scaling_init_chunks = None
        if first_scaling_init_chunks is not None:
            chunks = [as_count(n, "LinearBatchEnsemble", "each chunk") for n in first_scaling_init_chunks]
            if sum(chunks) != self.in_features:
                raise ValueError(
                    f"[LinearBatchEnsemble] expected first_scaling_init_chunks that add up to {in_features}, "
                    f"got {sum(chunks)}"
                )
            self.first_scaling_init_chunks = chunks
            first = _Chunks(first, tuple(chunks))
        bound = 1 / math.sqrt(self.in_features)
        drawn = Uniform(-bound, bound)
        has_bias = as_flag(bias, "LinearBatchEnsemble", "bias")
        self.weight = Parameter((self.out_features, self.in_features), drawn)
        self.r = Parameter((self.k, self.in_features), first)
        self.s = Parameter((self.k, self.out_features), second)
        self.bias = Parameter((self.k, self.out_features), _SameRows(drawn)) if has_bias else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        y = (x * self.r).apply("linear", parameters=[self.weight])
        return y.apply("scale_shift", parameters=[self.s, self.bias])

    def _arguments(self) -> dict[str, Any]:
        names = ("in_features", "out_features", "k", "scaling_init", "first_scaling_init_chunks")
        return {**{name: getattr(self, name) for name in names}, "bias": self.bias is not None}


class ScaleEnsemble(Module):
    """weight * x with a weight of each member's own: rows (features,) or (k, features) become (k, features).

    Args:
        k: How many members.
        d: Width of a row.
        init: How the weight (k, d) is drawn: "ones", "normal" or "random-signs".
    """

    def __init__(self, k: int, d: int, *, init: str = "random-signs") -> None:
        self.k = as_count(k, "ScaleEnsemble", "k")
        self.d = as_count(d, "ScaleEnsemble", "d")
        self.init = init
        self.weight = Parameter((self.k, self.d), _scaling(init, "ScaleEnsemble"))

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x * self.weight

    def _arguments(self) -> dict[str, Any]:
        return {"k": self.k, "d": self.d, "init": self.init}


class MeanEnsemble(Module):
    """The mean over the members: rows (k, features) become (features,)."""

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.mean(axis=1)
