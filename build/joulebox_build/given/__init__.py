"""Recipes that train nothing: a model as it was published, made small, and held against itself."""
