"""Voices that sound: from commands of the performance to samples of the stream. Performer's side, one thread.

A voice begins with an onset made ahead, in the block of its event and at its event's sample, or as soon as the sampler
has made its first frames. It ends by a fade that begins at its event's sample as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from app.live.performance.commands import ALL_VOICES, StartVoice
from app.live.performance.performed import PerformedControls
from app.live.stage import meter as fields
from app.live.stage.adapter_columns import AdapterColumns
from app.live.stage.groups import OnsetGroups, Singer
from app.live.stage.lanes import BEND, LOUDNESS, PITCH, PRESENCE, SPANS, PlayedLanes
from app.live.stage.memory import MISS, N_SLOTS, StageMemory
from app.live.stage.meter import Meter
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array
from synth.spec.lanes import lane
from synth.streaming.sounding import FrameSounder, decoder_window, frames_needed

MAX_BLOCK: Final = 512
START_CYCLE: Final = 0.98  # a note's first pulse need not wait for a period
_STEAL_S: Final = 0.01
_TAIL_S: Final = 0.06  # beyond the preset's release: the model needs a moment to follow it
_STARVED_FRAMES: Final = 12  # late by so much, the sampler has gone
_STARVED_FADE_S: Final = 0.3
_WORTH_REDRAWING: Final = 0.02  # of a lane's span
_A4_NOTE: Final = 69.0
_A4_HZ: Final = 440.0
_DRAWN_AHEAD_S: Final = 0.03  # what is drawn now is heard from about then on
_NOBODY: Final = -1000
_PITCH_RANGE: Final = (lane("pitch").minimum, lane("pitch").maximum)


@dataclass(slots=True)
class SoundingVoice:
    """One note. `told` are the lanes the sampler was last asked to hurry for."""

    number: int
    slot: int
    start: StartVoice
    singer: Singer
    seed: int
    event_s: float
    told: Float32Array
    released_s: float | None = None
    is_heard: bool = False
    is_again: bool = False  # sung on by another sampler: its note has been heard before


@dataclass(slots=True)
class Started:
    """What became of a voice in a block: those first heard, with the frame of the block, and those that are over."""

    heard: list[tuple[SoundingVoice, int]] = field(default_factory=list)
    over: list[SoundingVoice] = field(default_factory=list)
    n_broken: int = 0  # voices whose samples were no numbers


class Voices:
    """All voices of the stream."""

    def __init__(
        self,
        memory: StageMemory,
        meter: Meter,
        performed: PerformedControls,
        groups: OnsetGroups,
        columns: AdapterColumns,
    ) -> None:
        self._memory, self._meter, self._performed, self._groups = memory, meter, performed, groups
        self._sounder = FrameSounder(memory.frames, decoder_window())
        self._lanes = PlayedLanes(performed, columns.index)
        self._by_number: dict[int, SoundingVoice] = {}  # those that can still be told something
        self._fading: list[SoundingVoice] = []
        self._starved: dict[int, SoundingVoice] = {}  # faded for want of a sampler; their keys may still be down
        self._serial = 0
        self._hz = np.zeros((N_SLOTS, MAX_BLOCK), dtype=np.float32)
        self._note = np.zeros(MAX_BLOCK, dtype=np.float32)
        self._out = np.zeros((N_SLOTS, MAX_BLOCK), dtype=np.float32)
        self._ramp = np.arange(MAX_BLOCK, dtype=np.float32)
        self._bend = np.zeros(MAX_BLOCK, dtype=np.float32)
        self._row = np.zeros(memory.lanes.shape[1], dtype=np.float32)

    @property
    def sounding(self) -> list[SoundingVoice]:
        """Voices that have not been told to end at once."""
        return list(self._by_number.values())

    # ---- what commands do

    def start(self, command: StartVoice, singer: Singer, seed: int, delay: int, t_s: float) -> SoundingVoice | None:
        """Begin a voice `delay` samples into the next block -> it, or None where no slot is free."""
        memory = self._memory
        free = np.flatnonzero((memory.serial == 0) & (memory.served == 0) & ~self._sounder.active)
        if len(free) == 0:
            return None
        slot = int(free[0])
        row = self._row
        self._lanes.fill(command.voice, self._struck(singer, command.velocity), t_s, row, singer.preset.lane_ranges)
        note = self._performed.note_at(command.voice, t_s) + _bend_at(singer, 0.0)
        note = min(max(note, _PITCH_RANGE[0]), _PITCH_RANGE[1])
        row[PITCH], row[PRESENCE] = note, 1.0
        frames = memory.frames
        frames.drifts[slot] = singer.preset.pitch_drift
        frames.latest_hz[slot] = _hz_of(note)
        entry = self._groups.find(singer, row, note, command.velocity)
        version = self._begin_with(slot, entry)
        if version == 0:
            entry = MISS
            frames.ready[slot] = frames.fed[slot] = 0
            frames.seeds[slot] = seed
        self._meter.ints[fields.MISSES if entry == MISS else fields.HITS] += 1
        memory.lanes[slot] = row
        memory.timbre[slot] = singer.timbre
        memory.attack_s[slot] = singer.preset.attack_s
        memory.entry[slot], memory.entry_version[slot] = entry, version
        memory.position[slot] = memory.moved[slot] = 0
        memory.fall_per_frame[slot] = 0.0
        self._sounder.start(slot, delay_samples=delay, start_cycle=START_CYCLE)
        self._sounder.late_frames[slot] = 0
        voice = SoundingVoice(
            command.voice, slot, command, singer, int(frames.seeds[slot]), command.t_s, memory.lanes[slot].copy()
        )
        self._by_number[command.voice] = voice
        self._serial += 1
        memory.serial[slot] = self._serial  # last: from here on the slot's frames are the sampler's
        return voice

    def release(self, number: int, t_s: float, after: int) -> None:
        """The note is over: presence falls through the model, and a fade makes an end of it."""
        self._starved.pop(number, None)
        voice = self._by_number.get(number)
        if voice is not None and voice.released_s is None:
            voice.released_s = t_s
            self._memory.fall_per_frame[voice.slot] = HOP_SAMPLES / (_release_s(voice) * SAMPLE_RATE_HZ)
            self._memory.moved[voice.slot] += 1
            fade_s = voice.singer.preset.release_s + _TAIL_S
            self._sounder.stop(voice.slot, after_samples=after, fade_samples=round(fade_s * SAMPLE_RATE_HZ))

    def end(self, number: int, after: int, fade_s: float = _STEAL_S) -> None:
        """Silence a voice."""
        self._starved.pop(number, None)
        voice = self._by_number.pop(number, None)
        if voice is not None:
            self._fading.append(voice)
            self._sounder.stop(voice.slot, after_samples=after, fade_samples=round(fade_s * SAMPLE_RATE_HZ))
            if not voice.is_heard:
                self._sounder.active[voice.slot] = False

    def silence(self, fade_s: float) -> None:
        """Everything, and what fades already too."""
        for voice in self.sounding:
            self.end(voice.number, 0, fade_s)
        for voice in self._fading:
            self._sounder.stop(voice.slot, fade_samples=round(fade_s * SAMPLE_RATE_HZ))

    def abandon(self, t_s: float) -> None:
        """Their performance is over: release all voices, and let their numbers be used again."""
        for voice in self.sounding:
            self.release(voice.number, t_s, 0)
        self._fading += self._by_number.values()
        for voice in [*self._fading, *self._starved.values()]:
            self._performed.forget(voice.number)
        for index, voice in enumerate(self._fading):
            voice.number = _NOBODY - index  # it fades at the pitch it has
        self._by_number.clear()
        self._starved.clear()

    def weakest(self) -> SoundingVoice | None:
        """Who goes when there are more than the machine keeps up with: released ones first, then the oldest."""
        return min(self._by_number.values(), key=lambda voice: (voice.released_s is None, voice.event_s), default=None)

    # ---- what a block does

    def sound(self, n_samples: int, t_s: float, out: Float32Array) -> Started:
        """Add the next `n_samples` of every voice to `out` [n_samples]; the block's events lie at `t_s` and later."""
        self._meter.ints[fields.VOICES] = len(self._by_number)
        begun = Started()
        voices = [*self._by_number.values(), *self._fading]
        if not voices:
            return begun
        hz, audio = self._hz[:, :n_samples], self._out[:, :n_samples]
        step_s = 1.0 / SAMPLE_RATE_HZ
        note = self._note[:n_samples]
        for voice in voices:
            if not self._performed.knows(voice.number):  # silenced: it fades at the pitch it had
                hz[voice.slot] = self._memory.frames.latest_hz[voice.slot]
                continue
            self._performed.fill_pitch(voice.number, note, t_s, step_s)
            if voice.singer.course is not None:
                self._bend_note(voice, note, t_s)
            np.clip(note, *_PITCH_RANGE, out=note)
            np.subtract(note, _A4_NOTE, out=note)
            np.multiply(note, 1.0 / 12.0, out=note)
            np.exp2(note, out=note)
            np.multiply(note, _A4_HZ, out=hz[voice.slot])
        self._sounder.process(hz, audio)
        for voice in voices:
            np.multiply(audio[voice.slot], voice.singer.gain, out=note)
            if math.isfinite(float(np.add.reduce(note))):
                np.add(out, note, out=out)
            else:  # one voice must not take the others with it
                self._sounder.active[voice.slot] = False
                begun.n_broken += 1
        for voice in voices:
            self._look_after(voice, n_samples, begun)
        return begun

    def follow(self, t_s: float) -> None:
        """Tell the sampler where every voice's lanes are. Call it every few milliseconds."""
        memory, row = self._memory, self._row
        for voice in self._by_number.values():
            slot = voice.slot
            struck = self._struck(voice.singer, voice.start.velocity, t_s - voice.event_s)
            self._lanes.fill(voice.number, struck, t_s + _DRAWN_AHEAD_S, row, voice.singer.preset.lane_ranges)
            note = self._performed.note_at(voice.number, t_s) + _bend_at(voice.singer, t_s - voice.event_s)
            row[PITCH] = min(max(note, _PITCH_RANGE[0]), _PITCH_RANGE[1])
            row[PRESENCE] = _presence(voice, t_s)
            memory.lanes[slot] = row
            apart = np.abs(row - voice.told)
            apart /= SPANS
            apart[[PITCH, PRESENCE]] = 0.0
            if apart.max() > _WORTH_REDRAWING:
                np.copyto(voice.told, row)
                memory.moved[slot] += 1

    def standing(self, singer: Singer, t_s: float, out: Float32Array) -> None:
        """The lanes a note would begin with now, struck at the usual velocity -> `out` [n_lanes]."""
        self._lanes.fill(ALL_VOICES, singer.resting, t_s, out, singer.preset.lane_ranges)

    def start_again(self, t_s: float) -> None:
        """A new sampler knows none of the voices: those that are held begin again, the others end."""
        held = self._starved | {voice.number: voice for voice in self.sounding if voice.released_s is None}
        self._starved = {}
        for voice in self.sounding:
            self.end(voice.number, 0)
        for voice in self._fading:  # what has waited in vain for its first frames would wait for ever
            self._sounder.active[voice.slot] &= voice.is_heard
        for voice in held.values():
            if self._performed.knows(voice.number):
                again = self.start(voice.start, voice.singer, voice.seed, 0, t_s)
                if again is None:
                    self._starved[voice.number] = voice
                else:
                    again.is_again = voice.is_heard or voice.is_again

    # ---- inside

    def _bend_note(self, voice: SoundingVoice, note: Float32Array, t_s: float) -> None:
        """Add what the preset's gesture bends in this block to `note` [n_samples], straight from end to end."""
        since_s, n_samples = t_s - voice.event_s, len(note)
        first = _bend_at(voice.singer, since_s)
        last = _bend_at(voice.singer, since_s + n_samples / SAMPLE_RATE_HZ)
        bend = self._bend[:n_samples]
        np.multiply(self._ramp[:n_samples], (last - first) / n_samples, out=bend)
        np.add(bend, first, out=bend)
        np.add(note, bend, out=note)

    def _struck(self, singer: Singer, velocity: float, since_s: float = 0.0) -> Float32Array:
        """What a note sings `since_s` after its onset without hands -> [n_lanes]."""
        if singer.course is None:
            resting = singer.resting.copy()
        else:
            frame = min(max(int(since_s * FRAME_RATE_HZ), 0), singer.course.shape[1] - 1)
            resting = singer.course[:, frame].copy()
            resting[BEND] = 0.0  # it is in the pitch
        resting[LOUDNESS] = singer.preset.loudness_for_velocity_db(float(resting[LOUDNESS]), velocity)
        return resting

    def _begin_with(self, slot: int, entry: int) -> int:
        """Copy an onset's first frames -> the version they had, 0 where they have been replaced meanwhile."""
        memory = self._memory
        if entry == MISS:
            return 0
        version = int(memory.onset_version[entry])
        memory.frames.copy_head(slot, memory.heads, entry)
        return version if version == int(memory.onset_version[entry]) else 0

    def _look_after(self, voice: SoundingVoice, n_samples: int, begun: Started) -> None:
        memory, slot = self._memory, voice.slot
        position = self._sounder.position(slot)
        memory.position[slot] = position
        if not voice.is_heard and position > 0:
            voice.is_heard = True
            begun.heard.append((voice, n_samples - position))
        late = int(frames_needed(position, n_samples)) - int(memory.frames.ready[slot])
        if late > _STARVED_FRAMES and voice.is_heard and voice.number in self._by_number:
            self.end(voice.number, 0, _STARVED_FADE_S)
            self._meter.ints[fields.STARVED] += 1
            if voice.released_s is None:
                self._starved[voice.number] = voice
        if not self._sounder.active[slot]:
            self._let_go(voice, begun)

    def _let_go(self, voice: SoundingVoice, begun: Started) -> None:
        self._meter.ints[fields.LATE_FRAMES] += int(self._sounder.late_frames[voice.slot])
        if self._by_number.get(voice.number) is voice:
            del self._by_number[voice.number]
        elif voice in self._fading:
            self._fading.remove(voice)
        if voice.number not in self._by_number and voice.number not in self._starved:
            self._performed.forget(voice.number)
            begun.over.append(voice)
        self._memory.serial[voice.slot] = 0


def _presence(voice: SoundingVoice, t_s: float) -> float:
    if voice.released_s is None:
        return 1.0
    return min(max(1.0 - (t_s - voice.released_s) / _release_s(voice), 0.0), 1.0)


def _release_s(voice: SoundingVoice) -> float:
    """How long presence falls: a frame at least."""
    return max(voice.singer.preset.release_s, HOP_SAMPLES / SAMPLE_RATE_HZ)


def _bend_at(singer: Singer, since_s: float) -> float:
    """Semitones that the preset's gesture bends a note `since_s` after its onset."""
    if singer.course is None:
        return 0.0
    bends = singer.course[BEND]
    place = min(max(since_s * FRAME_RATE_HZ - 0.5, 0.0), len(bends) - 1.0)
    index = min(int(place), len(bends) - 2)
    return float(bends[index] + (bends[index + 1] - bends[index]) * (place - index))


def _hz_of(note: float) -> float:
    return _A4_HZ * 2.0 ** ((note - _A4_NOTE) / 12.0)
