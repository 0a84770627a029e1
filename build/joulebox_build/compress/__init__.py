"""Making a trained network smaller: pruning and quantization."""
