"""What the Open Inference Protocol means, shared by its REST and gRPC forms: tensors, requested outputs, the operations."""
