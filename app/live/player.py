"""Plays the current preset from a controller or the on-screen keyboard, cell by cell.

A note-on asks the sampler for the note's first cell; while the note sounds, one further cell is always asked for ahead
of time. So bend, pedals and knobs are heard from the next cell on that has not been asked for yet, up to two
cells (1.6 s) later; moving the pitch of what sounds belongs to the decoder and is not done here.

No note sticks: a note ends with its key, with panic, with its controller, when its cells fail, or when the sound
server forgets it. A key let go before the first cell has come still sounds, for as long as it was held.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from app.audio.shared import SLOT_FRAMES
from app.live.controllers import ALL_NOTES_OFF, ALL_SOUND_OFF, Controllers, Performed
from app.midi.messages import ControlChange, MidiMessage, NoteOff, NoteOn
from app.state.preset import Preset
from synth.spec import CELL_FRAMES, HOP_SAMPLES, SAMPLE_RATE_HZ, Float32Array

_log = logging.getLogger(__name__)

MAX_POLYPHONY: Final = 16
RELEASE_S: Final = 0.08
STEAL_S: Final = 0.01
MIN_SOUND_S: Final = 0.08  # of a note whose key was only touched
LATE_S: Final = 2.0  # a note that has been let go and still has not sounded after so long is given up
CELL_S: Final = CELL_FRAMES * HOP_SAMPLES / SAMPLE_RATE_HZ
KEYBOARD: Final = -1  # the channel of the on-screen keyboard
_SEED_MASK: Final = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class CellRequest:
    """Cell `cell_index` of one live note: the note starts with cell 0 and is held until further notice."""

    note_id: int
    preset: Preset
    note: float
    velocity: int
    seed: int
    cell_index: int
    performed: Performed


OnCell = Callable[[CellRequest, Float32Array | None], None]
RequestCell = Callable[[CellRequest, OnCell], None]  # answers later, on any thread, exactly once; None = it failed


class LiveSound(Protocol):
    """What the player needs of SoundClient."""

    def live_block(self, note_id: int, audio: Float32Array) -> bool: ...
    def live_release(self, note_id: int, *, fade_s: float = ...) -> None: ...
    def live_played_s(self, note_id: int) -> float | None: ...
    def panic(self) -> None: ...


@dataclass(slots=True)
class _LiveNote:
    note_id: int
    channel: int
    preset: Preset
    note: float
    velocity: int
    seed: int
    started_at_s: float
    n_asked: int = 0  # cells
    n_received: int = 0
    waiting: tuple[Float32Array, ...] = ()  # blocks the sound server had no room for yet
    has_sounded: bool = False
    is_key_down: bool = True
    let_go_at_s: float | None = None  # key and pedal up
    sound_for_s: float = MIN_SOUND_S  # once let go


class LivePlayer:
    """Any thread may call any method; pump() wants calling at 20 Hz or more, from one thread."""

    def __init__(
        self, sound: LiveSound, request_cell: RequestCell, *, seed: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """seed   of the first note; each note takes the next one"""
        self._sound = sound
        self._request_cell = request_cell
        self._seed = seed
        self._clock = clock
        self._lock = threading.Lock()
        self._preset: Preset | None = None
        self._controllers = Controllers()
        self._notes: dict[int, _LiveNote] = {}  # those not yet released, oldest first
        self._last_id = 0
        self.failed_cells = 0

    def set_preset(self, preset: Preset) -> None:
        """Sing the next notes with this; those that sound keep theirs."""
        with self._lock:
            self._preset = preset

    def handle(self, message: MidiMessage) -> None:
        """Take up a controller's message."""
        match message:
            case NoteOn(channel=channel, note=note, velocity=velocity):
                self.note_on(note, velocity, channel=channel)
            case NoteOff(channel=channel, note=note):
                self.note_off(note, channel=channel)
            case ControlChange(number=number) if number == ALL_SOUND_OFF:
                self.panic()
            case ControlChange(number=number) if number == ALL_NOTES_OFF:
                self.release_all()
            case _:
                self._control(message)

    def note_on(self, note: float, velocity: int, *, channel: int = KEYBOARD) -> None:
        """Start a note (MIDI number, fractional); nothing without a preset. The same key again starts it anew."""
        with self._lock:
            if self._preset is None:
                return
            for old in [old for old in self._notes.values() if (old.channel, old.note) == (channel, note)]:
                self._drop(old, STEAL_S if old.is_key_down else RELEASE_S)
            while len(self._notes) >= MAX_POLYPHONY:
                self._drop(next(iter(self._notes.values())), STEAL_S)
            self._last_id += 1
            live = _LiveNote(
                note_id=self._last_id,
                channel=channel,
                preset=self._preset,
                note=note,
                velocity=velocity,
                seed=(self._seed + self._last_id - 1) & _SEED_MASK,
                started_at_s=self._clock(),
            )
            self._notes[live.note_id] = live
            request = self._next_request(live)
        self._request_cell(request, self._on_cell)

    def note_off(self, note: float, *, channel: int = KEYBOARD) -> None:
        """Let a key go. With the sustain pedal down (controllers only) the note sounds on."""
        with self._lock:
            for live in list(self._notes.values()):
                if (live.channel, live.note) == (channel, note) and live.is_key_down:
                    live.is_key_down = False
                    if channel == KEYBOARD or not self._controllers.is_sustaining:
                        self._let_go(live)

    def release_all(self, *, channels: Iterable[int] | None = None) -> None:
        """Let every key go, pedal or not; only those of `channels` when given."""
        chosen = None if channels is None else set(channels)
        with self._lock:
            for live in list(self._notes.values()):
                if chosen is None or live.channel in chosen:
                    live.is_key_down = False
                    self._let_go(live)

    def controller_vanished(self) -> None:
        """Let go what a controller held that is no longer there, pedal and wheels too. The keyboard's notes stay."""
        with self._lock:
            self._controllers.reset()
        self.release_all(channels=range(16))

    def panic(self) -> None:
        """Silence every live note at once."""
        with self._lock:
            self._controllers.reset()
            for live in list(self._notes.values()):
                self._drop(live, STEAL_S)
        self._sound.panic()

    def pump(self) -> None:
        """Ask for the cells that are due, hand over those that wait, end the notes that are over."""
        with self._lock:
            requests = [request for live in list(self._notes.values()) if (request := self._advance(live)) is not None]
        for request in requests:
            self._request_cell(request, self._on_cell)

    def is_wanted(self, note_id: int) -> bool:
        """Whether a requested cell would still be played."""
        with self._lock:
            return note_id in self._notes

    @property
    def n_notes(self) -> int:
        """Notes that are held, or wait to be heard."""
        with self._lock:
            return len(self._notes)

    # ---- with the lock held

    def _advance(self, live: _LiveNote) -> CellRequest | None:
        """Look after one note -> the request that is due, if any."""
        played_s = self._sound.live_played_s(live.note_id)
        if played_s is None and live.has_sounded:
            self._drop(live, RELEASE_S)  # the server has forgotten it, or was replaced
            return None
        live.has_sounded = played_s is not None
        self._hand_over(live)
        if live.let_go_at_s is not None:
            if played_s is not None and played_s >= live.sound_for_s:
                self._drop(live, RELEASE_S)
                return None
            if played_s is None and self._clock() - live.let_go_at_s > LATE_S:
                self._drop(live, RELEASE_S)
                return None
        is_answered = live.n_asked == live.n_received and not live.waiting
        ahead_s = live.n_received * CELL_S - (played_s or 0.0)
        needed_s = live.sound_for_s if live.let_go_at_s is not None else float("inf")
        if is_answered and ahead_s <= CELL_S and live.n_received * CELL_S < needed_s + RELEASE_S:
            return self._next_request(live)
        return None

    def _next_request(self, live: _LiveNote) -> CellRequest:
        live.n_asked += 1
        return CellRequest(
            note_id=live.note_id,
            preset=live.preset,
            note=live.note,
            velocity=live.velocity,
            seed=live.seed,
            cell_index=live.n_asked - 1,
            performed=self._controllers.performed,
        )

    def _hand_over(self, live: _LiveNote) -> None:
        while live.waiting and self._sound.live_block(live.note_id, live.waiting[0]):
            live.waiting = live.waiting[1:]

    def _let_go(self, live: _LiveNote) -> None:
        """Key and pedal are up: release now, or latch the note until it has been heard."""
        if live.let_go_at_s is not None:
            return
        live.let_go_at_s = self._clock()
        live.sound_for_s = max(live.let_go_at_s - live.started_at_s, MIN_SOUND_S)
        played_s = self._sound.live_played_s(live.note_id)
        if played_s is not None and played_s >= MIN_SOUND_S:
            self._drop(live, RELEASE_S)

    def _drop(self, live: _LiveNote, fade_s: float) -> None:
        del self._notes[live.note_id]
        self._sound.live_release(live.note_id, fade_s=fade_s)

    # ---- taking the lock

    def _control(self, message: MidiMessage) -> None:
        with self._lock:
            self._controllers.handle(message)
            if not self._controllers.is_sustaining:
                for live in list(self._notes.values()):
                    if not live.is_key_down:
                        self._let_go(live)

    def _on_cell(self, request: CellRequest, audio: Float32Array | None) -> None:
        """A cell has come, on whatever thread."""
        with self._lock:
            live = self._notes.get(request.note_id)
            if live is None or request.cell_index != live.n_received:
                return
            if audio is None or len(audio) == 0:
                self.failed_cells += 1
                _log.info("cell %d of note %g failed", request.cell_index, request.note)
                self._drop(live, RELEASE_S)
                return
            live.n_received += 1
            live.waiting += tuple(audio[start : start + SLOT_FRAMES] for start in range(0, len(audio), SLOT_FRAMES))
            self._hand_over(live)
            due = self._advance(live)
        if due is not None:
            self._request_cell(due, self._on_cell)
