"""The evidence, for people and for scripts."""
