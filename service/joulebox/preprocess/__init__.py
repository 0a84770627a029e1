"""From samples as people have them to the tensors of a model, as its manifest says. The build host uses the same code."""
