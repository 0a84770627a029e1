"""Joulebox's build host: distils, quantizes, gates and packages a model. Never installed on a device."""
