"""Idle power that was measured on this host on purpose, for the devices that serving reads."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from joulebox.energy import Idle, Sources, with_calibrations
from joulebox.host import Calibration, StateError, open_state, read_calibrations

log = logging.getLogger("joulebox.energy")

ERROR_LEAST = 0.03  # of the power: what one session measures to a thousandth is another the next day


def calibrated(sources: Sources, environment: Mapping[str, str]) -> Sources:
    """The same with each device's calibration, by the names of device and reader, where this host has one."""
    try:
        found = read_calibrations(open_state(environment))
    except StateError as error:
        log.warning("no calibration is used: %s", error)
        return sources
    known = {(each.device, each.reader, each.identity): _idle(each) for each in found}
    return with_calibrations(sources, known)


def _idle(calibration: Calibration) -> Idle:
    error_watts = max(calibration.error_watts, ERROR_LEAST * calibration.watts)
    return Idle(calibration.watts, error_watts, "calibration")
