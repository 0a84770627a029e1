"""A loaded model's life, the repository of models, and the sampler that watches what they use."""
