"""What a model is worth: quality, cost, simpler methods beside it, and the gate."""
