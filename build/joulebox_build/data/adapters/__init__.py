"""Data as people have them, as a Dataset: a folder of images, a CSV file of numbers or of texts, a NumPy file."""

from joulebox_build.data.adapters.arrays import read_arrays
from joulebox_build.data.adapters.augment import shifted, thinned
from joulebox_build.data.adapters.folder import read_folder
from joulebox_build.data.adapters.table import read_table
from joulebox_build.data.adapters.texts import read_texts

__all__ = ["read_arrays", "read_folder", "read_table", "read_texts", "shifted", "thinned"]
