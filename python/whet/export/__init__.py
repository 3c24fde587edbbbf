"""Models in the formats of others."""

from whet.export.safetensors import from_safetensors, to_safetensors

__all__ = ["from_safetensors", "to_safetensors"]
