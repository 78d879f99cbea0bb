"""A MIDI file becomes a passage: a voice for each track and channel, controllers become lanes.

pitch bend -> bend (range by RPN 0) · CC1 roughness · CC2 breathiness · CC11 x CC7 loudness · CC74 technique.growl ·
channel and key pressure tension · program change n -> the n-th preset (program_order).
A controller never sent draws no lane.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import mido
from mido.midifiles.meta import KeySignatureError

from app.state.passage import MAX_DURATION_S, TIME_TOLERANCE_S, Lane, Note, Passage, Point, Voice, lane_range
from app.state.preset import NEUTRAL_PRESET, Preset
from app.state.resolve import resolve
from app.state.strokes import simplify
from app.store.atomic import read_bytes
from app.store.midi_channel import ChannelScore, Event, PlayedNote, read_channel
from app.store.midi_time import MidiMessage, TickClock, absolute_messages
from app.store.presets import load_preset, program_order
from synth.errors import UserError
from synth.spec.audio import FRAME_RATE_HZ, HOP_S

UNIT_LANES: Final = {
    "cc1": "roughness",
    "cc2": "breathiness",
    "cc74": "technique.growl",
    "pressure": "tension",
}
RESTING_AT_ZERO: Final = ("roughness", "technique.growl")  # a controller nobody has touched yet says 0
CC7_DEFAULT: Final = 100 / 127
CC11_DEFAULT: Final = 1.0
MAX_LAYERS: Final = 8  # voices made of one channel's chords
LEGATO_OVERLAP_S: Final = 0.06  # played legato, not a chord
SHORTEST_NOTE_S: Final = HOP_S
RELEASE_ROOM_S: Final = 0.5  # after the last note, so that releases are heard
HOLD_S: Final = 0.15  # a controller silent for longer was held, not moving
TIME_DIGITS: Final = 6
VALUE_DIGITS: Final = 4
UNIT_TOLERANCE: Final = 0.6 / 127  # about what a controller's steps leave unsaid
BEND_TOLERANCE: Final = 0.01  # semitones
LOUDNESS_TOLERANCE: Final = 0.25  # dB


@dataclass(frozen=True, slots=True)
class MidiImport:
    """The passage, and what the file said that a voice cannot do, one line each."""

    passage: Passage
    remarks: tuple[str, ...]


def passage_from_midi(path: Path, preset: Preset | None = None) -> Passage:
    """The passage of a MIDI file; see `import_midi`."""
    return import_midi(path, preset).passage


def import_midi(path: Path, preset: Preset | None = None) -> MidiImport:
    """Read a MIDI file (types 0 and 1). With a preset, every voice uses it; else program changes choose.

    Raises UserError for broken, truncated or foreign files and for files without notes.
    """
    path = Path(path)
    file = _open(path)
    clock = TickClock(file, path.name)
    presets = None if preset is not None else program_order()
    remarks: list[str] = []
    voices: list[Voice] = []
    end_s = 0.0
    for track_index, track in enumerate(file.tracks):
        channels: dict[int, list[tuple[int, MidiMessage]]] = {}
        end_tick, title = 0, ""
        for tick, message in absolute_messages(track):
            end_tick = tick
            if message.type == "track_name":
                title = title or message.name.strip("\x00 ")
            if not message.is_meta and hasattr(message, "channel"):
                channels.setdefault(message.channel, []).append((tick, message))
        for channel, messages in sorted(channels.items()):
            score = read_channel(messages, clock, end_tick)
            if not score.notes:
                continue
            end_s = max(end_s, *(played.end_s for played in score.notes))
            _check_length(end_s, path.name)
            name = title or f"Track {track_index + 1}"
            name = name if len(channels) == 1 else f"{name}, channel {channel + 1}"
            chosen = preset or _preset_for(score.program, presets or [], name, remarks)
            voices += _voices(score, name, chosen, len(voices), remarks)
    if not voices:
        raise UserError(f"{path.name} holds no notes.", remedy="Choose a MIDI file with notes.")
    duration_s = _duration_s(max(note.end_s for voice in voices for note in voice.notes))
    voices = [replace(voice, lanes=_cut(voice.lanes, duration_s)) for voice in voices]
    return MidiImport(Passage(duration_s, clock.tempo, tuple(voices)), tuple(remarks))


def _open(path: Path) -> mido.MidiFile:
    content = read_bytes(path)
    remedy = "Choose a standard MIDI file (.mid)."
    if not content.startswith(b"MThd"):
        kind = "is empty" if not content else "is not a MIDI file"
        raise UserError(f"{path.name} {kind}.", remedy=remedy)
    try:
        file = mido.MidiFile(path, clip=True)
    except EOFError as fault:
        raise UserError(f"{path.name} ends in the middle of a track.", remedy="Export or copy it again.") from fault
    except (OSError, ValueError, LookupError, TypeError, AttributeError, KeySignatureError, struct.error) as fault:
        # mido raises whatever its parser stumbles over.
        raise UserError(f"{path.name} is a broken MIDI file: {fault}.", remedy="Export or copy it again.") from fault
    if file.type == 2:
        raise UserError(f"{path.name} holds independent sequences (type 2).", remedy="Export it as type 0 or 1.")
    return file


def _check_length(end_s: float, name: str) -> None:
    if end_s > MAX_DURATION_S - SHORTEST_NOTE_S:
        longest = f"{MAX_DURATION_S / 3600:g} h"
        raise UserError(f"{name} lasts {end_s / 3600:.1f} h, longer than {longest}.", remedy="Split it.")


def _duration_s(end_s: float) -> float:
    """Whole frames that hold the last note and its release."""
    return min(math.ceil((end_s + RELEASE_ROOM_S) * FRAME_RATE_HZ) / FRAME_RATE_HZ, MAX_DURATION_S)


def _preset_for(program: int | None, presets: Sequence[str], name: str, remarks: list[str]) -> Preset | None:
    if program is None:
        return None
    if program < len(presets):
        return load_preset(presets[program])
    remarks.append(f"{name}: program {program + 1} has no preset; the neutral voice sings.")
    return None


def _voices(score: ChannelScore, name: str, preset: Preset | None, seed: int, remarks: list[str]) -> list[Voice]:
    if score.hung:
        remarks.append(f"{name}: {score.hung} notes were never released and end with their track.")
    layers = _layers(score.notes, name, remarks)
    sound = preset or NEUTRAL_PRESET
    voices = []
    for index, layer in enumerate(layers):
        notes = _notes(layer, name, remarks)
        voice = Voice(
            name=name if len(layers) == 1 else f"{name} {index + 1}",
            preset=None if preset is None else preset.id,
            seed=seed + index,
            notes=notes,
        )
        voices.append(replace(voice, lanes=_lanes(score, voice, sound, name, remarks)))
    return voices


def _layers(notes: list[PlayedNote], name: str, remarks: list[str]) -> list[list[PlayedNote]]:
    """One voice sings one note at a time: chords are shared out among several, legato overlaps are not chords."""
    layers: list[list[PlayedNote]] = []
    lost = 0
    for note in sorted(notes, key=lambda played: (played.start_s, -played.key)):
        for layer in layers:
            last = layer[-1]
            overlap_s = last.end_s - note.start_s
            if overlap_s <= min(LEGATO_OVERLAP_S, (last.end_s - last.start_s) / 2):
                layer.append(note)
                break
        else:
            if len(layers) < MAX_LAYERS:
                layers.append([note])
            else:
                lost += 1
    if len(layers) > 1:
        remarks.append(f"{name}: chords became {len(layers)} voices.")
    if lost:
        remarks.append(f"{name}: {lost} notes of chords wider than {MAX_LAYERS} were left out.")
    return layers


def _notes(layer: list[PlayedNote], name: str, remarks: list[str]) -> tuple[Note, ...]:
    low, high = lane_range("pitch")
    folded = 0
    notes = []
    for played in layer:
        key = float(played.key)
        while key < low:
            key += 12.0
        while key > high:
            key -= 12.0
        folded += key != played.key
        duration_s = round(max(played.end_s - played.start_s, SHORTEST_NOTE_S), TIME_DIGITS)
        notes.append(Note(round(played.start_s, TIME_DIGITS), duration_s, key, min(max(played.velocity, 1), 127)))
    if folded:
        remark = f"{name}: {folded} notes outside {low:g} to {high:g} were moved by octaves."
        if remark not in remarks:
            remarks.append(remark)
    return tuple(notes)


def _lanes(score: ChannelScore, voice: Voice, preset: Preset, name: str, remarks: list[str]) -> dict[str, Lane]:
    first_s = voice.notes[0].start_s
    lanes: dict[str, Lane] = {}
    for source, lane_id in UNIT_LANES.items():
        events = score.controls.get(source)
        if events:
            rest = 0.0 if lane_id in RESTING_AT_ZERO else _undrawn_value(voice, preset, lane_id)
            lanes[lane_id] = _curve(events, rest, first_s, tolerance=UNIT_TOLERANCE)
    if score.bend:
        low, high = lane_range("bend")
        limited = [(t_s, min(max(value, low), high)) for t_s, value in score.bend]
        if limited != score.bend:
            remarks.append(f"{name}: pitch bend was limited to {high:g} semitones.")
        lanes["bend"] = _curve(limited, 0.0, first_s, tolerance=BEND_TOLERANCE)
    loudness = _loudness_events(score, voice, preset)
    if loudness:
        lanes["loudness"] = _curve(loudness, loudness[0][1], first_s, tolerance=LOUDNESS_TOLERANCE)
    return lanes


def _undrawn_value(voice: Voice, preset: Preset, lane_id: str) -> float:
    """What the lane is at the first note while nobody draws it."""
    passage = Passage(voice.notes[-1].end_s + HOP_S, voices=(voice,))
    frame = int(voice.notes[0].start_s * FRAME_RATE_HZ)
    return float(resolve(passage, voice, preset, frame, 1).values[lane_id][0])


def _loudness_events(score: ChannelScore, voice: Voice, preset: Preset) -> list[Event]:
    """Velocity of the note that sounds, plus 40 log10 of volume and expression (General MIDI's level curve)."""
    volume, expression = score.controls.get("cc7", []), score.controls.get("cc11", [])
    if all(abs(v - CC7_DEFAULT) < 1e-9 for _, v in volume) and all(v == CC11_DEFAULT for _, v in expression):
        return []
    velocity_db = _undrawn_value(voice, preset, "loudness")
    base_db = velocity_db - preset.loudness_for_velocity_db(0.0, voice.notes[0].velocity)
    low, high = lane_range("loudness")
    starts_s = [note.start_s for note in voice.notes]
    times_s = sorted({*starts_s, *(t_s for t_s, _ in volume), *(t_s for t_s, _ in expression)})
    events: list[Event] = []
    at_volume = at_expression = at_note = -1
    for t_s in times_s:
        at_volume = _advance(volume, at_volume, t_s)
        at_expression = _advance(expression, at_expression, t_s)
        while at_note + 1 < len(starts_s) and starts_s[at_note + 1] <= t_s:
            at_note += 1
        gain = volume[at_volume][1] / CC7_DEFAULT if at_volume >= 0 else 1.0
        gain *= expression[at_expression][1] if at_expression >= 0 else CC11_DEFAULT
        struck_db = preset.loudness_for_velocity_db(base_db, voice.notes[max(at_note, 0)].velocity)
        level_db = struck_db + 40.0 * math.log10(gain) if gain > 0 else low
        events.append((t_s, min(max(level_db, low), high)))
    return events


def _advance(events: list[Event], index: int, t_s: float) -> int:
    while index + 1 < len(events) and events[index + 1][0] <= t_s:
        index += 1
    return index


def _curve(events: list[Event], rest: float, first_note_s: float, *, tolerance: float) -> Lane:
    """Controller events as a linear lane: dense moves join into ramps, a value that waits is held until it moves."""
    points: list[Point] = []
    if events[0][0] > first_note_s:
        points.append((0.0, rest))
    for t_s, value in events:
        if points and t_s - points[-1][0] > HOLD_S:
            points.append((t_s - HOP_S, points[-1][1]))
        points.append((t_s, value))
    kept = simplify(points, tolerance=tolerance, max_points=len(points))
    # As a dictionary: two events may fall on one microsecond, and the later one stands.
    rounded = {round(t_s, TIME_DIGITS): round(value, VALUE_DIGITS) for t_s, value in kept}
    return Lane(tuple(rounded.items()))


def _cut(lanes: Mapping[str, Lane], duration_s: float) -> dict[str, Lane]:
    """Controllers that still move after the last note has died away end with the passage."""
    cut: dict[str, Lane] = {}
    for lane_id, curve in lanes.items():
        kept = [point for point in curve.points if point[0] <= duration_s + TIME_TOLERANCE_S]
        cut[lane_id] = curve.with_points(kept or [(0.0, curve.points[0][1])])
    return cut
