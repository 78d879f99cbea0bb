"""What performer and live sampler share: voices, their frames, and onsets made ahead.

Every field has one writer, named where it is laid out; nobody locks and nobody waits. A voice is a slot. The performer
hands a slot to the sampler by storing its serial last, and takes it back by storing 0; the sampler answers with the
serial it serves, and 0 once it no longer touches the slot's frames.
"""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.state.preset_parts import REGIONS
from synth.diffusion.conditioning import TIMBRE_DIM
from synth.spec.lanes import LANE_IDS
from synth.streaming.frames import CAUSAL_FFT
from synth.streaming.memory import Layout, laid_out, layout_bytes
from synth.streaming.rings import FrameRings, rings_layout

Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]

N_SLOTS: Final = 24  # sixteen notes and eight that fade
HEAD_FRAMES: Final = 8  # of an onset made ahead: what the sampler has time to take over in
N_GROUPS: Final = 32  # sets of lanes that onsets are made ahead for
N_ADAPTERS: Final = 8  # loaded at one time
N_LANES: Final = len(LANE_IDS)
N_ROW: Final = N_LANES + len(REGIONS) * N_ADAPTERS  # lanes, then the regions' strengths of each adapter
MISS: Final = -1


def onset_bytes() -> int:
    """Shared memory that one onset made ahead takes."""
    return layout_bytes(rings_layout(1024, CAUSAL_FFT, HEAD_FRAMES + 1)) // 1024


def onsets_within(cache_bytes: int) -> int:
    """How many onsets made ahead fit into so many bytes; at least one."""
    return max(cache_bytes // onset_bytes(), 1)


def _layout(n_onsets: int) -> Layout:
    return {
        # Voices: performer, but for `served`
        "serial": ((N_SLOTS,), np.int64),
        "served": ((N_SLOTS,), np.int64),
        "entry": ((N_SLOTS,), np.int64),
        "entry_version": ((N_SLOTS,), np.int64),
        "position": ((N_SLOTS,), np.int64),
        "moved": ((N_SLOTS,), np.int64),
        "attack_s": ((N_SLOTS,), np.float64),
        "fall_per_frame": ((N_SLOTS,), np.float64),
        "lanes": ((N_SLOTS, N_ROW), np.float32),
        "timbre": ((N_SLOTS, TIMBRE_DIM), np.float32),
        # What onsets are made ahead for: performer
        "group_version": ((N_GROUPS,), np.int64),
        "group_lanes": ((N_GROUPS, N_ROW), np.float32),
        "group_timbre": ((N_GROUPS, TIMBRE_DIM), np.float32),
        "group_attack_s": ((N_GROUPS,), np.float64),
        "group_drift": ((N_GROUPS,), np.float64),
        "group_velocity_db": ((N_GROUPS,), np.float64),
        "group_rank": ((N_GROUPS,), np.int64),
        # Onsets made ahead: sampler
        "onset_version": ((n_onsets,), np.int64),
        "onset_group": ((n_onsets,), np.int64),
        "onset_region": ((n_onsets,), np.float64),
        "onset_layer": ((n_onsets,), np.int64),
        "onset_variation": ((n_onsets,), np.int64),
        # Adapters: performer, then sampler
        "adapter_id": ((N_ADAPTERS,), np.int64),
        "adapter_asked": ((N_ADAPTERS,), np.int64),
        "adapter_loaded": ((N_ADAPTERS,), np.int64),
        "adapter_failed": ((N_ADAPTERS,), np.int64),
    }


class StageMemory:
    """Views into one block of shared memory.

    serial, served    [N_SLOTS] see above; serials are never used again
    entry             [N_SLOTS] the onset a voice began with, or MISS; with the version it had
    position          [N_SLOTS] samples of the voice that are in the stream
    moved             [N_SLOTS] grows when a lane has moved further than is worth waiting for
    fall_per_frame    [N_SLOTS] how fast presence falls, once a note has been let go
    lanes             [N_SLOTS, N_ROW] in the order of LANE_IDS, in their units, then the adapters' strengths
    timbre            [N_SLOTS, TIMBRE_DIM]; NaN = the technique's
    group_*           sets of lanes that onsets are wanted for; version 0 = none, rank 0 comes first
    onset_*           what the onset's frames in `heads` are of; version 0 = nothing
    adapter_id        [N_ADAPTERS] the first 64 bits of the file's SHA-256, by which it is called; 0 = none
    adapter_asked     [N_ADAPTERS] grows with every wish to have it, and is stored last; the sampler stores the wish it
                      has fulfilled in adapter_loaded, one that it cannot fulfil in adapter_failed
    frames, heads     of the voices, and of the onsets
    """

    def __init__(self, memory: SharedMemory, n_onsets: int, *, is_owner: bool) -> None:
        self._memory: SharedMemory | None = memory
        self._is_owner = is_owner
        self.name, self.n_onsets = memory.name, n_onsets
        layout = _layout(n_onsets)
        arrays = laid_out(layout, memory.buf)
        self.serial: IntArray = arrays["serial"]
        self.served: IntArray = arrays["served"]
        self.entry: IntArray = arrays["entry"]
        self.entry_version: IntArray = arrays["entry_version"]
        self.position: IntArray = arrays["position"]
        self.moved: IntArray = arrays["moved"]
        self.attack_s: NDArray[np.float64] = arrays["attack_s"]
        self.fall_per_frame: NDArray[np.float64] = arrays["fall_per_frame"]
        self.lanes: Float32Array = arrays["lanes"]
        self.timbre: Float32Array = arrays["timbre"]
        self.group_version: IntArray = arrays["group_version"]
        self.group_lanes: Float32Array = arrays["group_lanes"]
        self.group_timbre: Float32Array = arrays["group_timbre"]
        self.group_attack_s: NDArray[np.float64] = arrays["group_attack_s"]
        self.group_drift: NDArray[np.float64] = arrays["group_drift"]
        self.group_velocity_db: NDArray[np.float64] = arrays["group_velocity_db"]
        self.group_rank: IntArray = arrays["group_rank"]
        self.onset_version: IntArray = arrays["onset_version"]
        self.onset_group: IntArray = arrays["onset_group"]
        self.onset_region: NDArray[np.float64] = arrays["onset_region"]
        self.onset_layer: IntArray = arrays["onset_layer"]
        self.onset_variation: IntArray = arrays["onset_variation"]
        self.adapter_id: IntArray = arrays["adapter_id"]
        self.adapter_asked: IntArray = arrays["adapter_asked"]
        self.adapter_loaded: IntArray = arrays["adapter_loaded"]
        self.adapter_failed: IntArray = arrays["adapter_failed"]
        offset = layout_bytes(layout)
        self.frames_offset = offset
        self.frames = FrameRings(N_SLOTS, CAUSAL_FFT, buffer=memory.buf, offset=offset)
        self.heads = FrameRings(
            n_onsets,
            CAUSAL_FFT,
            ring_frames=HEAD_FRAMES + 1,
            buffer=memory.buf,
            offset=offset + self.frames.n_bytes,
        )

    @classmethod
    def create(cls, name: str, n_onsets: int) -> StageMemory:
        """New, zeroed; the creator's close() deletes it."""
        n_bytes = layout_bytes(_layout(n_onsets)) + layout_bytes(rings_layout(N_SLOTS, CAUSAL_FFT))
        n_bytes += layout_bytes(rings_layout(n_onsets, CAUSAL_FFT, HEAD_FRAMES + 1))
        created = cls(SharedMemory(name=name, create=True, size=n_bytes), n_onsets, is_owner=True)
        created.frames.latest_hz[:] = 220.0
        return created

    @classmethod
    def attach(cls, name: str, n_onsets: int) -> StageMemory:
        """The memory another process created."""
        return cls(SharedMemory(name=name), n_onsets, is_owner=False)

    @property
    def buffer(self) -> memoryview:
        """All of it, for who lays out more over `frames_offset`."""
        if self._memory is None or self._memory.buf is None:
            raise ValueError("the memory has been closed")
        return self._memory.buf

    def close(self) -> None:
        """The owner deletes the memory; views stay valid until they are let go of. Idempotent."""
        memory, self._memory = self._memory, None
        if memory is not None and self._is_owner:
            memory.unlink()
