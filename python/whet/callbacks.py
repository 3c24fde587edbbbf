"""Callbacks: objects whose methods ``fit`` calls between epochs or steps, with Keras' names, arguments and rules."""

from __future__ import annotations

from whet.training.callbacks.base import (
    Callback,
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    Pause,
    TerminateOnNaN,
)
from whet.training.callbacks.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from whet.training.callbacks.progress import Progress
from whet.training.callbacks.trackers import MLflow, OptunaPruning, TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "MLflow",
    "ModelCheckpoint",
    "OptunaPruning",
    "Pause",
    "Progress",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
