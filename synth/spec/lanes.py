"""The lane table: the one place where a control is declared.

The editor, the MIDI map, presets, the passage file, model conditioning, measurement and the documents all read it.
A lane means what its estimator measures: `anchors` pin the 0..1 lanes to the estimator's physical unit, so that a
file means the same next year. Changing an anchor is a new CALIBRATION_REVISION and needs new weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

CALIBRATION_REVISION: Final = 1

TECHNIQUES: Final[tuple[str, ...]] = ("modal", "breathy", "whisper", "sigh", "fry", "growl", "scream", "shout")


class Pathway(Enum):
    """Which condition encoder a lane enters the model through (each can be dropped on its own)."""

    PITCH = "pitch"
    IRREGULARITY = "irregularity"
    NOISE = "noise"
    TIMBRE = "timbre"
    TECHNIQUE = "technique"
    ADAPTER = "adapter"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps an estimator's physical unit to 0..1, piecewise linear through (physical value, lane value) anchors."""

    unit: str
    physical: tuple[float, float, float]  # strictly monotonic: what 0, 0.5 and 1 mean

    def __post_init__(self) -> None:
        low, middle, high = self.physical
        if not (low < middle < high or low > middle > high):
            raise ValueError(f"calibration anchors must be strictly monotonic: {self.physical}")


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """One control: identity, unit, range, default, and how it is heard, played and measured."""

    id: str
    title: str
    unit: str
    minimum: float
    maximum: float
    default: float
    pathway: Pathway
    heard_as: str
    measured_as: str
    colour: str  # sRGB hex, legible on light and dark
    calibration: Calibration | None = None
    midi_default: str | None = None  # "cc1", "pitch_bend", "channel_pressure"
    additive: bool = False  # added to what it modifies instead of replacing it

    def clamp(self, value: float) -> float:
        """`value` forced into the lane's range."""
        return min(max(value, self.minimum), self.maximum)


def _unit_lane(
    lane_id: str,
    title: str,
    default: float,
    pathway: Pathway,
    heard_as: str,
    measured_as: str,
    colour: str,
    calibration: Calibration | None,
    midi_default: str | None = None,
) -> LaneSpec:
    return LaneSpec(
        lane_id, title, "", 0.0, 1.0, default, pathway, heard_as, measured_as, colour, calibration, midi_default
    )


ACOUSTIC_LANES: Final[tuple[LaneSpec, ...]] = (
    LaneSpec(
        "pitch", "Pitch", "MIDI note", 24.0, 96.0, 57.0, Pathway.PITCH,
        "fundamental frequency", "F0, cents", "#2f7fd1",
    ),
    LaneSpec(
        "bend", "Bend", "semitones", -24.0, 24.0, 0.0, Pathway.PITCH,
        "gesture on top of the notes", "with pitch", "#5aa7d6", midi_default="pitch_bend", additive=True,
    ),
    LaneSpec(
        "loudness", "Loudness", "dB", -60.0, -9.0, -24.0, Pathway.NOISE,
        "level and vocal effort", "RMS dB", "#d19a2f", midi_default="cc11",
    ),
    _unit_lane(
        "breathiness", "Breathiness", 0.25, Pathway.NOISE, "aspiration noise against harmonics",
        "cycle-to-cycle harmonic-to-noise ratio, dB", "#3aa88a",
        Calibration("dB HNR", (20.0, 8.0, -4.0)), "cc2",
    ),
    _unit_lane(
        "roughness", "Roughness", 0.0, Pathway.IRREGULARITY, "false-fold growl, scream rasp",
        "30-150 Hz modulation depth not locked to F0", "#c2503c",
        Calibration("modulation depth", (0.03, 0.16, 0.45)), "cc1",
    ),
    _unit_lane(
        "fry", "Fry", 0.0, Pathway.IRREGULARITY, "creak: sub-harmonics, irregular damped pulses",
        "sub-harmonic depth and pulse-interval irregularity", "#8a5cc2",
        Calibration("irregularity index", (0.04, 0.18, 0.50)),
    ),
    _unit_lane(
        "tension", "Tension", 0.5, Pathway.IRREGULARITY, "pressed/bright against lax/dark",
        "alpha ratio, 1-5 kHz over 50 Hz-1 kHz, dB", "#c2408e",
        Calibration("dB alpha ratio", (-30.0, -14.0, 2.0)), "channel_pressure",
    ),
    _unit_lane(
        "vowel_open", "Vowel open", 0.6, Pathway.TIMBRE, "close (ee, oo) to open (ah)",
        "first formant, Hz", "#6f8f2f", Calibration("Hz F1", (280.0, 520.0, 900.0)),
    ),
    _unit_lane(
        "vowel_front", "Vowel front", 0.4, Pathway.TIMBRE, "back (oo) to front (ee)",
        "second formant, Hz", "#4f9f4f", Calibration("Hz F2", (750.0, 1350.0, 2400.0)),
    ),
    _unit_lane(
        "tract", "Tract", 0.5, Pathway.TIMBRE, "small to large vocal tract",
        "formant scale", "#7f7f4f", Calibration("formant scale", (1.25, 1.0, 0.8)),
    ),
    _unit_lane(
        "ingress", "Ingress", 0.0, Pathway.NOISE, "exhaled to inhaled voice and breath",
        "breath classifier", "#4f8fa0", None,
    ),
    _unit_lane(
        "presence", "Presence", 0.0, Pathway.NOISE, "is anybody singing",
        "energy where it is 0", "#808080", None,
    ),
)

_TECHNIQUE_COLOURS: Final = MappingProxyType(
    {
        "modal": "#4a78b5", "breathy": "#58a6a6", "whisper": "#8fa3ad", "sigh": "#9fb58a",
        "fry": "#8a5cc2", "growl": "#a0522d", "scream": "#d13f3f", "shout": "#d1832f",
    }
)

TECHNIQUE_LANES: Final[tuple[LaneSpec, ...]] = tuple(
    _unit_lane(
        f"technique.{name}", name.capitalize(), 1.0 if name == "modal" else 0.0, Pathway.TECHNIQUE,
        "identity of the phonation", "technique classifier", _TECHNIQUE_COLOURS[name], None,
        "cc74" if name == "growl" else None,
    )
    for name in TECHNIQUES
)

LANES: Final[tuple[LaneSpec, ...]] = ACOUSTIC_LANES + TECHNIQUE_LANES
LANE_IDS: Final[tuple[str, ...]] = tuple(spec.id for spec in LANES)
_BY_ID: Final = MappingProxyType({spec.id: spec for spec in LANES})


def lane(lane_id: str) -> LaneSpec:
    """The lane called `lane_id`. Raises KeyError for an unknown one."""
    return _BY_ID[lane_id]


def is_adapter_lane(lane_id: str) -> bool:
    """Whether `lane_id` has the form adapter.<id>.<early|middle|late>."""
    parts = lane_id.split(".")
    return len(parts) == 3 and parts[0] == "adapter" and bool(parts[1]) and parts[2] in ("early", "middle", "late")
