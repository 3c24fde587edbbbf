"""Layers that normalise: over the features of each row, or over the rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whet._checks import as_count, as_flag, as_number
from whet.nn import init
from whet.nn.module import Module
from whet.nn.parameter import Buffer, Parameter
from whet.nn.tracing import Value

__all__ = ["BatchNorm1d", "GroupNorm", "LayerNorm", "RMSNorm"]


def _features(shape: int | Sequence[int], where: str) -> int:
    """The width of a normalized_shape, which has one axis."""
    if isinstance(shape, Sequence):
        if len(shape) != 1:
            raise ValueError(f"[{where}] expected a normalized_shape of one axis, got {tuple(shape)}")
        shape = shape[0]
    return as_count(shape, where, "normalized_shape")


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis of each row (Ba, Kiros and Hinton, 2016).

    As torch.nn.LayerNorm; the variance is the biased one.

    Args:
        normalized_shape: Width of the last axis.
        eps: Added to the variance.
        elementwise_affine: Whether there is a weight (features,), ones at first.
        bias: Whether there is a bias (features,), zeros at first, besides the weight.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        self.normalized_shape = _features(normalized_shape, "LayerNorm")
        self.eps = as_number(eps, "LayerNorm", "eps", low=0)
        self.elementwise_affine = as_flag(elementwise_affine, "LayerNorm", "elementwise_affine")
        has_bias = as_flag(bias, "LayerNorm", "bias") and elementwise_affine
        shape = (self.normalized_shape,)
        self.weight = Parameter(shape, init.Constant(1.0)) if elementwise_affine else None
        self.bias = Parameter(shape, init.Zeros()) if has_bias else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        parameters = [p for p in (self.weight, self.bias) if p is not None]
        return x.apply("normalize", parameters=parameters, eps=self.eps)

    def _arguments(self) -> dict[str, Any]:
        names = ("normalized_shape", "eps", "elementwise_affine")
        return {**{name: getattr(self, name) for name in names}, "bias": self.bias is not None}


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis of each row (Zhang and Sennrich, NeurIPS 2019).

    As torch.nn.RMSNorm.

    Args:
        normalized_shape: Width of the last axis.
        eps: Added to the mean square; if None, the spacing of numbers at one in the model's dtype.
        elementwise_affine: Whether there is a weight (features,), ones at first.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        self.normalized_shape = _features(normalized_shape, "RMSNorm")
        self.eps = None if eps is None else as_number(eps, "RMSNorm", "eps", low=0)
        self.elementwise_affine = as_flag(elementwise_affine, "RMSNorm", "elementwise_affine")
        self.weight = Parameter((self.normalized_shape,), init.Constant(1.0)) if elementwise_affine else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        parameters = [] if self.weight is None else [self.weight]
        return x.apply("normalize", parameters=parameters, eps=-1 if self.eps is None else self.eps, centred=0)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("normalized_shape", "eps", "elementwise_affine")}


class GroupNorm(Module):
    """LayerNorm within each of some equal groups of a row's features (Wu and He, ECCV 2018), as torch.nn.GroupNorm.

    Args:
        num_groups: How many groups.
        num_channels: Width of a row.
        eps: Added to the variance.
        affine: Whether there are a weight and a bias (features,).
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        self.num_groups = as_count(num_groups, "GroupNorm", "num_groups")
        self.num_channels = as_count(num_channels, "GroupNorm", "num_channels")
        if self.num_channels % self.num_groups:
            raise ValueError(f"[GroupNorm] expected num_groups to divide {num_channels} channels, got {num_groups}")
        self.eps = as_number(eps, "GroupNorm", "eps", low=0)
        self.affine = as_flag(affine, "GroupNorm", "affine")
        self.weight = Parameter((self.num_channels,), init.Constant(1.0)) if affine else None
        self.bias = Parameter((self.num_channels,), init.Zeros()) if affine else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        if x.shape != (self.num_channels,):
            raise ValueError(f"[GroupNorm] expected rows of {self.num_channels} features, got shape {x.shape}")
        parameters = [p for p in (self.weight, self.bias) if p is not None]
        return x.apply("normalize", parameters=parameters, groups=self.num_groups, eps=self.eps)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_groups", "num_channels", "eps", "affine")}


class BatchNorm1d(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias for each feature (Ioffe and Szegedy, ICML 2015).

    As torch.nn.BatchNorm1d: while training, mean and biased variance are those of the batch, and the running ones
    follow them (the variance there is the unbiased one); prediction and evaluation use the running ones. The whole
    batch is one block of rows, however large. Rows of weight zero count in its statistics. A batch of a single row has
    no variance: what it makes is the bias, and the running statistics stay.

    Args:
        num_features: Width of a row.
        eps: Added to the variance.
        momentum: Share of a batch in the running statistics; if None, all batches count alike.
        affine: Whether there are a weight and a bias (features,).
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True) -> None:
        self.num_features = as_count(num_features, "BatchNorm1d", "num_features")
        self.eps = as_number(eps, "BatchNorm1d", "eps", low=0)
        self.momentum = None if momentum is None else as_number(momentum, "BatchNorm1d", "momentum", low=0)
        self.affine = as_flag(affine, "BatchNorm1d", "affine")
        shape = (self.num_features,)
        self.weight = Parameter(shape, init.Constant(1.0)) if affine else None
        self.bias = Parameter(shape, init.Zeros()) if affine else None
        self.running_mean = Buffer(shape, init.Zeros())
        self.running_var = Buffer(shape, init.Constant(1.0))
        self.num_batches_tracked = Buffer((), init.Zeros())

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        statistics = [self.running_mean, self.running_var, self.num_batches_tracked]
        affine = [p for p in (self.weight, self.bias) if p is not None]
        momentum = -1 if self.momentum is None else self.momentum
        return x.apply("batch_norm", parameters=[*statistics, *affine], eps=self.eps, momentum=momentum)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_features", "eps", "momentum", "affine")}
