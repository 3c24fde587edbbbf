"""Models as C source: what an operation becomes is in graph.py, what it calls in the C files."""

from whet.export.c_source.source import to_c

__all__ = ["to_c"]
