"""The machine that this runs on: which one it is, how busy, and what was learnt about it, kept under `$JOULEBOX_STATE`."""

from joulebox.host.calibration import Calibration, keep_calibrations, read_calibrations
from joulebox.host.fingerprint import Host, available_memory, describe_host
from joulebox.host.gpus import Gpus, find_gpus
from joulebox.host.instructions import instructions
from joulebox.host.jetson import Jetson, find_jetson
from joulebox.host.measurements import keep_measurement
from joulebox.host.state import State, StateError, open_state
from joulebox.host.tuning import Choice, Objective, Tuning, keep_tuning, read_tuning
from joulebox.host.utilisation import Utilisation

__all__ = [
    "Calibration",
    "Choice",
    "Gpus",
    "Host",
    "Jetson",
    "Objective",
    "State",
    "StateError",
    "Tuning",
    "Utilisation",
    "available_memory",
    "describe_host",
    "find_gpus",
    "find_jetson",
    "instructions",
    "keep_calibrations",
    "keep_measurement",
    "keep_tuning",
    "open_state",
    "read_calibrations",
    "read_tuning",
]
