"""Between two presets: a preset that sounds as the one, the other, or anything on the way. Pure.

What is heard moves evenly: lanes and levels in their own units, times in ratios, technique weights as shares. Where one
preset leaves a lane to its techniques, it counts with the value that its techniques give the lane. What has no middle
(playing, the controller's map) changes half-way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from app.state.passage import check_number, lane_range
from app.state.preset import Preset, technique_lane_default
from app.state.preset_parts import MAX_GESTURE_POINTS, AdapterReference
from synth.spec.lanes import lane

MORPH_ID: Final = "morph"
_SHORTEST_S: Final = 0.001  # ratios need something above 0


def morph(one: Preset, other: Preset, amount: float) -> Preset:
    """The preset `amount` 0..1 of the way from `one` to `other`; at the ends it sounds exactly as they do.

    A timbre that only one of them sets is that one's on its half: the model's own choice is not known here.
    """
    check_number(amount, 0.0, 1.0, "amount")
    near = one if amount < 0.5 else other
    technique = _mixed(one.technique, other.technique, amount)
    lanes = {
        lane_id: _between(_told(one, lane_id), _told(other, lane_id), amount)
        for lane_id in sorted(one.lane_defaults.keys() | other.lane_defaults.keys())
    }
    return replace(
        near,
        id=MORPH_ID,
        name=f"{one.name} → {other.name} {round(100 * amount)} %",
        author=_both(one.author, other.author),
        licence=_both(one.licence, other.licence),
        consent=_both(one.consent, other.consent),
        tags=tuple(dict.fromkeys((*one.tags, *other.tags))),
        description=f"Between {one.name} and {other.name}.",
        lane_defaults=lanes,
        technique=technique,
        timbre=_timbre(one, other, amount),
        pitch_drift=_between(one.pitch_drift, other.pitch_drift, amount),
        attack_s=_between_times(one.attack_s, other.attack_s, amount),
        release_s=_between_times(one.release_s, other.release_s, amount),
        velocity_to_loudness_db=_between(one.velocity_to_loudness_db, other.velocity_to_loudness_db, amount),
        level_db=_between(one.level_db, other.level_db, amount),
        adapters=_adapters(one, other, amount),
        lane_ranges=_ranges(one, other, amount),
        gestures=_gestures(one, other, amount),
        model=one.model if one.model == other.model else None,
        notes="",
        edition=1,
    )


def _between(one: float, other: float, amount: float) -> float:
    """Exact at both ends."""
    return one if amount == 0.0 else other if amount == 1.0 else one + (other - one) * amount


def _between_times(one_s: float, other_s: float, amount: float) -> float:
    """Evenly in ratio, as times are heard; a time of 0 stays 0 at its end."""
    if amount in (0.0, 1.0) or one_s == other_s:
        return _between(one_s, other_s, amount)
    logs = [math.log(max(time_s, _SHORTEST_S)) for time_s in (one_s, other_s)]
    return math.exp(_between(logs[0], logs[1], amount))


def _told(preset: Preset, lane_id: str) -> float:
    """What a lane is in `preset` where nothing is drawn: its own value, else what its techniques make of it."""
    if lane_id in preset.lane_defaults:
        return preset.lane_defaults[lane_id]
    if lane_id.startswith("adapter."):
        return preset.adapter_strengths().get(lane_id, 0.0)
    if lane_id == "pitch":
        return lane("pitch").default
    # As in app.state.resolve: habits weighted by technique, what is left over being modal.
    modal = technique_lane_default(lane_id, "modal")
    total = sum(preset.technique.values())
    moved = sum(weight * (technique_lane_default(lane_id, name) - modal) for name, weight in preset.technique.items())
    return modal + moved / max(total, 1.0)


def _mixed(one: Mapping[str, float], other: Mapping[str, float], amount: float) -> dict[str, float]:
    """Technique weights between; a technique of one alone fades."""
    names = dict.fromkeys((*one, *other))
    weights = {name: _between(one.get(name, 0.0), other.get(name, 0.0), amount) for name in names}
    return {name: weight for name, weight in weights.items() if weight > 0.0}


def _timbre(one: Preset, other: Preset, amount: float) -> tuple[float, ...] | None:
    if one.timbre is None or other.timbre is None:
        return (one if amount < 0.5 else other).timbre
    return tuple(_between(a, b, amount) for a, b in zip(one.timbre, other.timbre, strict=True))


def _adapters(one: Preset, other: Preset, amount: float) -> tuple[AdapterReference, ...]:
    """Every adapter of either, at the strength between; one that the other does not have fades to nothing."""
    by_id = {adapter.id: (adapter, AdapterReference(adapter.id, adapter.sha256, {})) for adapter in one.adapters}
    for adapter in other.adapters:
        mine = by_id[adapter.id][0] if adapter.id in by_id else replace(adapter, strengths={})
        by_id[adapter.id] = (mine, adapter)
    mixed = []
    for mine, theirs in by_id.values():
        regions = dict.fromkeys((*mine.strengths, *theirs.strengths))
        strengths = {r: _between(mine.strengths.get(r, 0.0), theirs.strengths.get(r, 0.0), amount) for r in regions}
        mixed.append(replace(mine if amount < 0.5 else theirs, strengths=strengths))
    return tuple(mixed)


def _ranges(one: Preset, other: Preset, amount: float) -> dict[str, tuple[float, float]]:
    """Ranges between; where one has none, the whole lane stands for it."""
    ranges: dict[str, tuple[float, float]] = {}
    for lane_id in sorted(one.lane_ranges.keys() | other.lane_ranges.keys()):
        mine, theirs = (preset.lane_ranges.get(lane_id, lane_range(lane_id)) for preset in (one, other))
        ranges[lane_id] = (_between(mine[0], theirs[0], amount), _between(mine[1], theirs[1], amount))
    return ranges


def _gestures(one: Preset, other: Preset, amount: float) -> dict[str, tuple[tuple[float, float], ...]]:
    """Gestures between, at the times of both; where one has none, it does nothing."""
    gestures: dict[str, tuple[tuple[float, float], ...]] = {}
    for lane_id in sorted(one.gestures.keys() | other.gestures.keys()):
        mine, theirs = (preset.gestures.get(lane_id, ()) for preset in (one, other))
        if amount in (0.0, 1.0):
            points = mine if amount == 0.0 else theirs
        else:
            times_s = _thinned(sorted({t_s for t_s, _ in (*mine, *theirs)}))
            points = tuple((t_s, _between(_at(mine, t_s), _at(theirs, t_s), amount)) for t_s in times_s)
        if points:
            gestures[lane_id] = points
    return gestures


def _thinned(times_s: list[float]) -> list[float]:
    """At most as many as a gesture may have, first and last kept."""
    most = MAX_GESTURE_POINTS
    if len(times_s) <= most:
        return times_s
    return [times_s[round(index * (len(times_s) - 1) / (most - 1))] for index in range(most)]


def _at(points: tuple[tuple[float, float], ...], t_s: float) -> float:
    """A gesture's offset: linear between its points, held before and after; 0 where there is none."""
    if not points:
        return 0.0
    before = points[0]
    for point in points:
        if point[0] >= t_s:
            span_s = point[0] - before[0]
            return point[1] if span_s <= 0.0 else before[1] + (point[1] - before[1]) * (t_s - before[0]) / span_s
        before = point
    return before[1]


def _both(one: str, other: str) -> str:
    return one if one == other or not other else other if not one else f"{one}; {other}"
