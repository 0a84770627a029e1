"""The container image that BentoML makes of a bento: its requirements are exact already, and our wheel lies in the bento."""

from __future__ import annotations

import sys

from bentoml.images import Image

IMAGE = Image(
    base_image=f"docker.io/library/python:{sys.version_info.major}.{sys.version_info.minor}-slim",
    distro="none",  # with a named one BentoML installs a compiler, which is half of a 1.1 GB image
    lock_python_packages=False,
    build_include_paths=["wheels"],
)
