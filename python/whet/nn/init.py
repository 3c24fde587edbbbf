"""Initialisers: immutable descriptions of how a parameter's first values are drawn.

Formulas and defaults are those of the functions of the same names in torch.nn.init. Numbers come from the seed and the
parameter's index in the model alone, in double precision, and are rounded to the model's dtype.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import _core
from whet._arrays import as_array
from whet._checks import as_count, as_name, as_number, as_seed
from whet._frozen import Frozen

if TYPE_CHECKING:
    from whet.nn.module import Module

__all__ = [
    "Constant",
    "Eye",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "RandomSigns",
    "Sparse",
    "TruncatedNormal",
    "Uniform",
    "Values",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
    "get",
    "lsuv",
]

Doubles = NDArray[np.float64]


class Initializer(Frozen):
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


class Zeros(Initializer):
    """All zeros."""

    name = "zeros"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.zeros(shape)


class Ones(Initializer):
    """All ones."""

    name = "ones"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.ones(shape)


class Eye(Initializer):
    """Ones on the diagonal of a matrix, zeros elsewhere: features pass through."""

    name = "eye"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        fan_in, fan_out = _fans(shape, self)
        return np.eye(fan_out, fan_in)


class Constant(Initializer):
    """All equal to `value`."""

    name = "constant"
    value: float = 0.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.full(shape, float(self.value))


class Uniform(Initializer):
    """Uniform in [a, b)."""

    name = "uniform"
    a: float = 0.0
    b: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.a > self.b:
            raise ValueError(f"[Uniform] expected a of at most b, got {self.a} and {self.b}")

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return _uniform(shape, seed, index, self.a, self.b)


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


class TruncatedNormal(Initializer):
    """Normal with the given mean and deviation, cut off at a and b, as torch.nn.init.trunc_normal_.

    The deviation is that before the cut.
    """

    name = "truncated_normal"
    mean: float = 0.0
    std: float = 1.0
    a: float = -2.0
    b: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.std <= 0:
            raise ValueError(f"[TruncatedNormal] expected std above 0, got {self.std}")
        if self.a >= self.b:
            raise ValueError(f"[TruncatedNormal] expected a below b, got {self.a} and {self.b}")

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        from statistics import NormalDist

        normal, least = NormalDist(self.mean, self.std), np.finfo(np.float64).eps
        low, high = (min(max(normal.cdf(bound), least), 1 - least) for bound in (self.a, self.b))
        drawn = [normal.inv_cdf(p) for p in _uniform((math.prod(shape),), seed, index, low, high).tolist()]
        return np.array(drawn).reshape(shape).clip(self.a, self.b)


class RandomSigns(Initializer):
    """1 or -1, each with probability one half."""

    name = "random_signs"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return np.where(_uniform(shape, seed, index, 0.0, 1.0) < 0.5, -1.0, 1.0)


class Values(Initializer):
    """Given values, for buffers.

    Args:
        values: The array.
    """

    name = "values"
    values: Doubles

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        as_array(self.values, "Values", "values")

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        values = np.array(self.values, np.float64)
        if values.size != math.prod(shape):
            raise ValueError(f"[Values] expected {math.prod(shape)} numbers for {shape}, got shape {values.shape}")
        return values.reshape(shape)


class Sparse(Initializer):
    """Normal with deviation `std`, but for a share of zeros in each column (Martens, ICML 2010).

    As torch.nn.init.sparse_: the share is rounded up to whole rows.
    """

    name = "sparse"
    sparsity: float = 0.9
    std: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sparsity <= 1:
            raise ValueError(f"[Sparse] expected sparsity from 0 to 1, got {self.sparsity}")
        if self.std < 0:
            raise ValueError(f"[Sparse] expected std of at least 0, got {self.std}")

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        rows = _fans(shape, self)[1]
        values = _normal(shape, seed, index, 0.0, self.std)
        # Positions come from the far half of the parameters' indices, whose numbers no parameter has.
        order = np.argsort(_uniform(shape, seed, index + 2**31, 0.0, 1.0), axis=0, kind="stable")
        np.put_along_axis(values, order[: math.ceil(self.sparsity * rows)], 0.0, axis=0)
        return values


class XavierUniform(Initializer):
    """Uniform with bound gain sqrt(6 / (in + out)) (Glorot and Bengio, AISTATS 2010)."""

    name = "xavier_uniform"
    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        bound = self.gain * math.sqrt(6 / sum(_fans(shape, self)))
        return _uniform(shape, seed, index, -bound, bound)


class XavierNormal(Initializer):
    """Normal with deviation gain sqrt(2 / (in + out)) (Glorot and Bengio, AISTATS 2010)."""

    name = "xavier_normal"
    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return _normal(shape, seed, index, 0.0, self.gain * math.sqrt(2 / sum(_fans(shape, self))))


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

    def __post_init__(self) -> None:
        super().__post_init__()
        where, gains = type(self).__name__, self._gains()
        if as_name(self.nonlinearity, where, "nonlinearity") not in gains:
            raise ValueError(f"[{where}] expected a nonlinearity of {', '.join(gains)}, got '{self.nonlinearity}'")
        if as_name(self.mode, where, "mode") not in ("fan_in", "fan_out"):
            raise ValueError(f"[{where}] expected mode 'fan_in' or 'fan_out', got '{self.mode}'")

    def _gains(self) -> dict[str, float]:
        return {
            "leaky_relu": math.sqrt(2 / (1 + self.a**2)),
            "relu": math.sqrt(2),
            "tanh": 5 / 3,
            "sigmoid": 1.0,
            "linear": 1.0,
        }

    def _deviation(self, shape: tuple[int, ...]) -> float:
        fan_in, fan_out = _fans(shape, self)
        return self._gains()[self.nonlinearity] / math.sqrt(fan_in if self.mode == "fan_in" else fan_out)


class KaimingUniform(_Kaiming):
    """Uniform with bound gain sqrt(3 / fan) (He et al., ICCV 2015), as torch.nn.init.kaiming_uniform_."""

    name = "kaiming_uniform"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        bound = math.sqrt(3) * self._deviation(shape)
        return _uniform(shape, seed, index, -bound, bound)


class KaimingNormal(_Kaiming):
    """Normal with deviation gain / sqrt(fan) (He et al., ICCV 2015), as torch.nn.init.kaiming_normal_."""

    name = "kaiming_normal"

    def draw(self, shape: tuple[int, ...], seed: int, index: int) -> Doubles:
        """See `Initializer.draw`."""
        return _normal(shape, seed, index, 0.0, self._deviation(shape))


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
        Ones,
        Eye,
        Constant,
        Normal,
        Uniform,
        XavierUniform,
        XavierNormal,
        KaimingUniform,
        KaimingNormal,
        Orthogonal,
        TruncatedNormal,
        RandomSigns,
        Sparse,
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


def lsuv(
    model: Module, X: ArrayLike, *, seed: int = 0, tolerance: float = 0.1, max_iterations: int = 10
) -> dict[str, float]:
    """Layer-sequential unit-variance initialisation (Mishkin and Matas, "All you need is a good init", ICLR 2016).

    Weights of linear layers become orthogonal and their biases zero; then, from the first to the last, each weight is
    divided by the deviation of its layer's outputs for these rows, until their variance is 1.

    Args:
        model: A model of linear layers and any others, whose other parameters stay as they are.
        X: Features of some hundred rows, shape (rows, features).
        seed: For the orthogonal matrices, and for parameters that are not drawn yet.
        tolerance: How far from 1 a variance may be.
        max_iterations: How often a weight is divided at most.

    Returns:
        The variance of each linear layer's outputs, by the name of its weight.

    Raises:
        TypeError: If `X` does not hold numbers, or `model` is no nn.Module.
        ValueError: If its shape does not fit, or there is no row; the model is unchanged then.
        RuntimeError: If the model is being trained.
    """
    from whet.nn.module import Module

    seed, rounds = as_seed(seed, "lsuv"), as_count(max_iterations, "lsuv", "max_iterations")
    distance = as_number(tolerance, "lsuv", "tolerance", low=0)
    if not isinstance(model, Module):
        raise TypeError(f"[lsuv] expected an nn.Module, got {type(model).__name__}")
    features = model._features(X, "lsuv")
    if len(features) == 0:
        raise ValueError("[lsuv] expected at least one row, got none")
    model._check_indices(features, "lsuv")
    graph, names = model._graph(features.shape[1]), model._parameter_names()
    layers = [i for i, node in enumerate(graph.nodes) if node["op"] == "linear"]
    variances: dict[str, float] = {}
    with model._exclusive("lsuv", seed) as state:
        for i in layers:
            weight, *bias = graph.nodes[i]["parameters"]
            state.parameter(weight)[...] = Orthogonal().draw(tuple(graph.parameter_shapes[weight]), seed, weight)
            for index in bias:
                state.parameter(index)[...] = 0
        for i in layers:
            specs = [(name, shape, False) for name, shape in zip(names, graph.parameter_shapes, strict=True)]
            part = _core.Graph([features.shape[1]], specs)
            for node in graph.nodes[: i + 1]:
                part.add(node["op"], list(node["options"].items()), node["inputs"], node["parameters"])
            part.set_output(i + 1)
            output = np.empty((len(features), math.prod(part.shape(i + 1))), model.dtype)
            weight = graph.nodes[i]["parameters"][0]
            for division in range(rounds + 1):
                _core.Predictor(part, state).predict(features, output)
                variance = variances[names[weight]] = float(output.var(dtype=np.float64))
                if abs(variance - 1) <= distance or variance == 0 or division == rounds:
                    break
                state.parameter(weight)[...] /= math.sqrt(variance)
    return variances
