"""Data as people have them, as a Dataset: a folder of images, a CSV file, a NumPy file."""

from joulebox_build.data.adapters.arrays import read_arrays
from joulebox_build.data.adapters.augment import shifted
from joulebox_build.data.adapters.folder import read_folder
from joulebox_build.data.adapters.table import read_table

__all__ = ["read_arrays", "read_folder", "read_table", "shifted"]
