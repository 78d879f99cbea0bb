"""What a MIDI input says, byte for byte with its time, from the MIDI process to the performer: shared memory, no lock.

One writer, one reader. Nobody waits: what finds no room is counted and dropped.
"""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.shared_block import SharedBlock

N_RECORDS: Final = 16_384
RECORD_BYTES: Final = 32
_WRITTEN, _READ, _LOST = 0, 1, 2
_N_INTS: Final = 8


class MidiRing(SharedBlock):
    """Longer messages lie in several records, as a wire would carry them; MidiStream puts them together again."""

    N_BYTES = 8 * _N_INTS + N_RECORDS * (8 + 8 + RECORD_BYTES)

    def __init__(self, memory: SharedMemory, *, is_owner: bool) -> None:
        super().__init__(memory, is_owner=is_owner)
        self._ints: NDArray[np.int64] = self._take(_N_INTS, np.int64)
        self._times: NDArray[np.float64] = self._take(N_RECORDS, np.float64)
        self._lengths: NDArray[np.int64] = self._take(N_RECORDS, np.int64)
        self._data: NDArray[np.uint8] = self._take((N_RECORDS, RECORD_BYTES), np.uint8)

    def _let_go(self) -> None:
        """Nothing may be pushed or taken afterwards."""
        empty = np.zeros(0)
        self._ints = self._lengths = empty.astype(np.int64)
        self._times, self._data = empty, empty.astype(np.uint8).reshape(0, RECORD_BYTES)

    def push(self, data: bytes, t_s: float) -> None:
        """Writer. Bytes that came at `t_s`, on time.monotonic()'s clock."""
        written = int(self._ints[_WRITTEN])
        n_records = -(-len(data) // RECORD_BYTES)
        if written + n_records - int(self._ints[_READ]) > N_RECORDS:
            self._ints[_LOST] += 1
            return
        for index in range(n_records):
            piece = data[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]
            place = (written + index) % N_RECORDS
            self._data[place, : len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            self._lengths[place] = len(piece)
            self._times[place] = t_s
        self._ints[_WRITTEN] = written + n_records

    def take(self, most: int = N_RECORDS) -> list[tuple[bytes, float]]:
        """Reader. What has come since the last call, at most so many records, in order."""
        read = int(self._ints[_READ])
        n_records = min(int(self._ints[_WRITTEN]) - read, most)
        if n_records <= 0:
            return []
        taken: list[tuple[bytes, float]] = []
        for index in range(read, read + n_records):
            place = index % N_RECORDS
            taken.append((self._data[place, : int(self._lengths[place])].tobytes(), float(self._times[place])))
        self._ints[_READ] = read + n_records
        return taken

    @property
    def n_lost(self) -> int:
        """Messages that found no room."""
        return int(self._ints[_LOST])
