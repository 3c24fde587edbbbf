"""Embeddings: of categories, and of numbers (Gorishniy et al., "On embeddings for numerical features in tabular deep
learning", NeurIPS 2022), with the names of torch.nn and rtdl_num_embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from whet._arrays import as_array, check_finite
from whet._checks import as_count, as_flag, as_number
from whet.nn import functional, init
from whet.nn.module import Module
from whet.nn.parameter import Buffer, Parameter
from whet.nn.tracing import Value, concatenate

__all__ = [
    "Embedding",
    "EmbeddingBag",
    "LinearEmbeddings",
    "LinearReLUEmbeddings",
    "NLinear",
    "PBLDEmbeddings",
    "PeriodicEmbeddings",
    "PiecewiseLinearEmbeddings",
    "PiecewiseLinearEncoding",
    "compute_bins",
]


def _table_rows(value: object, where: str) -> int:
    rows = as_count(value, where, "num_embeddings")
    if rows > 2**24:
        raise ValueError(
            f"[{where}] expected num_embeddings of at most 2**24, the whole numbers of float32, got {rows}"
        )
    return rows


class _NormalBut(init.Normal):
    """Normal, but for a row of zeros."""

    zeros: int = 0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> init.Doubles:
        """See `Initializer.draw`."""
        values = super().draw(shape, seed, index)
        values[self.zeros] = 0
        return values


class Embedding(Module):
    """A table of vectors, looked up by number, as torch.nn.Embedding: rows (m,) of whole numbers become (m, d).

    Args:
        num_embeddings: Rows of the table; numbers from 0 to num_embeddings - 1 are allowed.
        embedding_dim: Width of the table.
        padding_idx: A number whose vector is zeros at first and learns nothing.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        self.num_embeddings = _table_rows(num_embeddings, "Embedding")
        self.embedding_dim = as_count(embedding_dim, "Embedding", "embedding_dim")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"[Embedding] expected padding_idx within {num_embeddings} rows, got {padding_idx}")
        self.padding_idx = padding_idx if padding_idx is None or padding_idx >= 0 else padding_idx + num_embeddings
        drawn = init.Normal(0.0, 1.0) if self.padding_idx is None else _NormalBut(0.0, 1.0, self.padding_idx)
        self.weight = Parameter((self.num_embeddings, self.embedding_dim), drawn)

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        padding = -1 if self.padding_idx is None else self.padding_idx
        return x.apply("embedding", parameters=[self.weight], padding_idx=padding)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_embeddings", "embedding_dim", "padding_idx")}


class EmbeddingBag(Module):
    """The mean or the sum of the vectors that a row names: rows (m,) of whole numbers become (d,).

    As torch.nn.EmbeddingBag with a bag for every row.

    Args:
        num_embeddings: Rows of the table.
        embedding_dim: Width of the table.
        mode: "mean" or "sum".
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, mode: str = "mean") -> None:
        self.num_embeddings = _table_rows(num_embeddings, "EmbeddingBag")
        self.embedding_dim = as_count(embedding_dim, "EmbeddingBag", "embedding_dim")
        if mode not in ("mean", "sum"):
            raise ValueError(f"[EmbeddingBag] expected mode 'mean' or 'sum', got {mode!r}")
        self.mode = mode
        self.weight = Parameter((self.num_embeddings, self.embedding_dim), init.Normal(0.0, 1.0))

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        vectors = x.apply("embedding", parameters=[self.weight])
        return vectors.mean(axis=1) if self.mode == "mean" else vectors.sum(axis=1)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_embeddings", "embedding_dim", "mode")}


class NLinear(Module):
    """A linear layer of its own for each of n inputs: rows (n, in_features) become (n, out_features).

    Args:
        n: How many layers.
        in_features: Width of each input; rows of shape (in_features,) are the input of all.
        out_features: Width of each output.
        bias: Whether there is a bias (n, out_features) besides the weight (n, in_features, out_features).
    """

    def __init__(self, n: int, in_features: int, out_features: int, bias: bool = True) -> None:
        name = type(self).__name__
        self.n = as_count(n, name, "n")
        self.in_features = as_count(in_features, name, "in_features")
        self.out_features = as_count(out_features, name, "out_features")
        bound = 1 / math.sqrt(self.in_features)
        drawn = init.Uniform(-bound, bound)
        self.weight = Parameter((self.n, self.in_features, self.out_features), drawn)
        self.bias = Parameter((self.n, self.out_features), drawn) if as_flag(bias, name, "bias") else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.apply("grouped_linear", parameters=[self.weight, self.bias])

    def _arguments(self) -> dict[str, Any]:
        sizes = {name: getattr(self, name) for name in ("n", "in_features", "out_features")}
        return {**sizes, "bias": self.bias is not None}


class LinearEmbeddings(Module):
    """weight * x + bias for each number: rows (n,) become (n, d).

    Args:
        n_features: Numbers in a row.
        d_embedding: Width of each embedding.
    """

    def __init__(self, n_features: int, d_embedding: int) -> None:
        self.n_features = as_count(n_features, type(self).__name__, "n_features")
        self.d_embedding = as_count(d_embedding, type(self).__name__, "d_embedding")
        bound = 1 / math.sqrt(self.d_embedding)
        shape = (self.n_features, self.d_embedding)
        self.weight = Parameter(shape, init.Uniform(-bound, bound))
        self.bias = Parameter(shape, init.Uniform(-bound, bound))

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.reshape(self.n_features, 1) * self.weight + self.bias

    def _arguments(self) -> dict[str, Any]:
        return {"n_features": self.n_features, "d_embedding": self.d_embedding}


class LinearReLUEmbeddings(Module):
    """LinearEmbeddings and a ReLU.

    Args:
        n_features: Numbers in a row.
        d_embedding: Width of each embedding.
    """

    def __init__(self, n_features: int, d_embedding: int = 32) -> None:
        self.linear = LinearEmbeddings(n_features, d_embedding)

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return self.linear(x).apply("relu")

    def _arguments(self) -> dict[str, Any]:
        return self.linear._arguments()


class _Periodic(Module):
    """cos and sin of 2 pi weight x: rows (n,) become (n, 2 k)."""

    def __init__(self, n_features: int, k: int, sigma: float) -> None:
        self.weight = Parameter((n_features, k), init.TruncatedNormal(0.0, sigma, -3 * sigma, 3 * sigma))

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        angle = x.reshape(*x.shape, 1) * self.weight * (2 * math.pi)
        return concatenate([functional.cos(angle), functional.sin(angle)])


class PeriodicEmbeddings(Module):
    """Periodic features, a linear layer for each number (or for all) and a ReLU: rows (n,) become (n, d).

    Args:
        n_features: Numbers in a row.
        d_embedding: Width of each embedding.
        n_frequencies: Frequencies of each number.
        frequency_init_scale: Standard deviation of the frequencies at first.
        activation: Whether a ReLU follows.
        lite: Whether all numbers share the linear layer; not without the activation.
    """

    def __init__(
        self,
        n_features: int,
        d_embedding: int = 24,
        *,
        n_frequencies: int = 48,
        frequency_init_scale: float = 0.01,
        activation: bool = True,
        lite: bool,
    ) -> None:
        from whet.nn.layers import Linear

        self.n_features = as_count(n_features, "PeriodicEmbeddings", "n_features")
        self.d_embedding = as_count(d_embedding, "PeriodicEmbeddings", "d_embedding")
        self.n_frequencies = as_count(n_frequencies, "PeriodicEmbeddings", "n_frequencies")
        self.frequency_init_scale = as_number(frequency_init_scale, "PeriodicEmbeddings", "frequency_init_scale", low=0)
        self.activation = as_flag(activation, "PeriodicEmbeddings", "activation")
        self.lite = as_flag(lite, "PeriodicEmbeddings", "lite")
        if lite and not activation:
            raise ValueError("[PeriodicEmbeddings] expected an activation with lite=True")
        self.periodic = _Periodic(self.n_features, self.n_frequencies, self.frequency_init_scale)
        sizes = (2 * self.n_frequencies, self.d_embedding)
        self.linear = Linear(*sizes) if lite else NLinear(self.n_features, *sizes)

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        y = self.linear(self.periodic(x))
        return y.apply("relu") if self.activation else y

    def _arguments(self) -> dict[str, Any]:
        names = ("n_features", "d_embedding", "n_frequencies", "frequency_init_scale", "activation", "lite")
        return {name: getattr(self, name) for name in names}


class PBLDEmbeddings(Module):
    """Each number beside a linear layer of cos(2 pi (weight_1 x) + bias_1): rows (n,) become (n, d).

    The periodic embedding with bias, linear layer and dense connection of RealMLP (Holzmueller et al., "Better by
    default", NeurIPS 2024).

    Args:
        n_features: Numbers in a row.
        d_embedding: Width of each embedding, the number itself included.
        n_frequencies: Frequencies of each number.
        frequency_init_scale: Standard deviation of weight_1 at first; bias_1 is uniform from -pi to pi.
    """

    def __init__(
        self, n_features: int, d_embedding: int = 4, n_frequencies: int = 16, frequency_init_scale: float = 0.1
    ) -> None:
        self.n_features = as_count(n_features, "PBLDEmbeddings", "n_features")
        self.d_embedding = as_count(d_embedding, "PBLDEmbeddings", "d_embedding")
        self.n_frequencies = as_count(n_frequencies, "PBLDEmbeddings", "n_frequencies")
        self.frequency_init_scale = as_number(frequency_init_scale, "PBLDEmbeddings", "frequency_init_scale", low=0)
        if self.d_embedding < 2:
            raise ValueError(f"[PBLDEmbeddings] expected d_embedding of at least 2, got {d_embedding}")
        first, second = (self.n_features, self.n_frequencies), self.d_embedding - 1
        bound = 1 / math.sqrt(self.n_frequencies)
        self.weight_1 = Parameter(first, init.Normal(0.0, self.frequency_init_scale))
        self.bias_1 = Parameter(first, init.Uniform(-math.pi, math.pi))
        self.weight_2 = Parameter((self.n_features, self.n_frequencies, second), init.Uniform(-bound, bound))
        self.bias_2 = Parameter((self.n_features, second), init.Uniform(-bound, bound))

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        numbers = x.reshape(self.n_features, 1)
        waves = functional.cos(numbers * self.weight_1 * (2 * math.pi) + self.bias_1)
        return concatenate([numbers, waves.apply("grouped_linear", parameters=[self.weight_2, self.bias_2])])

    def _arguments(self) -> dict[str, Any]:
        names = ("n_features", "d_embedding", "n_frequencies", "frequency_init_scale")
        return {name: getattr(self, name) for name in names}


Bins = list[list[float]]


def compute_bins(X: ArrayLike, n_bins: int = 48) -> Bins:
    """Edges of bins that hold equally many training rows each, for every feature.

    As rtdl_num_embeddings.compute_bins without a tree: the distinct quantiles at n_bins + 1 even shares.

    Args:
        X: Training rows, shape (rows, features).
        n_bins: The most bins of a feature, at least 2 and fewer than the rows.

    Raises:
        ValueError: If `X` is no matrix of finite numbers, a feature has one value only, or there are too few rows.
    """
    array = as_array(X, "compute_bins", "X").astype(np.float64)
    if array.ndim != 2:
        raise ValueError(f"[compute_bins] expected X with shape (rows, features), got {array.shape}")
    check_finite(array, "compute_bins", "X")
    if not 1 < as_count(n_bins, "compute_bins", "n_bins") < len(array):
        raise ValueError(
            f"[compute_bins] expected n_bins from 2 to {len(array) - 1} for {len(array)} rows, got {n_bins}"
        )
    edges = np.quantile(array, np.linspace(0, 1, n_bins + 1), axis=0)
    bins = [np.unique(column).tolist() for column in edges.T]
    for i, column in enumerate(bins):
        if len(column) < 2:
            raise ValueError(f"[compute_bins] expected features with more than one value, first violated in column {i}")
    return bins


def _checked(bins: Sequence[Sequence[float]], where: str) -> Bins:
    """Bins as lists, each with at least two edges that grow."""
    lists = [[as_number(edge, where, "bins") for edge in column] for column in bins]
    if not lists or any(len(c) < 2 or any(b <= a for a, b in pairwise(c)) for c in lists):
        raise ValueError(f"[{where}] expected for each feature at least two edges of bins that grow")
    return lists


class _Encoding(Module):
    """Shares of each bin that lie below the number: rows (n,) become (n, most bins)."""

    def __init__(self, bins: Bins) -> None:
        counts = [len(edges) - 1 for edges in bins]
        weight, bias = np.zeros((len(bins), max(counts))), np.zeros((len(bins), max(counts)))
        for i, (edges, count) in enumerate(zip(bins, counts, strict=True)):
            factor = 1 / np.diff(edges)
            shift = -np.asarray(edges[:-1]) * factor
            weight[i, -1], bias[i, -1] = factor[-1], shift[-1]
            weight[i, : count - 1], bias[i, : count - 1] = factor[:-1], shift[:-1]
        self.weight, self.bias = Buffer(weight.shape, init.Values(weight)), Buffer(bias.shape, init.Values(bias))
        single = np.array([[float(count == 1)] for count in counts])
        self.single_bin_mask = Buffer(single.shape, init.Values(single)) if single.any() and max(counts) > 1 else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        shares = x.reshape(*x.shape, 1) * self.weight + self.bias
        most = shares.shape[1]
        if most == 1:
            return shares
        last = shares[:, :, -1:]
        if self.single_bin_mask is None:
            open_ended = last.maximum(0.0)
        else:  # the only bin of a feature is open at both ends
            open_ended = last.maximum(0.0) + last.minimum(0.0) * self.single_bin_mask
        inner = [functional.clamp(shares[:, :, 1:-1], 0.0, 1.0)] if most > 2 else []
        return concatenate([shares[:, :, :1].minimum(1.0), *inner, open_ended])


class PiecewiseLinearEncoding(Module):
    """The piecewise linear encoding of each number, side by side: rows (n,) become (all bins,).

    Args:
        bins: Edges of the bins of each feature: see `compute_bins`.
    """

    def __init__(self, bins: Sequence[Sequence[float]]) -> None:
        self.bins = _checked(bins, "PiecewiseLinearEncoding")
        self.impl = _Encoding(self.bins)

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        encoded = self.impl(x)
        most = encoded.shape[1]
        flat = encoded.flatten()
        counts = [len(edges) - 1 for edges in self.bins]
        kept = [[*range(count - 1), most - 1] for count in counts]
        wanted = [feature * most + i for feature, places in enumerate(kept) for i in places]
        return flat[:, wanted]

    def _arguments(self) -> dict[str, Any]:
        return {"bins": self.bins}


class PiecewiseLinearEmbeddings(Module):
    """A piecewise linear function of each number, learnt: rows (n,) become (n, d).

    Args:
        bins: Edges of the bins of each feature: see `compute_bins`.
        d_embedding: Width of each embedding.
        activation: Whether a ReLU follows.
        version: "A", as published, or "B", which begins as LinearEmbeddings and learns what to add.
    """

    def __init__(
        self, bins: Sequence[Sequence[float]], d_embedding: int, *, activation: bool, version: str = "A"
    ) -> None:
        if version not in ("A", "B"):
            raise ValueError(f"[PiecewiseLinearEmbeddings] expected version 'A' or 'B', got {version!r}")
        self.bins = _checked(bins, "PiecewiseLinearEmbeddings")
        self.d_embedding = as_count(d_embedding, "PiecewiseLinearEmbeddings", "d_embedding")
        self.activation = as_flag(activation, "PiecewiseLinearEmbeddings", "activation")
        self.version = version
        n, most = len(self.bins), max(len(edges) - 1 for edges in self.bins)
        self.linear0 = LinearEmbeddings(n, self.d_embedding) if version == "B" else None
        self.impl = _Encoding(self.bins)
        self.linear = NLinear(n, most, self.d_embedding, bias=version == "A")
        if version == "B":
            self.linear.weight = Parameter((n, most, self.d_embedding), init.Zeros())

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        y = self.linear(self.impl(x))
        if self.linear0 is not None:
            y = self.linear0(x) + y
        return y.apply("relu") if self.activation else y

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("bins", "d_embedding", "activation", "version")}
