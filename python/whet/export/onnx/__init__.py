"""ONNX: writing.py makes a file of a model, by operations.py and tables.py; reading.py makes a model of a file."""
