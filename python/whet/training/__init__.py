"""The training loop: fit, step-by-step training, and what they record."""

from whet.training.history import History
from whet.training.model import Model
from whet.training.trainer import Trainer

__all__ = ["History", "Model", "Trainer"]
