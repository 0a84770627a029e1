"""Searching over a recipe: an Optuna study whose trials are builds without a look at the test data."""
