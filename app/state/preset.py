"""Who sings: a named mixture of techniques, lane defaults and envelope.

Immutable, checked when made. Files are read in app/store/presets.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from app.state.passage import check_number
from app.state.places import PlacedError, at
from app.state.preset_parts import (
    AdapterReference,
    ModelReference,
    check_id,
    check_lane_setting,
    checked_gesture,
    checked_range,
)
from synth.spec.lanes import LANES, TECHNIQUES

TIMBRE_DIM: Final = 16
MAX_RAMP_S: Final = 5.0  # longest attack and longest release
DEFAULT_VELOCITY: Final = 96  # the velocity that leaves a preset's loudness as it is
PLAYING: Final = ("poly", "mono", "legato")
LEVEL_DB_RANGE: Final = (-24.0, 12.0)
MAX_EDITION: Final = 1_000_000

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
    notes, edition             what its author has to say; how often it was published, 1 upwards
    model                      the weights it was made with; None: any
    adapters                   adapters it sings with, and how strongly each works in each region
    lane_ranges                lane id -> (lowest, highest): the stretch that faders and controllers move it in
    midi_map                   name of the controller profile it is meant for; None: the controller's own
    playing                    poly, mono or legato; None: as the controller's profile says
    level_db                   gain of the finished voice, before any effect
    gestures                   lane id -> (seconds from an onset, offset) points: what an undrawn lane does by itself
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
    notes: str = ""
    edition: int = 1
    model: ModelReference | None = None
    adapters: tuple[AdapterReference, ...] = ()
    lane_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    midi_map: str | None = None
    playing: str | None = None
    level_db: float = 0.0
    gestures: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        if not self.name.strip():
            raise PlacedError("name", "a preset needs a name.")
        for lane_id, value in self.lane_defaults.items():
            with at(f"lane_defaults.{lane_id}"):
                check_lane_setting(lane_id, value)
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
        self._check_playing()
        self._check_references()

    def _check_playing(self) -> None:
        check_number(self.level_db, *LEVEL_DB_RANGE, "level_db")
        if self.playing is not None and self.playing not in PLAYING:
            raise PlacedError("playing", f"{self.playing!r} is not known.", remedy=f"Use {', '.join(PLAYING)}.")
        if self.midi_map is not None and not self.midi_map.strip():
            raise PlacedError("midi_map", "a profile has a name.", remedy="Leave it out for the controller's own.")
        ranges, gestures = {}, {}
        for lane_id, limits in self.lane_ranges.items():
            with at(f"lane_ranges.{lane_id}"):
                ranges[lane_id] = checked_range(lane_id, limits)
        for lane_id, points in self.gestures.items():
            with at(f"gestures.{lane_id}"):
                gestures[lane_id] = checked_gesture(lane_id, points)
        object.__setattr__(self, "lane_ranges", MappingProxyType(ranges))
        object.__setattr__(self, "gestures", MappingProxyType(gestures))

    def _check_references(self) -> None:
        if isinstance(self.edition, bool) or not isinstance(self.edition, int):
            raise PlacedError("edition", f"{self.edition!r} is not a whole number.")
        check_number(self.edition, 1, MAX_EDITION, "edition")
        ids = [adapter.id for adapter in self.adapters]
        twice = next((name for name in ids if ids.count(name) > 1), None)
        if twice is not None:
            raise PlacedError("adapters", f"{twice!r} stands there twice.", remedy="Name each adapter once.")
        object.__setattr__(self, "adapters", tuple(self.adapters))

    def __reduce__(self) -> tuple[Any, ...]:
        """Presets travel between our own processes; a mapping proxy does not by itself."""
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        return Preset, tuple(dict(value) if isinstance(value, MappingProxyType) else value for value in values)

    def adapter_strengths(self) -> dict[str, float]:
        """Adapter lane -> strength where nobody draws it: the adapters', then what lane_defaults say of them."""
        strengths: dict[str, float] = {}
        for adapter in self.adapters:
            strengths |= adapter.lane_strengths()
        return strengths | {name: value for name, value in self.lane_defaults.items() if name.startswith("adapter.")}

    def loudness_for_velocity_db(self, base_db: float, velocity: float) -> float:
        """Loudness of a note struck at `velocity` 1..127 where the preset's own loudness is `base_db`."""
        return base_db + self.velocity_to_loudness_db * (velocity - DEFAULT_VELOCITY) / 127.0


def technique_lane_default(lane_id: str, technique: str) -> float:
    """What `lane_id` is under pure `technique` when nobody says: its habit, else the lane table's default."""
    return TECHNIQUE_LANE_DEFAULTS[technique].get(lane_id, _TABLE_DEFAULTS[lane_id])


_TABLE_DEFAULTS: Final = {spec.id: spec.default for spec in LANES}


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
