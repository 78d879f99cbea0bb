"""A preset that sings as a voice does at one moment of a passage: what was found by drawing, kept for playing."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from app.state.passage import Passage, Voice, check_number
from app.state.preset import Preset
from app.state.resolve import resolve
from synth.spec.audio import HOP_S
from synth.spec.lanes import ACOUSTIC_LANES, TECHNIQUES

_NOT_KEPT: Final = ("bend", "presence")  # they are the passage's, not the voice's
_LEAST_WEIGHT: Final = 0.005


def capture(passage: Passage, voice: Voice, preset: Preset, t_s: float) -> Preset:
    """`preset` with every lane, the pitch and the techniques that `voice` has at `t_s`; its gestures are in them.

    Texts, timbre, ramps, adapters and ranges stay as they are. Raises PlacedError for a time outside the passage.
    """
    check_number(t_s, 0.0, passage.duration_s, "t_s")
    frame = min(int(t_s / HOP_S), max(passage.n_frames - 1, 0))
    values = {lane_id: float(found[0]) for lane_id, found in resolve(passage, voice, preset, frame, 1).values.items()}
    lanes = {spec.id: round(values[spec.id], 4) for spec in ACOUSTIC_LANES if spec.id not in _NOT_KEPT}
    adapters = {lane_id: round(value, 4) for lane_id, value in values.items() if lane_id.startswith("adapter.")}
    weights = {name: values[f"technique.{name}"] for name in TECHNIQUES}
    # Rounded down: four weights rounded up could sum to more than 1.
    kept = {name: int(weight * 1000.0) / 1000.0 for name, weight in weights.items() if weight >= _LEAST_WEIGHT}
    return replace(preset, lane_defaults=lanes | adapters, technique=kept or preset.technique, gestures={})
