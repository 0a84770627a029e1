"""Labelled data: what it is, where it comes from, and what is wrong with it."""
