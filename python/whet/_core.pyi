"""The compiled core. Arrays arrive with exactly the dtype and layout that the kernels want: whet._arrays converts."""

from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

__version__: str
compiler: str

class NonFiniteError(ArithmeticError): ...

class _Function(TypedDict):
    name: str
    options: dict[str, float]

class _Optimizer(_Function):
    slots: list[str]

class _Instruction(TypedDict):
    op: str
    activation: str  # fused into the operation, or ""
    parameters: list[int]
    node: int
    output: int
    input_gradient: bool  # whether the backward pass computes that of an input
    derivative: str  # of the activation before, fused into that, or ""

class _Node(TypedDict):
    op: str
    options: dict[str, float]
    inputs: list[int]
    parameters: list[int]
    output: int

_Array = NDArray[Any]
_Options = list[tuple[str, float]]
_LossOptions = list[tuple[str, float | tuple[float, ...]]]
_Specs = list[tuple[str, list[int]]]

_F = TypeVar("_F", bound=Callable[..., Any])

def fast(function: _F, /) -> _F: ...
def num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def limit_threads_here(n: int) -> None: ...
def instruction_set() -> str: ...
def available_instruction_sets() -> list[str]: ...
def activations() -> list[_Function]: ...
def losses() -> list[_Function]: ...
def optimizers() -> list[_Optimizer]: ...
def op_names() -> list[str]: ...
def matmul(
    out: _Array,
    a: _Array,
    transpose_a: bool,
    b: _Array,
    transpose_b: bool,
    bias: _Array | None,
    activation: str,
    options: _Options,
    precision: str,
    /,
) -> None: ...
def activate(out: _Array, x: _Array, name: str, options: _Options, /) -> None: ...
def activation_gradient(dx: _Array, dy: _Array, x: _Array, name: str, options: _Options, /) -> None: ...
def loss(
    gradient: _Array | None,
    prediction: _Array,
    target: _Array,
    weights: _Array | None,
    name: str,
    options: _LossOptions,
    /,
) -> float: ...
def softmax(out: _Array, x: _Array, /) -> None: ...
def update(
    parameter: _Array, gradient: _Array, slots: list[_Array], step: int, name: str, options: _Options, /
) -> None: ...
def find_nonfinite(x: _Array, /) -> tuple[int, int] | None: ...
def fma_loop(threads: int, rounds: int, /) -> float: ...
def stream(p: _Array, g: _Array, m: _Array, v: _Array, threads: int, /) -> None: ...
def random_uniform(seed: int, index: int, low: float, high: float, n: int, /) -> NDArray[np.float64]: ...
def random_normal(seed: int, index: int, mean: float, deviation: float, n: int, /) -> NDArray[np.float64]: ...
def random_permutation(seed: int, n: int, /) -> NDArray[np.int64]: ...
def coordinate_descent(
    w: _Array,
    x: _Array,
    y: _Array,
    l1: float,
    l2: float,
    tolerance: float,
    max_sweeps: int,
    positive: bool,
    random: bool,
    seed: int,
    /,
) -> tuple[float, int, bool]: ...
def coordinate_descent_gram(
    w: _Array,
    gram: _Array,
    q: _Array,
    y_squares: float,
    l1: float,
    l2: float,
    tolerance: float,
    max_sweeps: int,
    positive: bool,
    random: bool,
    seed: int,
    /,
) -> tuple[float, int, bool]: ...
def coordinate_descent_sparse(
    w: _Array,
    values: _Array,
    index: _Array,
    start: _Array,
    means: _Array,
    weight: float,
    y: _Array,
    l1: float,
    l2: float,
    tolerance: float,
    max_sweeps: int,
    positive: bool,
    random: bool,
    seed: int,
    /,
) -> tuple[float, int, bool]: ...
def descend_rows(
    w: _Array,
    average: _Array,
    intercept: float,
    average_intercept: float,
    data: _Array,
    index: _Array | None,
    start: _Array | None,
    y: _Array,
    weights: _Array,
    held: _Array,
    t: float,
    how: dict[str, Any],
    told: Callable[[float, float, int], bool] | None,
    score: Callable[[float], float] | None,
    /,
) -> tuple[float, float, int, bool]: ...
def structure_version() -> int: ...
def structure_changed() -> None: ...

class SparseRows:
    @property
    def values(self) -> NDArray[np.floating[Any]]: ...
    @property
    def columns(self) -> NDArray[np.int32]: ...
    @property
    def starts(self) -> NDArray[np.int64]: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    def __init__(
        self, values: NDArray[np.floating[Any]], columns: NDArray[np.int32], starts: NDArray[np.int64], width: int
    ) -> None: ...

class Graph:
    output: int
    dense_reader: int  # the first node that cannot read the input sparse; beyond all nodes: the output; or -1
    nodes: list[_Node]
    parameter_shapes: list[list[int]]
    target: int  # or -1
    def __init__(self, input: list[int], parameters: list[tuple[str, list[int], bool]]) -> None: ...
    def add_target(self, shape: list[int]) -> int: ...
    def set_loss(self, value: int) -> None: ...
    def add(self, op: str, options: _Options, inputs: list[int], parameters: list[int]) -> int: ...
    def set_output(self, value: int) -> None: ...
    def shape(self, value: int) -> tuple[int, ...]: ...
    def plan(self, dtype: str) -> list[_Instruction]: ...

class State:
    dtype: str
    left: bool
    def __init__(self, parameters: _Specs, dtype: str) -> None: ...
    def parameter(self, i: int) -> _Array: ...

class Predictor:
    graph: Graph
    state: State
    version: int | None
    def __init__(self, graph: Graph, state: State) -> None: ...
    def predict(self, x: _Array | SparseRows, out: _Array) -> None: ...

class Sampler:
    def __init__(self, graph: Graph, state: State, numbers: list[float]) -> None: ...
    def sample(self, x: _Array, out: _Array, seed: int, number: int) -> None: ...

class Differentiator:
    def __init__(self, graph: Graph, state: State) -> None: ...
    def differentiate(self, x: _Array, dy: _Array, dx: _Array) -> None: ...

def roc_area(scores: _Array, positive: NDArray[np.bool_], weights: _Array | None) -> float: ...

class MetricSums:
    def __init__(
        self, dtype: str, kind: str, link: str, first: int, columns: int, threshold: float, wanted: list[str]
    ) -> None: ...
    def add(self, outputs: _Array, truth: _Array, weights: _Array | None) -> None: ...
    @property
    def all(self) -> NDArray[np.float64]: ...
    def section(self, name: str) -> NDArray[np.float64]: ...

class EpochPosition:
    stop: bool
    @property
    def batches(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def loss_sum(self) -> float: ...
    @property
    def weight_sum(self) -> float: ...
    def __init__(self, batches: int = 0, steps: int = 0, loss_sum: float = 0.0, weight_sum: float = 0.0) -> None: ...

def slots(
    optimizer: str, options: _Options, parameter: list[int], numbers: list[float]
) -> list[tuple[str, list[int]]]: ...

class Trainer:
    steps: int
    numbers: list[float]
    def __init__(
        self,
        graph: Graph,
        state: State,
        loss: str,
        loss_options: _LossOptions,
        optimizer: str,
        groups: list[_Options],
        group_of: list[int],
        shaping: _Options,
        precision: str,
        seed: int,
    ) -> None: ...
    def set_row_loss(self, function: Callable[[_Array, _Array], tuple[_Array, _Array]], targets: int) -> None: ...
    def set_reduction(self, factor: float, mean: bool) -> None: ...
    def step(self, x: _Array | SparseRows, y: _Array, weights: _Array | None) -> float: ...
    def epoch(
        self,
        x: _Array | SparseRows,
        y: _Array,
        weights: _Array | None,
        batch_rows: int,
        shuffle: bool,
        number: int,
        max_steps: int,
        schedules: list[tuple[int, str, list[float]]],
        predictions: _Array | None,
        position: EpochPosition,
        seconds: float,
        first_batch: int = 0,
        measured: tuple[MetricSums, _Array, _Array | None] | None = None,
    ) -> None: ...
    def record(self, every: int) -> None: ...
    @property
    def sums(self) -> NDArray[np.float64]: ...
    @property
    def recorded(self) -> list[tuple[int, int, bool]]: ...  # node, units, and whether it is bounded on both sides
    def gradient(self, i: int) -> _Array: ...
    def slot(self, slot: int, i: int) -> _Array: ...
    def average_after(self, steps: int) -> None: ...
    def swap_average(self) -> bool: ...
