"""Benchmarks of Joulebox beside others; `make bench` runs them. Nothing here is a timed test."""
