"""Packages, bentos and the wheel that goes into them."""
