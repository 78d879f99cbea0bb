"""Who sings: a named mixture of techniques, lane defaults and envelope.

Immutable, checked when made. Files are read in app/store/presets.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from app.state.passage import check_number, lane_range
from app.state.places import PlacedError, at
from synth.spec.lanes import LANES, TECHNIQUES

TIMBRE_DIM: Final = 16
MAX_RAMP_S: Final = 5.0  # longest attack and longest release
DEFAULT_VELOCITY: Final = 96  # the velocity that leaves a preset's loudness as it is
_ID_FORM: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

# What a lane is when neither a curve, a note nor the preset says: the technique's own habit, then the lane table's
# default. Values read off the lane anchors of synth/spec/lanes.py: whisper has no harmonics (HNR near -4 dB), a
# scream's false folds modulate deeply (0.5 and more), fry sits at the far end of irregularity.
TECHNIQUE_LANE_DEFAULTS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "modal": {},
        "breathy": {"breathiness": 0.68, "tension": 0.38, "loudness": -28.0},
        "whisper": {"breathiness": 1.0, "tension": 0.8, "loudness": -32.0},
        "sigh": {"breathiness": 0.65, "tension": 0.2, "loudness": -30.0},
        "fry": {"fry": 0.8, "breathiness": 0.5, "roughness": 0.15, "tension": 0.4, "loudness": -32.0},
        "growl": {"roughness": 0.55, "breathiness": 0.8, "tension": 0.7, "loudness": -20.0, "tract": 0.4},
        "scream": {"roughness": 0.65, "breathiness": 0.65, "tension": 0.85, "loudness": -15.0, "vowel_open": 0.8},
        "shout": {"roughness": 0.15, "breathiness": 0.15, "tension": 0.8, "loudness": -15.0, "vowel_open": 0.75},
    }
)


@dataclass(frozen=True, slots=True)
class Preset:
    """A voice to sing with.

    lane_defaults              lane id -> value; lanes that are neither drawn nor set by a note. Not presence, not bend.
    technique                  technique name -> weight 0..1; they sum to at most 1
    timbre                     [TIMBRE_DIM] speaker embedding, or None: the model chooses
    pitch_drift                0..1, amount of the sampled residual F0; 0 = exactly the drawn pitch
    attack_s, release_s        0..MAX_RAMP_S, presence ramps of notes
    velocity_to_loudness_db    0..40, dB between velocities 0 and 127; velocity 96 is the preset's own loudness
    """

    id: str
    name: str
    author: str = ""
    licence: str = ""
    consent: str = ""  # whose voice this is and what they agreed to
    tags: tuple[str, ...] = ()
    description: str = ""
    lane_defaults: Mapping[str, float] = field(default_factory=dict)
    technique: Mapping[str, float] = field(default_factory=lambda: {"modal": 1.0})
    timbre: tuple[float, ...] | None = None
    pitch_drift: float = 0.35
    attack_s: float = 0.03
    release_s: float = 0.12
    velocity_to_loudness_db: float = 12.0

    def __post_init__(self) -> None:
        if not _ID_FORM.fullmatch(self.id):
            raise PlacedError("id", f"{self.id!r} is not an id.", remedy="Use a-z, 0-9, - and _, at most 64.")
        if not self.name.strip():
            raise PlacedError("name", "a preset needs a name.")
        for lane_id, value in self.lane_defaults.items():
            with at(f"lane_defaults.{lane_id}"):
                _check_lane_default(lane_id, value)
        _check_technique(self.technique)
        if self.timbre is not None:
            if len(self.timbre) != TIMBRE_DIM:
                raise PlacedError("timbre", f"{len(self.timbre)} numbers where {TIMBRE_DIM} belong.")
            for index, value in enumerate(self.timbre):
                check_number(value, -100.0, 100.0, f"timbre[{index}]")
            object.__setattr__(self, "timbre", tuple(float(value) for value in self.timbre))
        check_number(self.pitch_drift, 0.0, 1.0, "pitch_drift")
        check_number(self.attack_s, 0.0, MAX_RAMP_S, "attack_s")
        check_number(self.release_s, 0.0, MAX_RAMP_S, "release_s")
        check_number(self.velocity_to_loudness_db, 0.0, 40.0, "velocity_to_loudness_db")
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "lane_defaults", MappingProxyType(dict(self.lane_defaults)))
        object.__setattr__(self, "technique", MappingProxyType(dict(self.technique)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Presets travel between our own processes; a mapping proxy does not by itself."""
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        return Preset, tuple(dict(value) if isinstance(value, MappingProxyType) else value for value in values)

    def loudness_for_velocity_db(self, base_db: float, velocity: float) -> float:
        """Loudness of a note struck at `velocity` 1..127 where the preset's own loudness is `base_db`."""
        return base_db + self.velocity_to_loudness_db * (velocity - DEFAULT_VELOCITY) / 127.0


def technique_lane_default(lane_id: str, technique: str) -> float:
    """What `lane_id` is under pure `technique` when nobody says: its habit, else the lane table's default."""
    return TECHNIQUE_LANE_DEFAULTS[technique].get(lane_id, _TABLE_DEFAULTS[lane_id])


_TABLE_DEFAULTS: Final = {spec.id: spec.default for spec in LANES}


def _check_lane_default(lane_id: str, value: float) -> None:
    if lane_id in ("presence", "bend"):
        raise PlacedError("", "a preset cannot set this lane.", remedy="Draw it in the passage instead.")
    if lane_id.startswith("technique."):
        raise PlacedError("", "technique weights stand under the key technique.", remedy='Use "technique": {...}.')
    low, high = lane_range(lane_id)
    check_number(value, low, high, "")


def _check_technique(weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if name not in TECHNIQUES:
            raise PlacedError(f"technique.{name}", "unknown technique.", remedy=f"Use {', '.join(TECHNIQUES)}.")
        check_number(weight, 0.0, 1.0, f"technique.{name}")
    if not 0 < sum(weights.values()) <= 1.0 + 1e-6:
        raise PlacedError("technique", f"the weights sum to {sum(weights.values()):g}.", remedy="Sum to at most 1.")


# Used where a voice names no preset.
NEUTRAL_PRESET: Final = Preset(
    id="neutral",
    name="Neutral",
    author="Stridor",
    licence="Apache-2.0",
    consent="Nobody's voice: no timbre is set.",
    tags=("modal",),
    description="Modal voice with every lane at its default.",
)
