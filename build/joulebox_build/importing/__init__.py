"""A finished ONNX model becomes a package."""
