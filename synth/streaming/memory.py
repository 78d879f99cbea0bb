"""Arrays that lie one after another in one block of memory, so that processes can share them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import DTypeLike, NDArray

_ALIGNMENT = 64  # a cache line: two writers never share one

Layout = Mapping[str, tuple[tuple[int, ...], DTypeLike]]  # name -> (shape, dtype), in the order they lie in


def layout_bytes(layout: Layout) -> int:
    """How much memory `layout` takes."""
    return sum(_padded(prod(shape) * np.dtype(dtype).itemsize) for shape, dtype in layout.values())


def laid_out(layout: Layout, buffer: memoryview | None = None, offset: int = 0) -> dict[str, NDArray]:
    """Views of `buffer` from `offset` on, as they are there; arrays of zeros of their own where there is no buffer."""
    arrays: dict[str, NDArray] = {}
    for name, (shape, dtype) in layout.items():
        if buffer is None:
            arrays[name] = np.zeros(shape, dtype=dtype)
        else:
            arrays[name] = np.ndarray(shape, dtype=dtype, buffer=buffer, offset=offset)
            offset += _padded(arrays[name].nbytes)
    return arrays


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT
