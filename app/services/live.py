"""Notes by hand: MIDI inputs and on-screen keys, through the player, to the sampler and back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

import numpy as np

from app.live.controllers import BEND_RANGE_SEMITONES
from app.live.player import CellRequest, LivePlayer, LiveSound, OnCell
from app.live.stage.meter import LiveMeter
from app.midi.inputs import InputLost, InputsChanged, MidiInputs
from app.midi.messages import ControlChange, MidiMessage, NoteOff, NoteOn, PitchBend, Pressure
from app.render.messages import Command, DropLive, LiveAudio, LiveCell
from app.services.events import DevicesChanged, Event, MidiActivity, Notice
from app.state.preset import Preset
from synth.spec import Float32Array


class LiveSession:
    """Fulfils `LiveLike`. Main thread, but for MIDI messages, which arrive on the receiver's."""

    def __init__(self, sound: LiveSound) -> None:
        self._player = LivePlayer(sound, self._request)
        self._inputs = MidiInputs(self._on_midi)
        self._activity: SimpleQueue[MidiActivity] = SimpleQueue()
        self._asked: dict[tuple[int, int], tuple[CellRequest, OnCell]] = {}
        self._lock = threading.Lock()
        self._post: Callable[[Command], None] | None = None
        self._faults: list[str] = []
        self._told: set[str] = set()

    def start(self, post: Callable[[Command], None]) -> None:
        """`post` asks the sampler; it may be called from the MIDI receiver's thread."""
        self._post = post
        self._inputs.start()

    def close(self) -> None:
        """Silence what sounds and let go of the inputs."""
        self.panic()
        self._post = None
        self._inputs.close()

    def poll(self) -> list[Event]:
        """Keep notes going; what inputs did."""
        self._player.pump()
        self._drop_unwanted()
        events: list[Event] = []
        for event in self._inputs.poll():
            if isinstance(event, InputsChanged):
                events.append(DevicesChanged())
            elif isinstance(event, InputLost):
                self._player.controller_vanished()
                events.append(Notice(f"The MIDI input {event.name} has gone.", "It is used again once it is back."))
        try:
            while True:
                events.append(self._activity.get_nowait())
        except Empty:
            pass
        for fault in self._faults:
            if fault not in self._told:
                self._told.add(fault)
                events.append(Notice(f"A live note cannot be sung: {fault}"))
        self._faults.clear()
        return events

    def hear(self, audio: LiveAudio) -> None:
        """A cell has been rendered, or has failed."""
        with self._lock:
            found = self._asked.pop((audio.ticket, audio.cell_index), None)
        if audio.fault:
            self._faults.append(audio.fault)
        if found is not None:
            request, on_cell = found
            on_cell(request, audio.audio)

    def forget(self) -> None:
        """The sampler has died: end the notes that wait for it."""
        with self._lock:
            waiting = list(self._asked.values())
            self._asked.clear()
        for request, on_cell in waiting:
            on_cell(request, None)

    def midi_inputs(self) -> list[str]:
        return self._inputs.names()

    def set_midi_input(self, name: str | None) -> None:
        self._inputs.open(name)

    def note_on(self, note: float, velocity: int) -> None:
        self._player.note_on(note, velocity)

    def note_off(self, note: float) -> None:
        self._player.note_off(note)

    def set_preset(self, preset: Preset) -> None:
        self._player.set_preset(preset)

    def panic(self) -> None:
        """Silence every live note at once."""
        self._player.panic()
        with self._lock:
            self._asked.clear()
        if self._post is not None:
            self._post(DropLive(None))

    def set_lane(self, lane_id: str, value: float | None) -> None:
        """Cells are rendered by the preset and the controller alone."""

    def set_gain(self, gain_db: float) -> None:
        """Cells have the level they were rendered at."""

    def learn(self, lane_id: str | None) -> None:
        """The default map is the only one."""

    def meter(self) -> LiveMeter | None:
        """There is none for notes that are played cell by cell."""
        return None

    def audio(self, n_frames: int) -> Float32Array:
        """What cells sound like goes to the mixer alone -> zeros."""
        return np.zeros(n_frames, dtype=np.float32)

    def _request(self, request: CellRequest, on_cell: OnCell) -> None:
        """Called by the player, on any thread."""
        post = self._post
        if post is None:
            on_cell(request, None)
            return
        with self._lock:
            self._asked[request.note_id, request.cell_index] = (request, on_cell)
        performed = request.performed
        post(
            LiveCell(
                request.note_id,
                request.preset,
                request.note,
                request.velocity,
                request.cell_index,
                request.seed,
                dict(performed.lanes),
                performed.loudness_offset_db,
            )
        )

    def _drop_unwanted(self) -> None:
        """Spare the sampler cells of notes that have ended."""
        with self._lock:
            waiting = list(self._asked)
        for note_id, cell_index in waiting:
            if self._player.is_wanted(note_id):
                continue
            with self._lock:
                self._asked.pop((note_id, cell_index), None)
            if self._post is not None:
                self._post(DropLive(note_id))

    def _on_midi(self, message: MidiMessage) -> None:
        """On the MIDI receiver's thread."""
        self._player.handle(message)
        self._activity.put(activity_of(message))


def activity_of(message: MidiMessage) -> MidiActivity:
    """What the window shows of a MIDI message."""
    match message:
        case NoteOn(note=note, velocity=velocity):
            return MidiActivity("note_on", note, velocity)
        case NoteOff(note=note):
            return MidiActivity("note_off", note)
        case ControlChange(number=number, value=value):
            return MidiActivity("control", number, value)
        case PitchBend(amount=amount):
            return MidiActivity("bend", 0, amount * BEND_RANGE_SEMITONES)
        case Pressure(value=value, note=note):
            return MidiActivity("pressure", note or 0, value)
        case _:
            return MidiActivity("other")
