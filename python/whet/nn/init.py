"""Initialisers: immutable descriptions of how a parameter's first values are drawn.

Formulas and defaults are those of the functions of the same names in torch.nn.init. Numbers come from the seed and the
parameter's index in the model alone, in double precision, and are rounded to the model's dtype.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet._checks import as_number

__all__ = [
    "Constant",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "Normal",
    "Orthogonal",
    "Uniform",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
    "get",
]

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Initializer:
    """Draws a parameter of a given shape."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type == "float":
                as_number(getattr(self, field.name), type(self).__name__, field.name)

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """float64 values of that shape, the same for the same seed and index."""
        raise TypeError(f"[init] {type(self).__name__} draws nothing")


def _uniform(shape: tuple[int, ...], seed: int, index: int, low: float, high: float) -> Doubles:
    return np.asarray(_core.random_uniform(seed, index, low, high, math.prod(shape)).reshape(shape))


def _normal(shape: tuple[int, ...], seed: int, index: int, mean: float, std: float) -> Doubles:
    return np.asarray(_core.random_normal(seed, index, mean, std, math.prod(shape)).reshape(shape))


def _fans(shape: tuple[int, ...], owner: Initializer) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"[init] {type(owner).__name__} expects a weight of shape (out, in), got {shape}")
    return shape[1], shape[0]


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros."""

    name = "zeros"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """All equal to `value`."""

    name = "constant"
    value: float = 0.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.full(shape, float(self.value))


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform in [a, b)."""

    name = "uniform"
    a: float = 0.0
    b: float = 1.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return _uniform(shape, seed, index, self.a, self.b)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with the given mean and standard deviation."""

    name = "normal"
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.std < 0:
            raise ValueError(f"[Normal] expected std of at least 0, got {self.std}")

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return _normal(shape, seed, index, self.mean, self.std)


@dataclass(frozen=True)
class XavierUniform(Initializer):
    """Uniform with bound gain sqrt(6 / (in + out)) (Glorot and Bengio, AISTATS 2010)."""

    name = "xavier_uniform"
    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        bound = self.gain * math.sqrt(6 / sum(_fans(shape, self)))
        return _uniform(shape, seed, index, -bound, bound)


@dataclass(frozen=True)
class XavierNormal(Initializer):
    """Normal with deviation gain sqrt(2 / (in + out)) (Glorot and Bengio, AISTATS 2010)."""

    name = "xavier_normal"
    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return _normal(shape, seed, index, 0.0, self.gain * math.sqrt(2 / sum(_fans(shape, self))))


@dataclass(frozen=True)
class _Kaiming(Initializer):
    """Deviation gain / sqrt(fan) (He et al., ICCV 2015).

    Args:
        a: Negative slope of the leaky ReLU that follows.
        mode: "fan_in" keeps the size of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: "leaky_relu", "relu", "tanh", "sigmoid" or "linear".
    """

    a: float = 0.0
    mode: str = "fan_in"
    nonlinearity: str = "leaky_relu"

    def _deviation(self, shape: tuple[int, ...]) -> float:
        gains = {
            "leaky_relu": math.sqrt(2 / (1 + self.a**2)),
            "relu": math.sqrt(2),
            "tanh": 5 / 3,
            "sigmoid": 1.0,
            "linear": 1.0,
        }
        if self.nonlinearity not in gains:
            raise ValueError(f"[init] expected a nonlinearity of {', '.join(gains)}, got '{self.nonlinearity}'")
        if self.mode not in ("fan_in", "fan_out"):
            raise ValueError(f"[init] expected mode 'fan_in' or 'fan_out', got '{self.mode}'")
        fan_in, fan_out = _fans(shape, self)
        return gains[self.nonlinearity] / math.sqrt(fan_in if self.mode == "fan_in" else fan_out)


@dataclass(frozen=True)
class KaimingUniform(_Kaiming):
    """Uniform with bound gain sqrt(3 / fan) (He et al., ICCV 2015), as torch.nn.init.kaiming_uniform_."""

    name = "kaiming_uniform"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        bound = math.sqrt(3) * self._deviation(shape)
        return _uniform(shape, seed, index, -bound, bound)


@dataclass(frozen=True)
class KaimingNormal(_Kaiming):
    """Normal with deviation gain / sqrt(fan) (He et al., ICCV 2015), as torch.nn.init.kaiming_normal_."""

    name = "kaiming_normal"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return _normal(shape, seed, index, 0.0, self._deviation(shape))


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A matrix with orthonormal rows or columns, whichever are fewer, times gain (Saxe et al., ICLR 2014)."""

    name = "orthogonal"
    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        rows, cols = max(_fans(shape, self)), min(_fans(shape, self))
        basis = _normal((cols, rows), seed, index, 0.0, 1.0)
        # Gram-Schmidt, twice for orthogonality to working precision. Products by whet's own kernel, whose bits do not
        # depend on the machine as those of LAPACK do.
        for i in range(cols):
            vector = basis[i : i + 1]
            for _ in range(2 if i else 0):
                vector -= _product(_product(vector, basis[:i], transpose=True), basis[:i])
            vector /= math.sqrt(float(_product(vector, vector, transpose=True)[0, 0]))
        matrix = basis.T if shape[0] >= shape[1] else basis
        return np.ascontiguousarray(self.gain * matrix)


def _product(a: Doubles, b: Doubles, transpose: bool = False) -> Doubles:
    out = np.empty((a.shape[0], b.shape[0 if transpose else 1]))
    _core.matmul(out, a, False, b, transpose, None, "identity", [], "float32")
    return out


_CLASSES: dict[str, type[Initializer]] = {
    cls.name: cls
    for cls in (
        Zeros,
        Constant,
        Normal,
        Uniform,
        XavierUniform,
        XavierNormal,
        KaimingUniform,
        KaimingNormal,
        Orthogonal,
    )
}


def get(initializer: str | Initializer) -> Initializer:
    """The initialiser that a string or an object names; a string stands for its defaults.

    Raises:
        TypeError: If `initializer` is neither.
        ValueError: If there is none of that name; the message lists the valid ones.
    """
    if isinstance(initializer, Initializer):
        return initializer
    if not isinstance(initializer, str):
        raise TypeError(f"[init] expected a string or an object of whet.nn.init, got {type(initializer).__name__}")
    if initializer not in _CLASSES:
        raise ValueError(f"[init] expected one of {', '.join(_CLASSES)}, got '{initializer}'")
    return _CLASSES[initializer]()


def describe(initializer: Initializer) -> dict[str, Any]:
    """The initialiser as JSON-able data, for model files."""
    return {"name": initializer.name, **vars(initializer)}


def from_description(description: dict[str, Any]) -> Initializer:
    """The initialiser that `describe` wrote down."""
    options = dict(description)
    return _CLASSES[options.pop("name")](**options)
