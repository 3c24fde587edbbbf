"""Models in the formats of others."""

from whet.export.c_source import to_c
from whet.export.onnx.reading import from_onnx
from whet.export.onnx.writing import to_onnx
from whet.export.safetensors import from_safetensors, to_safetensors

__all__ = ["from_onnx", "from_safetensors", "to_c", "to_onnx", "to_safetensors"]
