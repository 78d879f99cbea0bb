"""Frame-rate controls: what a gesture is once notes, lanes, preset and defaults have been resolved.

Torch-free and Qt-free: shared by the passage resolver, the MIDI player, the corpus, the sampler and the ears.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from synth.spec.lanes import LANE_IDS

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ControlFrames:
    """Controls of one voice at FRAME_RATE_HZ. Immutable, so any thread may hold it.

    values         lane id -> [n_frames] in the lane's unit; every id of LANE_IDS is there. `pitch` already contains
                   `bend` (and may be any value while presence is 0).
    timbre         [TIMBRE_DIM] embedding of a speaker's envelope, or None: the model chooses.
    pitch_drift    0..1: how much of the sampled residual F0 (drift, jitter) is added to `pitch`; 0 = exact.
    """

    values: Mapping[str, Float32Array]
    timbre: Float32Array | None = None
    pitch_drift: float = 0.5
    n_frames: int = field(init=False)

    def __post_init__(self) -> None:
        missing = [lane_id for lane_id in LANE_IDS if lane_id not in self.values]
        if missing:
            raise ValueError(f"controls lack lanes: {', '.join(missing)}")
        lengths = {len(values) for values in self.values.values()}
        if len(lengths) != 1:
            raise ValueError(f"control lanes differ in length: {sorted(lengths)}")
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "n_frames", lengths.pop())

    def window(self, start_frame: int, n_frames: int) -> ControlFrames:
        """Frames [start_frame, start_frame + n_frames); beyond either end every lane is held and presence is 0."""
        index = np.arange(start_frame, start_frame + n_frames)
        inside = (index >= 0) & (index < self.n_frames)
        held = np.clip(index, 0, max(self.n_frames - 1, 0))
        values = {lane_id: lane_values[held].astype(np.float32) for lane_id, lane_values in self.values.items()}
        values["presence"] = np.where(inside, values["presence"], np.float32(0.0)).astype(np.float32)
        return ControlFrames(values, self.timbre, self.pitch_drift)
