"""Faults a person can mend, as opposed to faults of ours."""

from __future__ import annotations

_MEMORY_WORDS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")


class UserError(Exception):
    """Expected trouble: what is wrong and where, and what to do about it. Shown as one line, never as a traceback."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether an allocator refused: Python's, torch's on either device, cuBLAS's. Each says so in words of its own."""
    return isinstance(fault, MemoryError) or any(words in str(fault) for words in _MEMORY_WORDS)


class Cancelled(Exception):
    """The work was called off by whoever asked for it; nothing is wrong."""
