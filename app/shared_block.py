"""Blocks of memory that processes share, each laid out by its own class: who creates one deletes it.

The live sampler's memory (app.live.stage.memory) is none of these: it bears a name that is known before it is there,
and its views outlive it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from multiprocessing.shared_memory import SharedMemory
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt


class SharedBlock(ABC):
    """Views into one block of shared memory. A subclass takes them in its __init__, and says what becomes of them."""

    N_BYTES: ClassVar[int]

    def __init__(self, memory: SharedMemory, *, is_owner: bool) -> None:
        self._memory: SharedMemory | None = memory
        self._is_owner = is_owner
        self._taken_bytes = 0
        self.name = memory.name

    @classmethod
    def create(cls) -> Self:
        """New, zeroed; the creator's close() deletes it."""
        return cls(SharedMemory(create=True, size=cls.N_BYTES), is_owner=True)

    @classmethod
    def attach(cls, name: str) -> Self:
        """The block that another process created."""
        return cls(SharedMemory(name=name), is_owner=False)

    def close(self) -> None:
        """Let go of the memory. Idempotent."""
        memory, self._memory = self._memory, None
        if memory is None:
            return
        self._let_go()
        if self._is_owner:
            memory.unlink()
        memory.close()

    def _take(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """The next array of the block."""
        assert self._memory is not None
        view = np.ndarray(shape, dtype=dtype, buffer=self._memory.buf, offset=self._taken_bytes)
        self._taken_bytes += view.nbytes
        return view

    @abstractmethod
    def _let_go(self) -> None:
        """Put arrays of its own in the place of every view: memory that is looked at cannot be closed."""
