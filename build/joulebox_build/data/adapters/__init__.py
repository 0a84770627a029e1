"""Data as people have them, as a Dataset: a folder of images, a CSV file, a NumPy file."""

from joulebox_build.data.adapters.arrays import arrays
from joulebox_build.data.adapters.augment import shifted
from joulebox_build.data.adapters.folder import folder
from joulebox_build.data.adapters.table import table

__all__ = ["arrays", "folder", "shifted", "table"]
