"""What a preset refers to beside the lane table: weights, adapters, and what a note does by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from app.state.passage import MAX_ADAPTER_STRENGTH, check_number, lane_range
from app.state.places import PlacedError, at

REGIONS: Final = ("early", "middle", "late")
MAX_GESTURE_POINTS: Final = 64
MAX_GESTURE_S: Final = 60.0
_ID_FORM: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SHA256_FORM: Final = re.compile(r"[0-9a-f]{64}")
_MODEL_HASH_FORM: Final = re.compile(r"[0-9a-f]{32}")  # synth.codec.weights.content_hash


def check_id(value: str, place: str) -> None:
    """Raise PlacedError unless `value` may be an id and a file's stem."""
    if not _ID_FORM.fullmatch(value):
        raise PlacedError(place, f"{value!r} is not an id.", remedy="Use a-z, 0-9, - and _, at most 64.")


def check_sha256(value: str, place: str) -> None:
    """Raise PlacedError unless `value` is a SHA-256 in lower-case hex."""
    if not _SHA256_FORM.fullmatch(value):
        raise PlacedError(place, "not a SHA-256.", remedy="64 digits 0-9, a-f.")


@dataclass(frozen=True, slots=True)
class ModelReference:
    """The weights a preset was made with. `hash` is the engine's weights_hash: codec and denoiser together."""

    name: str
    hash: str

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise PlacedError("name", "the model needs a name.")
        if not _MODEL_HASH_FORM.fullmatch(self.hash):
            raise PlacedError("hash", "not a hash of weights.", remedy="32 digits 0-9, a-f.")


@dataclass(frozen=True, slots=True)
class AdapterReference:
    """An adapter and how strongly it works in each region of the denoiser.

    id           as in the lanes adapter.<id>.<region>
    sha256       of the adapter's file, so that another file of the same name is not taken for it
    strengths    region -> 0..MAX_ADAPTER_STRENGTH; a region left out is 0
    """

    id: str
    sha256: str
    strengths: Mapping[str, float]

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        check_sha256(self.sha256, "sha256")
        for region, strength in self.strengths.items():
            if region not in REGIONS:
                raise PlacedError(f"strengths.{region}", "unknown region.", remedy=f"Use {', '.join(REGIONS)}.")
            check_number(strength, 0.0, MAX_ADAPTER_STRENGTH, f"strengths.{region}")
        object.__setattr__(self, "strengths", MappingProxyType(dict(self.strengths)))

    def __reduce__(self) -> tuple[Any, ...]:
        """A mapping proxy does not travel between processes by itself."""
        return AdapterReference, (self.id, self.sha256, dict(self.strengths))

    def lane_strengths(self) -> dict[str, float]:
        """Lane id -> strength, of the regions named."""
        return {f"adapter.{self.id}.{region}": strength for region, strength in self.strengths.items()}


def check_lane_setting(lane_id: str, value: float) -> None:
    """Raise PlacedError unless a preset may set this lane to `value`."""
    check_settable(lane_id)
    low, high = lane_range(lane_id)
    check_number(value, low, high, "")


def check_settable(lane_id: str) -> None:
    """Raise PlacedError for lanes that a preset's lane table may not name."""
    if lane_id in ("presence", "bend"):
        raise PlacedError("", "a preset cannot set this lane.", remedy="Draw it in the passage instead.")
    if lane_id.startswith("technique."):
        raise PlacedError("", "technique weights stand under the key technique.", remedy='Use "technique": {...}.')
    lane_range(lane_id)


def checked_range(lane_id: str, limits: tuple[float, float]) -> tuple[float, float]:
    """The stretch of a lane that faders and controllers move in, as floats. Raises PlacedError."""
    check_settable(lane_id)
    low, high = lane_range(lane_id)
    for index, value in enumerate(limits):
        check_number(value, low, high, f"[{index}]")
    if limits[0] >= limits[1]:
        raise PlacedError("", f"{limits[0]:g} is not below {limits[1]:g}.", remedy="Lowest value first.")
    return float(limits[0]), float(limits[1])


def checked_gesture(lane_id: str, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """What a lane does after a note's onset: (seconds, offset) points, linear between, held after the last.

    Offsets are added to what the lane would be. Raises PlacedError.
    """
    if lane_id in ("presence", "pitch") or lane_id.startswith("adapter."):
        raise PlacedError("", "a gesture cannot move this lane.", remedy="Use bend, loudness and the like.")
    low, high = lane_range(lane_id)
    if not 1 <= len(points) <= MAX_GESTURE_POINTS:
        raise PlacedError("", f"{len(points)} points.", remedy=f"Use 1 to {MAX_GESTURE_POINTS}.")
    before_s = -1.0
    for index, (t_s, offset) in enumerate(points):
        with at(f"[{index}]"):
            check_number(t_s, 0.0, MAX_GESTURE_S, "[0]")
            check_number(offset, low - high, high - low, "[1]")
            if t_s <= before_s:
                raise PlacedError("[0]", f"time {t_s:g} s is not after the one before.")
        before_s = t_s
    return tuple((float(t_s), float(offset)) for t_s, offset in points)
