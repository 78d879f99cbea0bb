"""Every shared number and the lane table. Imports nothing but numpy."""

from synth.spec.audio import CELL_FRAMES, FRAME_RATE_HZ, HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ, n_frames_for
from synth.spec.calibration import to_lane, to_physical
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import (
    ACOUSTIC_LANES,
    CALIBRATION_REVISION,
    LANE_IDS,
    LANES,
    TECHNIQUE_LANES,
    TECHNIQUES,
    Calibration,
    LaneSpec,
    Pathway,
    is_adapter_lane,
    lane,
)

__all__ = [
    "ACOUSTIC_LANES",
    "CALIBRATION_REVISION",
    "CELL_FRAMES",
    "FRAME_RATE_HZ",
    "HOP_S",
    "HOP_SAMPLES",
    "LANES",
    "LANE_IDS",
    "SAMPLE_RATE_HZ",
    "TECHNIQUES",
    "TECHNIQUE_LANES",
    "Calibration",
    "ControlFrames",
    "Float32Array",
    "LaneSpec",
    "Pathway",
    "is_adapter_lane",
    "lane",
    "n_frames_for",
    "to_lane",
    "to_physical",
]
