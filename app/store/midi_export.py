"""A passage becomes a MIDI file: a track for each voice, lanes become controllers by the map `midi_import` reads.

Drawn pitch and bend become pitch bend over the notes; a voice that is only drawn gets one note for each stretch in
which it sounds. What MIDI has no controller for (fry, vowels, most technique weights) stays behind.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import mido
import numpy as np

from app.state.passage import Note, Passage, Tempo, Voice
from app.state.preset import Preset
from app.state.resolve import resolve
from app.store.atomic import write_atomically
from app.store.midi_import import CC11_DEFAULT, UNIT_LANES
from app.store.midi_time import MidiMessage
from app.store.presets import load_preset
from synth.spec.audio import HOP_S
from synth.spec.controls import ControlFrames

TICKS_PER_BEAT: Final = 960
BEND_RANGE: Final = 24
CHUNK_FRAMES: Final = 6000  # resolved at a time
_CHANNELS: Final = tuple(channel for channel in range(16) if channel != 9)  # 10 is the drums' elsewhere
_CONTROL_OF: Final = {"cc1": 1, "cc2": 2, "cc74": 74}

_Timed = tuple[float, int, MidiMessage]  # seconds, rank among equals, message


def export_midi(passage: Passage, path: Path, preset_of: Callable[[str | None], Preset] = load_preset) -> None:
    """Write the passage as a type 1 file, atomically. Raises UserError."""
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    ticks_at = _tick_map(passage.tempo)
    file.tracks.append(_track("", _tempo_events(passage.tempo), ticks_at))
    for index, voice in enumerate(passage.voices):
        channel = _CHANNELS[index % len(_CHANNELS)]
        events = _voice_events(passage, voice, preset_of(voice.preset), channel)
        file.tracks.append(_track(voice.name, events, ticks_at))
    content = io.BytesIO()
    file.save(file=content)
    write_atomically(path, content.getvalue())


def _tick_map(tempo: Tempo) -> Callable[[float], int]:
    """Seconds to ticks; each tempo is valid until the next."""
    starts_s = np.array([t_s for t_s, _ in tempo.points])
    ticks_per_s = np.array([bpm * TICKS_PER_BEAT / 60.0 for _, bpm in tempo.points])
    starts_tick = np.concatenate([[0.0], np.cumsum(np.diff(starts_s) * ticks_per_s[:-1])])

    def ticks_at(t_s: float) -> int:
        index = int(np.searchsorted(starts_s, t_s, side="right")) - 1
        return round(float(starts_tick[index] + (t_s - starts_s[index]) * ticks_per_s[index]))

    return ticks_at


def _tempo_events(tempo: Tempo) -> list[_Timed]:
    events: list[_Timed] = [
        (t_s, 0, mido.MetaMessage("set_tempo", tempo=round(6e7 / bpm))) for t_s, bpm in tempo.points
    ]
    for t_s, beats, unit in tempo.metre:
        events.append((t_s, 0, mido.MetaMessage("time_signature", numerator=beats, denominator=unit)))
    return events


def _track(name: str, events: list[_Timed], ticks_at: Callable[[float], int]) -> mido.MidiTrack:
    track = mido.MidiTrack()
    if name:
        # Names in a MIDI file are Latin-1.
        track.append(mido.MetaMessage("track_name", name=name.encode("latin-1", "replace").decode("latin-1")))
    last_tick = 0
    for t_s, _, message in sorted(events, key=lambda event: (ticks_at(event[0]), event[1])):
        tick = ticks_at(t_s)
        track.append(message.copy(time=tick - last_tick))
        last_tick = tick
    return track


def _voice_events(passage: Passage, voice: Voice, preset: Preset, channel: int) -> list[_Timed]:
    chunks = [
        resolve(passage, voice, preset, start, min(CHUNK_FRAMES, passage.n_frames - start))
        for start in range(0, passage.n_frames, CHUNK_FRAMES)
    ]
    notes = voice.notes or _drawn_notes(chunks, preset)
    # Parameter 0, data entry: the bend range must be in force before the first bend.
    ranges = ((101, 0), (100, 0), (6, BEND_RANGE), (38, 0), (101, 127), (100, 127))
    events: list[_Timed] = [(0.0, -9 + rank, _control(channel, *pair)) for rank, pair in enumerate(ranges)]
    keys = np.zeros(passage.n_frames)
    for index, note in enumerate(notes):
        key = round(note.note)
        keys[int(note.start_s / HOP_S) :] = key
        if index == 0:
            keys[:] = key
        end_s = min(note.end_s, notes[index + 1].start_s) if index + 1 < len(notes) else note.end_s
        if end_s > note.start_s:
            on = mido.Message("note_on", channel=channel, note=key, velocity=note.velocity)
            events.append((note.start_s, 3, on))
            events.append((end_s, 1, mido.Message("note_off", channel=channel, note=key)))
    if notes:
        pitch = np.concatenate([chunk.values["pitch"] for chunk in chunks])
        turn = (pitch - keys) / BEND_RANGE
        wheel = np.clip(np.rint(turn * np.where(turn < 0, 8192.0, 8191.0)), -8192, 8191).astype(int)
        events += _changes(wheel, 2, lambda value: mido.Message("pitchwheel", channel=channel, pitch=value))
    for source, lane_id in UNIT_LANES.items():
        if lane_id in voice.lanes:
            events += _unit_events(chunks, lane_id, source, channel)
    if "loudness" in voice.lanes:
        events += _expression_events(passage, voice, preset, chunks, channel)
    return events


def _control(channel: int, control: int, value: int) -> MidiMessage:
    return mido.Message("control_change", channel=channel, control=control, value=value)


def _unit_events(chunks: list[ControlFrames], lane_id: str, source: str, channel: int) -> list[_Timed]:
    steps = np.rint(np.concatenate([chunk.values[lane_id] for chunk in chunks]) * 127.0).astype(int)
    if source == "pressure":
        return _changes(steps, 2, lambda value: mido.Message("aftertouch", channel=channel, value=value))
    return _changes(steps, 2, lambda value: _control(channel, _CONTROL_OF[source], value))


def _expression_events(
    passage: Passage, voice: Voice, preset: Preset, chunks: list[ControlFrames], channel: int
) -> list[_Timed]:
    """CC11 relative to what velocities alone would give; volume stands at 127 to leave room above."""
    undrawn = Voice(voice.name, voice.preset, voice.seed, voice.notes, _without(voice, "loudness"))
    asked_db = np.concatenate([chunk.values["loudness"] for chunk in chunks])
    struck_db = resolve(passage, undrawn, preset, 0, passage.n_frames).values["loudness"]
    volume_gain_db = 40.0 * np.log10(127.0 / 100.0)
    gain = 10.0 ** ((asked_db - struck_db - volume_gain_db) / 40.0) * CC11_DEFAULT
    steps = np.clip(np.rint(gain * 127.0), 1, 127).astype(int)
    return [
        (0.0, 0, _control(channel, 7, 127)),
        *_changes(steps, 2, lambda value: _control(channel, 11, value)),
    ]


def _without(voice: Voice, lane_id: str) -> dict:
    return {other: curve for other, curve in voice.lanes.items() if other != lane_id}


def _changes(steps: np.ndarray, rank: int, message: Callable[[int], MidiMessage]) -> list[_Timed]:
    """One message wherever the value of the frames changes, at the frame's beginning."""
    moved = np.flatnonzero(np.diff(steps)) + 1
    return [(float(frame) * HOP_S, rank, message(int(steps[frame]))) for frame in [0, *moved]]


def _drawn_notes(chunks: list[ControlFrames], preset: Preset) -> tuple[Note, ...]:
    """A note for each stretch with presence, at the pitch it begins with."""
    presence = np.concatenate([chunk.values["presence"] for chunk in chunks]) > 0
    pitch = np.concatenate([chunk.values["pitch"] for chunk in chunks])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], presence.astype(np.int8), [0]])))
    notes = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        # The exported note releases by itself.
        length = max((end - begin) * HOP_S - preset.release_s, HOP_S)
        notes.append(Note(float(begin) * HOP_S, float(length), float(np.clip(pitch[begin], 24.0, 96.0))))
    return tuple(notes)
