"""Checkpoints of a fit: written at whole steps, and found again by a fit that is resumed.

A file has the model as it would be if the training ended there, so that ``whet.load`` opens it, and beside it all that
the training goes on with. What callbacks and learning rates hold is noted where an epoch begins; with the engine's
position in the epoch, that describes every step of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from whet import _core
from whet._arrays import Floats
from whet._checks import as_path
from whet.errors import WhetWarning
from whet.files import OF_TRAINING, checkpoint_name, checkpoints, read_whole, remove_leftovers, write_model
from whet.training.checkpoints.identity import differences
from whet.training.checkpoints.packing import pack, unpack
from whet.training.checkpoints.termination import Termination
from whet.training.engine import averaged, slots

if TYPE_CHECKING:
    from whet.training.loop import Loop

__all__ = ["Checkpoints", "Directory", "NoCheckpoints", "Place"]

#: Rises when an older whet could not go on from what this one writes.
VERSION = 1

_SLOTS, _CALLBACKS, _RECORDS, _BACK, _METRICS = (
    OF_TRAINING + name for name in ("slots/", "callbacks", "records/", "back/", "")
)


@dataclass(frozen=True)
class Directory(os.PathLike[str]):
    """A directory of checkpoints, and how their files describe what a model is a part of."""

    path: str
    enclose: Callable[[dict[str, Any]], dict[str, Any]] = dict

    @classmethod
    def of(cls, given: object) -> Directory:
        """The directory that a fit was given."""
        return given if isinstance(given, cls) else cls(os.path.abspath(as_path(given, "fit")))

    def __fspath__(self) -> str:
        return self.path


@dataclass
class Place:
    """Where a training stands."""

    epoch: int = 0
    position: _core.EpochPosition = field(default_factory=_core.EpochPosition)
    begun: bool = False  # whether callbacks know of the epoch
    stopped_by: str | None = None  # what ended the training before this epoch


@dataclass
class _Noted:
    """A place, and what else the training holds there."""

    place: Place
    best_epoch: int | None
    rates: list[Any]
    callbacks: Any
    arrays: dict[str, NDArray[Any]]  # of the callbacks


class NoCheckpoints:
    """What a loop asks of its checkpoints; of these, none are kept."""

    def __init__(self, loop: Loop) -> None:
        self._loop: Loop = weakref.proxy(loop)  # which has this: what training needed goes with the last of it

    def __enter__(self) -> NoCheckpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def find(self) -> None:
        """Looks for one to go on from, and checks that it is of this fit."""

    def begin(self) -> Place:
        """Begins the training, or takes up what was found. Returns the place to go on from."""
        self._loop.run.begin()
        return Place()

    def begin_epoch(self, place: Place) -> None:
        """Called when callbacks know of the epoch."""

    def steps(self, most: int) -> int:
        """How many steps the engine may take until it is time for a checkpoint."""
        return most

    def after_callbacks(self, place: Place) -> None:
        """Called after callbacks were called between steps."""

    def after_steps(self, ended: bool) -> None:
        """Called after each call of the engine, with whether it saw the last batch of the epoch."""

    def cut_short(self) -> None:
        """Called where the training ends in the middle of an epoch."""

    def keep_best(self, epoch: int) -> None:
        """Called while the model is as it was evaluated after an epoch."""

    def end_epoch(self, place: Place) -> None:
        """Called after each epoch, with the place of the next one."""

    def interrupted(self) -> None:
        """Called on Ctrl-C, and on what leaves the process."""


class Checkpoints(NoCheckpoints):
    """The checkpoints of one fit.

    Args:
        loop: The fit.
        directory: Where they are.
        every: Steps from one to the next; None: one after every epoch.
        keep: How many of the newest stay.
        resume: Whether to go on from the newest good one.
        identity: What the fit is of.
    """

    def __init__(
        self, loop: Loop, directory: Directory, every: int | None, keep: int, resume: bool, identity: dict[str, Any]
    ) -> None:
        super().__init__(loop)
        self._directory = directory
        self._every = every
        self._keep = keep
        self._resume = resume
        self._identity = identity
        self._termination = Termination()
        self._stack = contextlib.ExitStack()
        self._found: tuple[dict[str, Floats], dict[str, Any]] | None = None
        self._model: tuple[dict[str, Floats], dict[str, Any]] = {}, {}
        self._best: tuple[dict[str, Floats], int] | None = None  # waits for the next checkpoint
        self._noted: _Noted | None = None
        self._over = False  # the last one is written

    def __enter__(self) -> Checkpoints:
        try:
            os.makedirs(self._directory, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self._directory.path) from None
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._termination)
            self._lock(stack)
            remove_leftovers(self._directory.path)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _lock(self, stack: contextlib.ExitStack) -> None:
        handle = os.open(self._directory, os.O_RDONLY)
        stack.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"[fit] another fit is writing checkpoints to {self._directory.path!r}") from None
        except OSError:
            pass  # a file system without locks

    def find(self) -> None:
        """Reads the newest good one, if there is one to go on from.

        Raises:
            ValueError: If there are some and none was asked for, all are damaged, or it is of another fit.
        """
        paths = checkpoints(self._directory.path)
        if not paths:
            return
        if not self._resume:
            raise ValueError(
                f"[fit] expected a directory without checkpoints, or resume=True to go on from {paths[0]!r}"
            )
        good, tensors, description = self._newest_good(paths)
        found = differences(description["identity"], self._identity)
        if found:
            raise ValueError(
                f"[fit] expected data and settings of {good!r} to go on from it; other: {'; '.join(found)}"
            )
        self._found = tensors, description

    def _newest_good(self, paths: list[str]) -> tuple[str, dict[str, Floats], dict[str, Any]]:
        bad = []
        for path in paths:
            try:
                tensors, description = read_whole(path)
                found = description["checkpoint"]
                if found["version"] > VERSION:
                    raise ValueError(f"{path!r} is a checkpoint of a newer whet, {description['whet']}")
            except KeyError:
                bad.append(f"{path!r} is no checkpoint")
                continue
            except (ValueError, OSError) as error:
                bad.append(str(error))
                continue
            if bad:
                _warn(f"going on from {path!r}: {'; '.join(bad)}")
            return path, tensors, found
        raise ValueError(f"[fit] expected a good checkpoint in {self._directory.path!r}: {'; '.join(bad)}")

    def begin(self) -> Place:
        """See `NoCheckpoints.begin`."""
        loop = self._loop
        tensors, inner = loop.model._description()
        self._model = tensors, self._directory.enclose(inner)
        if self._found is None:
            return super().begin()
        tensors, found = self._found
        self._found = None
        for i, name in enumerate(loop.model._parameter_names()):
            loop.state.parameter(i)[...] = tensors[name]
        loop.trainer.steps, loop.trainer.numbers = found["steps"], found["numbers"]
        for name, slot in self._slots().items():
            slot[...] = tensors[name]
        if found["averaged"]:
            loop.trainer.swap_average()
        loop.measuring.load(_below(_METRICS, tensors))
        if "back" in found:
            loop.rollback.load_state(found["back"], _below(_BACK, tensors))
        loop.records.load_state(_below(_RECORDS, tensors))
        recorded = (
            unpack(found["history"], tensors),
            unpack(found.get("layers", {}), tensors),
        )  # an older whet writes no layers
        loop.history._take_up(*recorded, found["best_epoch"], found["steps"])
        loop.started -= found["seconds"]
        position = _core.EpochPosition(**found["position"])
        loop.rates.steps = loop.trainer.steps - position.steps
        loop.run.begin(resumed=True)
        loop.rates.load_state(found["rates"])
        loop.run.load_state(unpack(found["callbacks"], tensors))
        return Place(found["epoch"], position, found["begun"], found["stopped_by"])

    def begin_epoch(self, place: Place) -> None:
        """Notes what the epoch begins with: until it ends, only the engine goes on."""
        self._note(place)
        self._termination.watch(place.position)
        self._write_if(False)

    def steps(self, most: int) -> int:
        """See `NoCheckpoints.steps`."""
        return most if self._every is None else min(most, self._every - self._loop.trainer.steps % self._every)

    def after_callbacks(self, place: Place) -> None:
        """Notes what they remember now."""
        self._note(place)

    def after_steps(self, ended: bool) -> None:
        """Writes one if it is time; where the epoch has ended, its end comes first."""
        self._write_if(self._is_time() and not ended)

    def cut_short(self) -> None:
        """Writes the last one, from which a longer training goes on in the middle of the epoch."""
        self._write_if(True)
        self._over = True

    def keep_best(self, epoch: int) -> None:
        """Copies the model, to be written with the next checkpoint, if the epoch is the best so far."""
        if self._loop.history.best_epoch == epoch:
            self._best = {name: array.copy() for name, array in self._model[0].items()}, epoch

    def end_epoch(self, place: Place) -> None:
        """Writes one if it is time, or the training is over."""
        if self._over:
            self._write_best()
        elif self._every is None or self._is_time() or place.stopped_by or self._termination.asked:
            self._note(place)
            self._write_if(True)

    def interrupted(self) -> None:
        """Writes one where the last whole step is."""
        if self._noted is not None and not self._over:
            self._write()

    def _is_time(self) -> bool:
        return self._every is not None and self._loop.trainer.steps % self._every == 0

    def _write_if(self, is_time: bool) -> None:
        asked = self._termination.asked
        if is_time or asked:
            self._write()
        if asked:
            self._termination.deliver()

    def _note(self, place: Place) -> None:
        loop = self._loop
        arrays: dict[str, NDArray[Any]] = {}
        callbacks = pack(loop.run.state(), _CALLBACKS, arrays)
        self._noted = _Noted(place, loop.history._best_epoch, loop.rates.state(), callbacks, arrays)

    def _write(self) -> None:
        """Writes what was noted and where the engine is now; removes old ones then."""
        noted, trainer = self._noted, self._loop.trainer
        if noted is None:
            return
        self._write_best()
        tensors = {**self._model[0], **self._slots(), **noted.arrays}
        tensors |= {_RECORDS + name: array for name, array in self._loop.records.state().items()}
        if noted.place.begun:
            tensors |= {_BACK + name: array for name, array in self._loop.rollback.arrays.items()}
        if noted.place.position.batches:
            tensors |= {_METRICS + name: array for name, array in self._loop.measuring.tensors().items()}
        with averaged(trainer) as swapped:
            description = {**self._model[1], "checkpoint": {"averaged": swapped, **self._description(noted)}}
            written = self._put(checkpoint_name(trainer.steps), tensors, description)
        if written:
            self._remove_old()

    def _description(self, noted: _Noted) -> dict[str, Any]:
        loop, place, position = self._loop, noted.place, noted.place.position
        recorded = {name: column[: place.epoch] for name, column in loop.history.items() if place.epoch}
        layers = {
            kind: {name: column[: place.epoch] for name, column in names.items()}
            for kind, names in loop.history.layers.items()
        }
        return {
            "version": VERSION,
            "steps": loop.trainer.steps,
            "numbers": loop.trainer.numbers,
            "epoch": place.epoch,
            "begun": place.begun,
            "stopped_by": place.stopped_by,
            "position": {name: getattr(position, name) for name in ("batches", "steps", "loss_sum", "weight_sum")},
            "random": {"seed": loop.history.seed},  # all else that numbers are drawn from is epoch and step
            "history": pack(recorded, "history", {}),
            "layers": pack(layers, "layers", {}),
            "best_epoch": noted.best_epoch,
            "seconds": time.perf_counter() - loop.started,
            "rates": noted.rates,
            **({"back": loop.rollback.state()} if place.begun else {}),
            "callbacks": noted.callbacks,
            "identity": self._identity,
        }

    def _write_best(self) -> None:
        if self._best is None:
            return
        tensors, epoch = self._best
        numbers = {name: column[epoch] for name, column in self._loop.history.items()}
        best = pack({"epoch": epoch, **numbers}, "best", {})
        if self._put("best.whet", tensors, {**self._model[1], "best": best}):
            self._best = None

    def _put(self, name: str, tensors: dict[str, Floats], description: dict[str, Any]) -> bool:
        """Writes a file; warns where that fails: those written before are whole, and the training goes on."""
        try:
            write_model(os.path.join(self._directory, name), tensors, description)
        except OSError as error:
            _warn(f"the training goes on without this checkpoint: {error}")
            return False
        return True

    def _remove_old(self) -> None:
        newest = checkpoint_name(self._loop.trainer.steps)
        paths = checkpoints(self._directory.path)
        names = [os.path.basename(path) for path in paths]
        # Those of more steps are damaged: this fit, which goes on from one before, has not written them.
        for path in paths[names.index(newest) + self._keep :]:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _slots(self) -> dict[str, Floats]:
        loop = self._loop
        parameters = {name: loop.state.parameter(i) for i, name in enumerate(loop.model._parameter_names())}
        found = slots(loop.trainer, loop.plan.optimizer, parameters)
        return {_SLOTS + name: array for name, array in found.items()}


def _below(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Those whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _warn(message: str) -> None:
    warnings.warn(f"[fit] {message}", WhetWarning, stacklevel=2)
