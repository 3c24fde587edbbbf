"""Models in the formats of others."""

from whet.export.c_source import to_c
from whet.export.safetensors import from_safetensors, to_safetensors

__all__ = ["from_safetensors", "to_c", "to_safetensors"]
