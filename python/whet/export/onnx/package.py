"""The package onnx, and the version of its operations that whet writes."""

from __future__ import annotations

from typing import Any

__all__ = ["IR_VERSION", "ML_OPSET", "OPSET", "onnx_package"]

#: Of the operations of ONNX, since January 2024: the first with Gelu. onnxruntime has it from 1.17 on.
OPSET = 20
#: Of those in the domain ai.onnx.ml, which tell categories.
ML_OPSET = 3
#: Of the file's own format: that of the same release.
IR_VERSION = 9


def onnx_package(where: str) -> Any:
    """The package.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise ImportError(f"[{where}] needs the package onnx: pip install onnx") from None
    return onnx
