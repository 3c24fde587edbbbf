"""What whet raises and warns with, besides Python's own TypeError, ValueError and OSError."""

from whet._core import NonFiniteError

__all__ = ["NonFiniteError", "WhetWarning"]


class WhetWarning(UserWarning):
    """Something that works, but perhaps not as meant."""
