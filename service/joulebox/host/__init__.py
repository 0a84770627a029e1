"""The machine that this runs on: which one it is, how busy, and what was learnt about it, kept under `$JOULEBOX_STATE`."""

from joulebox.host.calibration import Calibration, keep_calibrations, read_calibrations
from joulebox.host.fingerprint import Host, describe_host
from joulebox.host.measurements import keep_measurement
from joulebox.host.state import State, StateError, open_state
from joulebox.host.utilisation import Utilisation

__all__ = [
    "Calibration",
    "Host",
    "State",
    "StateError",
    "Utilisation",
    "describe_host",
    "keep_calibrations",
    "keep_measurement",
    "open_state",
    "read_calibrations",
]
