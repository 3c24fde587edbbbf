"""Module: a model as a tree of layers, traced into a graph."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from whet import _core
from whet._arrays import (
    CoreFeatures,
    Features,
    Floats,
    SparseFloats,
    as_array,
    as_features,
    as_floats,
    as_sparse,
    check_finite,
    is_sparse,
    read_only,
)
from whet._checks import as_seed
from whet.nn import storage
from whet.nn.parameter import Buffer, Parameter
from whet.nn.structure import Structure, current
from whet.nn.tracing import Outputs, Trace, Value, trace_loss, values_of
from whet.schedules import Schedule
from whet.training.model import Model

if TYPE_CHECKING:
    from whet.losses import TracedLoss
    from whet.nn.summary import Summary

__all__ = ["Module"]

_DTYPES = ("float32", "float64")
# Attributes that say nothing of what a module computes.
_BOOKKEEPING = frozenset(
    {
        "history",
        "stop_training",
        "_loss",
        "_metrics",
        "_optimizer",
        "_targets",
        "_predictor",
        "_flat",
        "_traced",
        "_walked",
        "_changes",
    }
)
_Self = TypeVar("_Self", bound="Module")


class _Traced(NamedTuple):
    """What tracing for inputs of some width found."""

    width: int
    structure: Structure
    graph: _core.Graph
    layers: list[str]  # of each node
    outputs: Outputs
    schedules: list[Schedule]


def _forward_missing(self: Module, *_: object) -> Any:
    """What the module makes of traced values. To be written by subclasses."""
    raise TypeError(f"[{type(self).__name__}] has no forward(self, x)")


class Module(Model):
    """The base of layers and models.

    A subclass makes its layers in ``__init__`` (modules, lists of modules and parameters that are attributes are found
    there) and says in ``forward(self, x)`` how they are joined. ``forward`` runs once, on symbolic values; layers,
    ``+`` and ``nn.concatenate`` act on them.

    Parameters are drawn when first needed: by ``initialize(seed)``, by the first fit or Trainer (from its seed), or by
    whatever reads them first (seed 0). Their names, shapes and layouts are PyTorch's.
    """

    _dtype = "float32"
    _flat: _core.State | None = None
    _traced: _Traced | None = None
    _inputs: tuple[tuple[str, int], ...] = ()  # name and width of each input, where forward takes several
    _walked: Structure | None = None
    _changes = 0

    forward: Callable[..., Any] = _forward_missing

    @overload
    def __call__(self, x: Value, *others: Value) -> Value: ...
    @overload
    def __call__(self, x: ArrayLike) -> Floats: ...
    def __call__(self, x: Value | ArrayLike, *others: Value) -> Value | Floats:
        """``forward`` for traced values; ``predict`` for data."""
        if isinstance(x, Value):
            value: Value = x._trace.enter(self, [x, *others])
            return value
        if others:
            raise TypeError(f"[{type(self).__name__}] expected one array, got {1 + len(others)}")
        return self.predict(x)

    # Structure

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Module, Parameter)) and hasattr(Module, name):
            raise ValueError(f"[{type(self).__name__}] expected another name for a layer: every module has '{name}'")
        super().__setattr__(name, value)
        self._note_change(name)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._note_change(name)

    def _note_change(self, name: str) -> None:
        if name not in _BOOKKEEPING:
            self._changes += 1
            _core.structure_changed()

    def _structure(self) -> Structure:
        self._walked = current(self, self._walked)
        return self._walked

    def children(self) -> Iterator[tuple[str, Parameter | Module]]:
        """Parameters and modules that are attributes, by name, parameters first; lists count by index."""
        entries: list[tuple[str, Parameter | Module]] = []
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Module)):
                entries.append((name, value))
            elif isinstance(value, (list, tuple)):
                entries += [
                    (f"{name}.{i}", item) for i, item in enumerate(value) if isinstance(item, (Parameter, Module))
                ]
        yield from sorted(entries, key=lambda entry: isinstance(entry[1], Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module under the name `prefix`, and every module within."""
        yield prefix, self
        for name, child in self.children():
            if isinstance(child, Module):
                yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Every parameter under PyTorch's name, such as "0.weight"; a shared one once, or under each of its names."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, child in module.children():
                if isinstance(child, Parameter) and not (remove_duplicate and id(child) in seen):
                    seen.add(id(child))
                    yield (f"{prefix}.{name}" if prefix else name), child

    # Parameters

    @property
    def dtype(self) -> str:
        """What the model computes in: "float32" or "float64"."""
        return self._dtype

    def initialize(self: _Self, seed: int = 0) -> _Self:
        """Draws all parameters anew from `seed`. Returns the model.

        Raises:
            TypeError: If `seed` is no integer.
            ValueError: If it is negative or 2^64 or more.
            RuntimeError: If another thread is training them.
        """
        seed = as_seed(seed, "initialize")
        parameters = dict(self.named_parameters())
        with storage.idle(parameters, "initialize"):
            for index, parameter in enumerate(parameters.values()):
                parameter.draw(seed, index)
        return self

    def to(self: _Self, dtype: str) -> _Self:
        """Computes in "float32" or "float64" from now on; parameters are converted. Returns the model.

        Raises:
            TypeError: If `dtype` names no dtype.
            ValueError: If it names another one, or a parameter is too large for it.
        """
        if dtype is None:
            raise TypeError("[to] expected 'float32' or 'float64', got None")
        try:
            name = np.dtype(dtype).name
        except TypeError:
            raise TypeError(f"[to] expected 'float32' or 'float64', got {dtype!r}") from None
        if name not in _DTYPES:
            raise ValueError(f"[to] expected 'float32' or 'float64', got '{name}'")
        for key, parameter in self.named_parameters():
            if parameter.drawn:
                as_floats(parameter.values, name, "to", key)  # refuses what is too large
        self._dtype = name
        return self

    def _state(self) -> _core.State:
        parameters = self._structure().parameters
        if self._flat is not None and storage.holds(self._flat, parameters, self._dtype):
            return self._flat
        # Reading moves nothing that another model holds, or that is being trained: it gets a copy.
        if all(p.owner is None or p.owner is self._flat for p in parameters.values()):
            with contextlib.suppress(RuntimeError), storage.idle(parameters, "read"):
                self._flat = storage.gather(parameters, self._dtype, 0)
                return self._flat
        return storage.copied(parameters, self._dtype)

    @contextlib.contextmanager
    def _exclusive(self, where: str, seed: int = 0, state: _core.State | None = None) -> Iterator[_core.State]:
        parameters = self._structure().parameters
        with storage.idle(parameters, where):
            if state is None:
                if self._flat is None or not storage.holds(self._flat, parameters, self._dtype):
                    self._flat = storage.gather(parameters, self._dtype, seed)
                state = self._flat
            elif not storage.holds(state, parameters, self._dtype):
                raise RuntimeError(
                    f"[{where}] the model's parameters have moved since this Trainer was made: make another"
                )
            storage.hold(state)
        try:
            yield state
        finally:
            storage.release(state)

    def _version(self) -> int | None:
        return self._structure().version

    def _parameter_names(self) -> list[str]:
        return list(self._structure().parameters)

    def _frozen(self) -> list[str]:
        return [name for name, parameter in self._structure().parameters.items() if not parameter.requires_grad]

    def state_dict(self) -> dict[str, Floats]:
        """Every parameter by name, a shared one by each of its names: read-only views, which follow the training."""
        return self._tensors(self.named_parameters(remove_duplicate=False))

    def _tensors(self, named: Iterable[tuple[str, Parameter]]) -> dict[str, Floats]:
        self._state()
        return {name: read_only(p.values if p.owner is not None else p.values.astype(self._dtype)) for name, p in named}

    def load_state_dict(self, state_dict: Mapping[str, ArrayLike]) -> None:
        """Copies values into all parameters; one of a shared parameter's names will do.

        Raises:
            TypeError: If `state_dict` is no mapping of arrays of numbers.
            ValueError: If names or shapes differ, two names of a parameter have different values, or a value is NaN or
                infinite; nothing is changed then.
            RuntimeError: If another thread is training them.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"[load_state_dict] expected a mapping of names to arrays, got {type(state_dict).__name__}")
        parameters = dict(self.named_parameters(remove_duplicate=False))
        given = {id(parameter) for name, parameter in parameters.items() if name in state_dict}
        missing = [name for name, parameter in parameters.items() if id(parameter) not in given]
        extra = [name for name in state_dict if name not in parameters]
        if missing or extra:
            raise ValueError(
                f"[load_state_dict] expected the parameters {', '.join(parameters) or 'none'}; "
                f"missing: {', '.join(missing) or 'none'}; not known: {', '.join(map(str, extra)) or 'none'}"
            )
        values: dict[int, Floats] = {}
        for name, parameter in parameters.items():
            if name not in state_dict:
                continue
            array = as_array(state_dict[name], "load_state_dict", name)
            if array.shape != parameter.shape:
                raise ValueError(f"[load_state_dict] expected {name} with shape {parameter.shape}, got {array.shape}")
            found = as_floats(array, self._dtype, "load_state_dict", name)
            check_finite(found.reshape(len(array) if array.ndim else 1, -1), "load_state_dict", name)
            if not np.array_equal(values.setdefault(id(parameter), found), found):
                raise ValueError(f"[load_state_dict] expected {name} to have the values of the same parameter's others")
        self._state()
        with storage.idle(parameters, "load_state_dict"):
            for parameter in parameters.values():
                parameter.values[...] = values[id(parameter)]

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over (name, dtype, shape, little-endian bytes) of every parameter in order."""
        digest = hashlib.sha256()
        for name, array in self.state_dict().items():
            shape = ",".join(map(str, array.shape))
            digest.update(f"{name}\0{array.dtype.name}\0{shape}\0".encode())
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    # Tracing

    def _graph(self, width: int) -> _core.Graph:
        return self._trace(width).graph

    def _trace(self, width: int) -> _Traced:
        structure, known = self._structure(), self._traced
        if known is not None and known.width == width and known.structure is structure:
            return known
        trace = Trace(width, structure.parameters)
        output = trace.run(self, [each for _, each in self._inputs])
        self._traced = _Traced(width, structure, trace.graph, trace.layers, Outputs.of(output), trace.schedules)
        return self._traced

    def _graph_with_loss(self, width: int, loss: TracedLoss, target: int) -> _core.Graph:
        trace = Trace(width, self._structure().parameters)
        prediction = trace.run(self, [each for _, each in self._inputs])
        output = trace.graph.output
        trace.add_loss(loss, prediction, target)
        trace.graph.set_output(output)  # what metrics read, not the loss
        return trace.graph

    def _loss_graph(self, loss: TracedLoss, width: int, target: int) -> _core.Graph:
        return trace_loss(loss, self._trace(width).outputs, target)

    def _layers_of_nodes(self, width: int) -> list[str]:
        return self._trace(width).layers

    def _schedules(self, width: int) -> list[Schedule]:
        return self._trace(width).schedules

    def _needs_several(self) -> bool:
        parameters = inspect.signature(self.forward).parameters.values()
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return sum(each.kind in plain and each.default is each.empty for each in parameters) > 1

    def _check_indices(self, features: CoreFeatures, where: str) -> None:
        if isinstance(features, SparseFloats):
            return  # they go into linear layers alone
        graph = self._graph(features.shape[1])
        for node in graph.nodes:
            if node["op"] != "embedding":
                continue
            table = graph.parameter_shapes[node["parameters"][0]][0]
            numbers = values_of(graph, node["inputs"][0], features)
            wrong = (numbers < 0) | (numbers >= table) | (numbers != np.floor(numbers))
            if wrong.any():
                row, column = (int(i) for i in np.argwhere(wrong)[0])
                raise ValueError(
                    f"[{where}] expected whole numbers from 0 to {table - 1} for an embedding, "
                    f"got another one first in row {row} of X, number {column} of those looked up"
                )

    def _has_one_output(self, width: int) -> bool:
        return not self._trace(width).outputs.several

    def _as_returned(self, rows: Floats, width: int) -> Any:
        return self._trace(width).outputs.split(rows)

    def _check_takes_sparse(self, width: int, where: str) -> None:
        """Raises TypeError if anything but a linear layer reads the input."""
        traced = self._trace(width)
        node = traced.graph.dense_reader
        if node < 0:
            return
        layer = traced.layers[node]
        place = f"layer '{layer}'" if layer else "the model's forward"
        raise TypeError(
            f"[{where}] expected X as a dense array, which its toarray() makes of a sparse one: "
            f"it goes into {traced.graph.nodes[node]['op']} in {place}, and only linear layers read sparse rows"
        )

    def _features(self, X: Features, where: str, width: int | None = None) -> CoreFeatures:
        names = [name for name, _ in self._inputs] or list(inspect.signature(self.forward).parameters)
        if is_sparse(X) or not isinstance(X, Mapping):
            if self._inputs or (self._traced is None and self._needs_several()):
                raise TypeError(
                    f"[{where}] expected a mapping with an array for each input of forward, {', '.join(names)}; "
                    f"got {type(X).__name__}"
                )
            if is_sparse(X):
                sparse = as_sparse(X, self.dtype, where, width)
                self._check_takes_sparse(sparse.shape[1], where)
                return sparse
            return as_features(cast("ArrayLike", X), self.dtype, where, width)
        if set(X) != set(names):
            given = ", ".join(map(str, X)) or "none"
            raise ValueError(f"[{where}] expected X to have {', '.join(names)}, as forward has, got {given}")
        parts = [as_features(X[name], self.dtype, where, name=f"X[{name!r}]") for name in names]
        if len({len(part) for part in parts}) > 1:
            sizes = ", ".join(f"{name} {part.shape}" for name, part in zip(names, parts, strict=True))
            raise ValueError(f"[{where}] expected inputs with equally many rows, got {sizes}")
        if len(parts) == 1:
            return parts[0]
        inputs = tuple((name, part.shape[1]) for name, part in zip(names, parts, strict=True))
        if inputs != self._inputs:
            before, self._inputs = self._inputs, inputs
            try:
                self._graph(sum(width for _, width in inputs))
            except BaseException:
                self._inputs = before  # a call that is refused leaves the model as it was
                raise
        return np.concatenate(parts, axis=1)

    def _apart(self, features: Floats) -> Floats | dict[str, Floats]:
        """What `_features` was given: an array for each input by name, where forward takes several."""
        if not self._inputs:
            return features
        ends = np.cumsum([width for _, width in self._inputs])[:-1]
        parts = np.split(features, ends, axis=1)
        return {name: part for (name, _), part in zip(self._inputs, parts, strict=True)}

    def _feature_names(self, X: object, width: int) -> tuple[str, ...]:
        """Names of the features of `X`: those of a table with names, of its inputs, else x0, x1 and so on."""
        if isinstance(X, Mapping) and self._inputs:
            return tuple(name if size == 1 else f"{name}.{i}" for name, size in self._inputs for i in range(size))
        columns = getattr(X, "column_names", getattr(X, "columns", None))  # the first is PyArrow's
        return tuple(map(str, columns)) if columns is not None else tuple(f"x{i}" for i in range(width))

    def _width(self) -> int:
        """The number of features the model was last traced with, else that of its first layer if no other fits.

        Raises:
            ValueError: If it may be another, or the first layer does not tell it.
        """
        if self._traced is not None:
            return self._traced.width
        if self._inputs:
            return sum(width for _, width in self._inputs)
        widths = [parameter.shape[1] for _, parameter in self.named_parameters() if len(parameter.shape) == 2]
        misfit = self._misfit(widths[0]) if widths else None
        if widths and misfit is None and self._misfit(widths[0] + 1) is not None:
            return widths[0]
        told = "" if misfit is None else f"; {widths[0]}, as its first weight has, do not fit: {misfit}"
        raise ValueError(
            f"[{type(self).__name__}] does not say how many features it takes: fit it or predict with it first{told}"
        )

    def _misfit(self, width: int) -> Exception | None:
        """What tracing for so many features raises, if anything."""
        try:
            Trace(width, self._structure().parameters).run(self, [])
        except (ValueError, TypeError, IndexError) as error:
            return error
        return None

    def summary(self) -> Summary:
        """A table of what a training step runs: layers, what is fused, output shapes, parameters and FLOPs.

        Text, which a notebook shows as a table.
        """
        from whet.nn.summary import summarize

        traced = self._trace(self._width())
        parameters = enumerate(traced.structure.parameters.values())
        buffers = {i for i, parameter in parameters if isinstance(parameter, Buffer)}
        return summarize(traced.graph, traced.layers, buffers, self._dtype, type(self).__name__)

    # Files and copies

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters, structure, loss and metrics to a file that ``whet.load`` opens, all or nothing.

        Raises:
            OSError: If the file cannot be written; an earlier file of that name is then whole.
        """
        from whet.files import write_model

        write_model(path, *self._description())

    def _description(self) -> tuple[dict[str, Floats], dict[str, Any]]:
        from whet.nn.description import describe

        return describe(self)

    @staticmethod
    def _from_description(tensors: Mapping[str, Floats], description: Mapping[str, Any]) -> Module:
        from whet.nn.description import restore

        return restore(tensors, description)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_flat": None, "_traced": None, "_walked": None}

    def _arguments(self) -> dict[str, Any]:
        """The arguments that would make this layer again; for repr and files."""
        return {}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        inner = [
            f"  ({name}): {child!r}".replace("\n", "\n  ")
            for name, child in self.children()
            if isinstance(child, Module)
        ]
        if not inner:
            return f"{type(self).__name__}({arguments})"
        return f"{type(self).__name__}(\n" + "\n".join(inner) + "\n)"
