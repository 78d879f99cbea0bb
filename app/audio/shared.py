"""The memory that window, sound server and performer share: the transport's state and the live engine's stream.

Every field has one writer. The server's audio thread writes the transport; the window reads it at any time without
asking. The stream is described in app/audio/live_ring.py.
"""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory
from typing import Final

import numpy as np
import numpy.typing as npt

from app.shared_block import SharedBlock
from synth.spec.controls import Float32Array

RING_FRAMES: Final = 1 << 17  # of the live engine's stream, 2.7 s: what has been heard is kept for scopes and recording

# Integer fields
VERSION: Final = 0  # odd while the audio thread writes
ACKNOWLEDGED: Final = 1  # serial of the last SetTransport that is carried out
PLAYING: Final = 2
PLAYHEAD: Final = 3  # frame of the clip that the next block starts with
UNDER_RUNS: Final = 4
FAULTS: Final = 5  # exceptions and non-finite blocks, replaced by silence
MIXED_FRAMES: Final = 6  # since the start of the server
HEARTBEAT: Final = 7  # counted by the server's control thread
SOUNDING: Final = 8  # a device is open
# The live engine's stream; those of the performer are written by it, the others by the audio thread.
LIVE_VERSION: Final = 9  # odd while the audio thread writes LIVE_READ, LIVE_BLOCK and LIVE_READ_AT_S
LIVE_READ: Final = 10  # frames of the stream the mixer has asked for: the stream's clock
LIVE_BLOCK: Final = 11  # frames it asked for last
LIVE_WRITTEN: Final = 12  # performer; frames of the stream that are in the ring
LIVE_PLAYING: Final = 13  # performer; whether somebody writes the stream
LIVE_UNDER_RUNS: Final = 14  # blocks that came too late
LIVE_ZERO_FRAMES: Final = 15  # frames of them that were filled with silence
LIVE_FIRST: Final = 16  # performer; the frame it has written from without a gap
_N_INTS: Final = 24
# Float fields
MIXED_AT_S: Final = 0  # time.monotonic() of the last block
PEAK_LEFT: Final = 1  # linear, decaying
PEAK_RIGHT: Final = 2
RMS_LEFT: Final = 3
RMS_RIGHT: Final = 4
LATENCY_S: Final = 5  # from mixing to the loudspeaker
LIVE_READ_AT_S: Final = 6  # time.monotonic() when the mixer asked last
CALLBACK_S: Final = 7  # the slowest callback, decaying; 0 = there was none
_N_FLOATS: Final = 16


class SharedState(SharedBlock):
    """Views into one block of shared memory.

    ints, floats     transport, indexed by the names above
    ring             [RING_FRAMES] float32 mono, frame f of the live engine's stream at f % RING_FRAMES
    """

    N_BYTES = 8 * (_N_INTS + _N_FLOATS) + 4 * RING_FRAMES

    def __init__(self, memory: SharedMemory, *, is_owner: bool) -> None:
        super().__init__(memory, is_owner=is_owner)
        self.ints: npt.NDArray[np.int64] = self._take(_N_INTS, np.int64)
        self.floats: npt.NDArray[np.float64] = self._take(_N_FLOATS, np.float64)
        self.ring: Float32Array = self._take(RING_FRAMES, np.float32)

    def reset(self) -> None:
        """Forget a server that has ended: nothing sounds. The playhead and counters stay."""
        self.ints[[VERSION, SOUNDING]] = 0
        self.ints[ACKNOWLEDGED] = -1
        self.floats[[PEAK_LEFT, PEAK_RIGHT, RMS_LEFT, RMS_RIGHT, LATENCY_S]] = 0.0

    def _let_go(self) -> None:
        """Nothing may be read afterwards."""
        empty = np.zeros(0)
        self.ints = empty.astype(np.int64)
        self.floats = empty
        self.ring = empty.astype(np.float32)
