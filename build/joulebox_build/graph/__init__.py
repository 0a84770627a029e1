"""ONNX graphs: made from networks, read, brought into one form, run."""
