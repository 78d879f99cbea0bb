"""How much of everything an evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass, replace

from synth.evaluate.contact_sheets import SHEET_LANES
from synth.evaluate.late_obedience import STEP_LANES
from synth.evaluate.pitch import PRESET_DRIFT
from synth.spec.lanes import TECHNIQUES


@dataclass(frozen=True, slots=True)
class Sizes:
    """recordings: held-out ones, None for all; render_s: lengths that memory is measured over; minutes: what a part
    may take, times its own, where no time is set for everything."""

    cost_s: float = 24.0
    render_s: tuple[float, ...] = (24.0, 120.0)
    peer_steps: int = 2
    segments: int = 200
    pairs: int = 40
    ear_segments: int = 60
    technique: str = "modal"
    recordings: int | None = None
    pitch_seeds: int = 2
    drifts: tuple[float, ...] = (0.0, PRESET_DRIFT)
    simulated: int = 4
    notes: int = 40
    clips: int = 30
    gestures: int = 12
    step_recordings: int = 14
    step_segments: int = 10
    silence_seeds: int = 1
    frame_lines_seeds: int = 2
    proof_recordings: int = 14
    codec_recordings: int | None = 24
    sustained_notes: int = 6
    sustained_lanes: tuple[str, ...] = STEP_LANES
    sustained_drifts: tuple[float, ...] = (0.0, 0.5, 1.0)
    contradiction_seeds: int = 5
    sheet_lanes: tuple[str, ...] = SHEET_LANES
    sheet_techniques: tuple[str, ...] = TECHNIQUES
    minutes: float = 4.0


FULL = Sizes()
QUICK = Sizes(
    cost_s=6.0, render_s=(6.0,), peer_steps=1, segments=12, pairs=5, ear_segments=5, recordings=16, pitch_seeds=1,
    drifts=(0.0,), simulated=1, notes=5, clips=3, gestures=1, step_recordings=3, step_segments=1, proof_recordings=4,
    codec_recordings=4, sustained_notes=1, sustained_lanes=("breathiness",), sustained_drifts=(0.5,),
    contradiction_seeds=2, frame_lines_seeds=1, sheet_lanes=("roughness",), sheet_techniques=("growl",), minutes=1.0,
)  # fmt: skip


_UNBOUNDED = 1e3  # times a part's own minutes


def beside(sizes: Sizes) -> Sizes:
    """What a waveform model of some hundred times the cost is measured over: the same measures of fewer things, which
    no time box makes fewer still."""
    return replace(
        sizes,
        segments=min(sizes.segments, 3),
        pairs=0,
        recordings=min(sizes.recordings or 14, 14),
        pitch_seeds=1,
        drifts=(0.0,),
        simulated=1,
        gestures=1,
        minutes=_UNBOUNDED,
    )
