"""The model package: its manifest, reading and checking it, and writing one. Imports nothing else of Joulebox."""

from joulebox.package.errors import PackageError
from joulebox.package.manifest import Manifest, TensorSpec, Variant
from joulebox.package.reader import Package, open_package
from joulebox.package.writer import write_package

__all__ = ["Manifest", "Package", "PackageError", "TensorSpec", "Variant", "open_package", "write_package"]
