"""From notes, drawn lanes and preset to frame-rate controls.

Precedence, lane by lane: drawn > note > preset > the technique's default. Every frame depends only on its own time
and the notes and points beside it, so any split of the time line into windows gives the same bits, and a window
costs the same in a long passage as in a short one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.state.curves import Float64Array
from app.state.passage import Note, Passage, Voice, frame_centres_s
from app.state.preset import DEFAULT_VELOCITY, Preset, technique_lane_default
from synth.spec.audio import HOP_S
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import ACOUSTIC_LANES, LANES, TECHNIQUES, is_adapter_lane, lane

# Notes closer than this are one breath: no release, no second attack between them.
LEGATO_GAP_S: Final = HOP_S
_HABITUAL_LANES: Final = tuple(s.id for s in ACOUSTIC_LANES if s.id not in ("pitch", "bend", "presence"))
_HABITS: Final = {
    lane_id: np.array([technique_lane_default(lane_id, name) for name in TECHNIQUES]) for lane_id in _HABITUAL_LANES
}


def resolve(passage: Passage, voice: Voice, preset: Preset, start_frame: int, n_frames: int) -> ControlFrames:
    """Controls of frames [start_frame, start_frame + n_frames), which may reach beyond the passage: silence there.

    `pitch` contains `bend`, limited to the pitch lane's range. Technique weights sum to at most 1: drawn weights keep
    their value and the others share what is left.
    """
    times_s = frame_centres_s(start_frame, n_frames)
    drawn = {lane_id: curve.at_times(times_s).astype(np.float64) for lane_id, curve in voice.lanes.items()}
    sounding = _sounding_notes(voice, times_s)
    technique = _technique_weights(drawn, preset, sounding, n_frames)
    values: dict[str, Float64Array] = {}
    for lane_id in _HABITUAL_LANES:
        if lane_id in drawn:
            values[lane_id] = drawn[lane_id]
        else:
            values[lane_id] = _undrawn(lane_id, preset, technique, n_frames) + _gesture(lane_id, preset, sounding)
    if "loudness" not in drawn and sounding is not None:
        # Preset.loudness_for_velocity_db, for many notes at once.
        values["loudness"] += preset.velocity_to_loudness_db * (sounding.velocity - DEFAULT_VELOCITY) / 127.0
    values["bend"] = drawn["bend"] if "bend" in drawn else np.zeros(n_frames) + _gesture("bend", preset, sounding)
    values["pitch"] = _base_pitch(voice, preset, drawn, sounding, times_s) + values["bend"]
    values["presence"] = _presence(passage, voice, preset, drawn, times_s)
    for index, name in enumerate(TECHNIQUES):
        values[f"technique.{name}"] = technique[index]
    frames: dict[str, Float32Array] = {
        spec.id: np.clip(values[spec.id], spec.minimum, spec.maximum).astype(np.float32) for spec in LANES
    }
    frames |= _adapter_strengths(drawn, preset, n_frames)
    timbre = None if preset.timbre is None else np.array(preset.timbre, dtype=np.float32)
    return ControlFrames(frames, timbre, preset.pitch_drift)


class _Sounding:
    """The notes that speak at each frame: the last one begun, before the first one the first."""

    __slots__ = ("notes", "pick", "since_s", "velocity")

    def __init__(self, notes: tuple[Note, ...], pick: NDArray[np.intp], times_s: Float64Array) -> None:
        self.notes = notes  # the few near the window
        self.pick = pick  # [n_frames] index into notes
        self.velocity = np.array([note.velocity for note in notes], dtype=np.float64)[pick]
        self.since_s = times_s - np.array([note.start_s for note in notes])[pick]


def _sounding_notes(voice: Voice, times_s: Float64Array) -> _Sounding | None:
    if not voice.notes or len(times_s) == 0:
        return None
    first = max(voice.note_index_at(float(times_s[0])), 0)
    near = voice.notes[first : max(voice.note_index_at(float(times_s[-1])), 0) + 1]
    starts_s = np.array([note.start_s for note in near])
    return _Sounding(near, np.maximum(np.searchsorted(starts_s, times_s, side="right") - 1, 0), times_s)


def _gesture(lane_id: str, preset: Preset, sounding: _Sounding | None) -> Float64Array | float:
    """What the preset adds to an undrawn lane by the time since each note's onset; nothing where no note is."""
    points = preset.gestures.get(lane_id)
    if points is None or sounding is None:
        return 0.0
    return np.interp(sounding.since_s, [t_s for t_s, _ in points], [offset for _, offset in points])


def _technique_weights(
    drawn: Mapping[str, Float64Array], preset: Preset, sounding: _Sounding | None, n_frames: int
) -> Float64Array:
    """[n_techniques, n_frames], each frame summing to at most 1."""
    from_preset = np.array([preset.technique.get(name, 0.0) for name in TECHNIQUES])
    weights = np.repeat(from_preset[:, None], n_frames, axis=1)
    if sounding is not None and any(note.technique is not None for note in sounding.notes):
        identity = np.eye(len(TECHNIQUES))
        rows = [from_preset if n.technique is None else identity[TECHNIQUES.index(n.technique)] for n in sounding.notes]
        weights = np.stack(rows)[sounding.pick].T.copy()
    if sounding is not None and preset.gestures:
        weights = _with_gestures(weights, preset, sounding)
    drawn_rows = [index for index, name in enumerate(TECHNIQUES) if f"technique.{name}" in drawn]
    if not drawn_rows:
        return weights
    asked = np.zeros(n_frames)
    for index in drawn_rows:
        weights[index] = drawn[f"technique.{TECHNIQUES[index]}"]
        asked = asked + weights[index]
    others = np.zeros(n_frames)
    for index in set(range(len(TECHNIQUES))) - set(drawn_rows):
        others = others + weights[index]
    room = np.maximum(1.0 - asked, 0.0)
    shrink = np.where(others > room, room / np.where(others > 0, others, 1.0), 1.0)
    for index in range(len(TECHNIQUES)):
        weights[index] = weights[index] / np.maximum(asked, 1.0) if index in drawn_rows else weights[index] * shrink
    return weights


def _with_gestures(weights: Float64Array, preset: Preset, sounding: _Sounding) -> Float64Array:
    """Technique weights with what the preset adds since each onset, still summing to at most 1."""
    moved = [
        np.clip(row + _gesture(f"technique.{name}", preset, sounding), 0.0, 1.0)
        for name, row in zip(TECHNIQUES, weights, strict=True)
    ]
    total = np.zeros(weights.shape[1])
    for row in moved:
        total = total + row
    return np.stack([row / np.maximum(total, 1.0) for row in moved])


def _undrawn(lane_id: str, preset: Preset, technique: Float64Array, n_frames: int) -> Float64Array:
    if lane_id in preset.lane_defaults:
        return np.full(n_frames, float(preset.lane_defaults[lane_id]))
    habits = _HABITS[lane_id]
    total, weighted = np.zeros(n_frames), np.zeros(n_frames)
    # Summed one technique after the other: a matrix product may add in another order for another window length.
    for habit, weight in zip(habits, technique, strict=True):
        total = total + weight
        weighted = weighted + (habit - habits[0]) * weight
    return habits[0] + weighted / np.maximum(total, 1.0)


def _base_pitch(
    voice: Voice,
    preset: Preset,
    drawn: Mapping[str, Float64Array],
    sounding: _Sounding | None,
    times_s: Float64Array,
) -> Float64Array:
    curve = voice.lanes.get("pitch")
    if sounding is None:
        default = preset.lane_defaults.get("pitch", lane("pitch").default)
        return drawn["pitch"] if curve is not None else np.full(len(times_s), float(default))
    from_notes = np.array([note.note for note in sounding.notes], dtype=np.float64)[sounding.pick]
    if curve is None:
        return from_notes
    covered = (times_s >= curve.first_s) & (times_s <= curve.last_s)
    return np.where(covered, drawn["pitch"], from_notes)


def _presence(
    passage: Passage, voice: Voice, preset: Preset, drawn: Mapping[str, Float64Array], times_s: Float64Array
) -> Float64Array:
    inside = (times_s >= 0.0) & (times_s < passage.duration_s)
    if "presence" in drawn:
        return np.where(inside, drawn["presence"], 0.0)
    if voice.notes:
        breaths = _breaths(voice, preset, times_s)
    else:
        span = drawn_span_s(passage, voice)
        breaths = [] if span is None else [span]
    return np.where(inside, _envelope(breaths, preset, times_s), 0.0)


def drawn_span_s(passage: Passage, voice: Voice) -> tuple[float, float] | None:
    """Where a voice without notes and without a presence lane sounds: over its drawn pitch, from the first to the last
    point; without a pitch lane, over everything drawn. A lane of one point is a constant and covers the passage.
    """
    curves = [voice.lanes["pitch"]] if "pitch" in voice.lanes else list(voice.lanes.values())
    if not curves:
        return None
    if any(len(curve.points) == 1 for curve in curves):
        return 0.0, passage.duration_s
    return min(curve.first_s for curve in curves), max(curve.last_s for curve in curves)


def _breaths(voice: Voice, preset: Preset, times_s: Float64Array) -> list[tuple[float, float]]:
    """Stretches sung without a gap, near the window: a note ends where the next one begins at the latest.

    What began earlier than an attack and a release before the window is at full level or over by then.
    """
    if len(times_s) == 0:
        return []
    earliest_s = float(times_s[0]) - preset.attack_s - preset.release_s - LEGATO_GAP_S
    first = max(voice.note_index_at(earliest_s), 0)
    after = voice.note_index_at(float(times_s[-1]) + LEGATO_GAP_S) + 1
    breaths: list[tuple[float, float]] = []
    for index in range(first, after):
        note = voice.notes[index]
        end_s = note.end_s
        if index + 1 < len(voice.notes):
            end_s = min(end_s, voice.notes[index + 1].start_s)
        if breaths and note.start_s - breaths[-1][1] <= LEGATO_GAP_S:
            breaths[-1] = (breaths[-1][0], end_s)
        else:
            breaths.append((note.start_s, end_s))
    return breaths


def _envelope(breaths: list[tuple[float, float]], preset: Preset, times_s: Float64Array) -> Float64Array:
    """The loudest of all breaths at each time: linear attack from 0, then from the level reached a linear release."""
    level = np.zeros(len(times_s))
    for start_s, end_s in breaths:
        begin, end, over = np.searchsorted(times_s, (start_s, end_s, end_s + preset.release_s))
        sung = np.ones(end - begin)
        reached = 1.0
        if preset.attack_s > 0:
            sung = np.minimum((times_s[begin:end] - start_s) / preset.attack_s, 1.0)
            reached = min((end_s - start_s) / preset.attack_s, 1.0)
        level[begin:end] = np.maximum(level[begin:end], sung)
        if preset.release_s > 0:
            falling = reached * (1.0 - (times_s[end:over] - end_s) / preset.release_s)
            level[end:over] = np.maximum(level[end:over], falling)
    return level


def _adapter_strengths(drawn: Mapping[str, Float64Array], preset: Preset, n_frames: int) -> dict[str, Float32Array]:
    from_preset = preset.adapter_strengths()
    ids = {lane_id for lane_id in drawn if is_adapter_lane(lane_id)} | from_preset.keys()
    return {
        lane_id: drawn[lane_id].astype(np.float32)
        if lane_id in drawn
        else np.full(n_frames, from_preset[lane_id], dtype=np.float32)
        for lane_id in sorted(ids)
    }
