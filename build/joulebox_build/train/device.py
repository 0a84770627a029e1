"""Where networks are trained: on the CUDA device where there is one, else on all cores."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

import torch
from torch import nn

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MMAP_THRESHOLD_MAX, TRIM_NEVER = 32 << 20, 2**31 - 1  # the most that glibc takes


def device() -> torch.device:
    """Where to train."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(network: nn.Module) -> torch.device:
    """Where a network is; one without weights is anywhere."""
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def reduced_precision(where: torch.device | None = None) -> torch.autocast:
    """bfloat16 where it is multiplied in hardware: CUDA's tensor cores, a CPU's AMX (7 times fp32's speed) or AVX-512 (twice)."""
    if where is not None and where.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
    return torch.autocast("cpu", torch.bfloat16, enabled=_multiplies_bfloat16())


def _multiplies_bfloat16() -> bool:
    # torch has no public way to ask
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def keep_freed_memory() -> None:
    """Of a batch for the next one: glibc gives it back and faults it in again, which is a tenth of a step's time."""
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_MAX)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_NEVER)


def deterministic() -> None:
    """The same bytes each time: on a CPU always; on CUDA but for what has no such way there (some pooling), which warns."""
    cuda = torch.cuda.is_available()
    if cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at its first multiplication
    torch.use_deterministic_algorithms(True, warn_only=cuda)
