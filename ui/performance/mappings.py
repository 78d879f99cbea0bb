"""What may be mapped to what, how it is called, and which mappings are in each other's way. No widgets, no files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from app.state.controller_profile import CHANNEL_SOURCES, NOTE_SOURCES, RESERVED_CONTROLS, Binding, ControllerProfile
from app.state.passage import lane_range
from app.state.places import PlacedError
from app.state.preset import Preset
from app.state.response import ResponseCurve
from synth.spec import LANES, is_adapter_lane, lane

_WORDS: Final = {
    "channel_pressure": "Pressure",
    "poly_pressure": "Key pressure",
    "pitch_bend": "Pitch bend",
    "mpe_pressure": "MPE pressure",
    "mpe_slide": "MPE slide",
    "velocity": "Velocity",
    "release_velocity": "Release velocity",
    "key": "Key",
}
_KNOWN_CONTROLS: Final = {
    1: "modulation",
    2: "breath",
    4: "foot",
    7: "volume",
    10: "pan",
    11: "expression",
    74: "slide",
}
CURVES: Final = {
    "linear": ("Linear", ResponseCurve()),
    "late": ("Late rise", ResponseCurve("exponential", 3.0)),
    "early": ("Early rise", ResponseCurve("exponential", -3.0)),
    "s_curve": ("S curve", ResponseCurve("s_curve", 1.5)),
    "level": ("Level (dB)", ResponseCurve("level")),
}
OWN_CURVE: Final = "own"


def source_title(source: str) -> str:
    """A control as people call it: cc1 -> 'CC 1 modulation'."""
    if source.startswith("cc"):
        number = int(source[2:])
        return f"CC {number} {_KNOWN_CONTROLS.get(number, '')}".strip()
    if source.startswith("nrpn"):
        return f"NRPN {source[4:]}"
    return _WORDS.get(source, source)


def target_title(lane_id: str) -> str:
    """A lane or an adapter's strength as people call it."""
    if is_adapter_lane(lane_id):
        _, name, region = lane_id.split(".")
        return f"Adapter {name}, {region}"
    title = lane(lane_id).title
    return f"{title} technique" if lane_id.startswith("technique.") else title


def all_sources() -> list[str]:
    """Every control that may be chosen by hand, the usual first."""
    numbers = [number for number in range(120) if number not in RESERVED_CONTROLS]
    return [*CHANNEL_SOURCES, *(source for source in NOTE_SOURCES), *(f"cc{number}" for number in numbers)]


def all_targets(preset: Preset | None) -> list[str]:
    """Every lane, then the strengths of the preset's adapters."""
    adapters = [] if preset is None else sorted(preset.adapter_strengths())
    return [*(spec.id for spec in LANES), *adapters]


def curve_key(curve: ResponseCurve) -> str:
    """Which of CURVES this is; OWN_CURVE for one made elsewhere."""
    return next((key for key, (_, known) in CURVES.items() if known == curve), OWN_CURVE)


def fresh_binding(source: str, lane_id: str, like: Binding | None = None) -> Binding:
    """A binding of `source` to `lane_id`: as `like` where that is possible, else over the lane's whole range.

    Raises PlacedError where the two cannot be bound.
    """
    if like is not None:
        for changes in ({}, {"takeover": "jump"}):
            try:
                return replace(like, source=source, lane=lane_id, **changes)
            except PlacedError:
                continue
    low, high = lane_range(lane_id)
    if lane_id == "bend":
        return Binding(source, lane_id, -2.0, 2.0, mode="offset", polarity="bipolar")
    if source in ("pitch_bend", "mpe_slide"):
        return Binding(source, lane_id, low - high, high - low, mode="offset", polarity="bipolar")
    if source.endswith("pressure"):
        return Binding(source, lane_id, 0.0, high - low, mode="offset")
    return Binding(source, lane_id, low, high)


def conflicts_of(profile: ControllerProfile) -> dict[int, str]:
    """Index of a binding -> what is in its way, in words. Offsets add up and are in nobody's way."""
    found: dict[int, str] = {}
    for index, binding in enumerate(profile.bindings):
        rivals = [
            source_title(other.source)
            for other in profile.bindings
            if other is not binding
            and other.lane == binding.lane
            and other.mode == binding.mode == "set"
            and other.is_shared == binding.is_shared
        ]
        if rivals:
            found[index] = f"{_listed(rivals)} sets {target_title(binding.lane)} too: whatever moved last counts."
            continue
        shared = [
            target_title(other.lane)
            for other in profile.bindings
            if other is not binding and other.source == binding.source
        ]
        if binding.source == "pitch_bend" and profile.bends_pitch:
            found[index] = "Pitch bend bends the pitch as well."
        elif shared:
            found[index] = f"{source_title(binding.source)} moves {_listed(shared)} as well."
    return found


def _listed(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))
