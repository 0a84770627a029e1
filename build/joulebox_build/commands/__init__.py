"""The build host's commands, which `joulebox` shows where this package is installed."""
