"""A window at somebody else's performance: notes and choices go through the door, the meter comes back.

Nothing waits: one thread speaks to the performance, what it heard last is what is shown.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np

from app.live.stage.meter import LiveMeter
from app.services.attached_voice_in import AttachedVoiceIn
from app.services.events import DevicesChanged, Event, Notice, RecordingState
from app.services.stage_door import TOLD, door_path, exchange, heard_audio
from app.state.controller_profile import ControllerProfile
from app.state.preset import Preset
from app.store.controller_profiles import profile_from_document, profile_to_document
from app.store.presets import preset_to_document
from synth.errors import UserError
from synth.spec import Float32Array

_LOOK_S: Final = 0.05
_INPUTS_S: Final = 1.0
_STANDING_S: Final = 0.25
_SCOPE_FRAMES: Final = 4096
_SCOPE_WANTED_S: Final = 1.0  # nobody has asked for the sound for so long: it is not fetched
_RETRY_S: Final = 1.0
_PATIENCE_S: Final = 5.0

_Asked = tuple[str, Mapping[str, Any]]


class AttachedSession:
    """Fulfils `LiveLike`. Main thread. close() leaves the performance as it is."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or door_path()
        self._asked: SimpleQueue[_Asked] = SimpleQueue()
        self._was_there = True
        self._heard: SimpleQueue[Event] = SimpleQueue()
        self._meter: LiveMeter | None = None
        self._inputs: list[str] = []
        self._standing: dict[str, Any] = {}
        self._profile: ControllerProfile | None = None
        self._voice_in = AttachedVoiceIn(self._ask)
        self._audio = np.zeros(_SCOPE_FRAMES, dtype=np.float32)
        self._audio_asked_s = -math.inf
        self._door: socket.socket | None = None
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stage-visit", daemon=True)

    def start(self) -> None:
        """Begin the visit; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Leave. Idempotent."""
        self._is_closing.set()
        door = self._door
        if door is not None:
            with contextlib.suppress(OSError):  # it is closed already
                door.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()

    def poll(self) -> list[Event]:
        """What the performance told."""
        events: list[Event] = []
        with contextlib.suppress(Empty):
            while True:
                events.append(self._heard.get_nowait())
        return events

    def midi_inputs(self) -> list[str]:
        return list(self._inputs)

    def set_midi_input(self, name: str | None) -> None:
        self._ask("set_midi_input", value=name)

    def note_on(self, note: float, velocity: int) -> None:
        self._ask("note_on", note=note, velocity=velocity)

    def note_off(self, note: float) -> None:
        self._ask("note_off", note=note)

    def set_preset(self, preset: Preset) -> None:
        self._ask("set_preset", value=preset_to_document(preset))

    def panic(self) -> None:
        self._ask("panic")

    def set_lane(self, lane_id: str, value: float | None) -> None:
        self._ask("set_lane", lane=lane_id, value=value)

    def set_gain(self, gain_db: float) -> None:
        self._ask("set_gain", value=gain_db)

    def learn(self, lane_id: str | None) -> None:
        self._ask("learn", value=lane_id)

    @property
    def voice_in(self) -> AttachedVoiceIn | None:
        """Who is listened to; None until the performance has said that it can listen."""
        return self._voice_in if self._standing.get("hears") else None

    def meter(self) -> LiveMeter | None:
        return self._meter

    def audio(self, n_frames: int) -> Float32Array:
        """The last of the stream that came through the door, zeros before it -> [n_frames]."""
        self._audio_asked_s = time.monotonic()
        audio, heard = np.zeros(n_frames, dtype=np.float32), self._audio[-n_frames:]
        audio[n_frames - len(heard) :] = heard
        return audio

    @property
    def profile(self) -> ControllerProfile | None:
        return self._profile

    def set_profile(self, profile: ControllerProfile) -> None:
        self._profile = profile
        self._ask("set_profile", value=profile_to_document(profile))

    def lock_variation(self, index: int | None) -> None:
        self._ask("lock_variation", value=index)

    def programs_changed(self) -> None:
        self._ask("programs_changed")

    def processes(self) -> Mapping[str, int]:
        return dict(self._standing.get("processes", {}))

    def start_recording(self, path: Path | None = None) -> None:
        self._ask("start_recording", value=None if path is None else str(path))

    def stop_recording(self) -> None:
        self._ask("stop_recording")

    def recording(self) -> RecordingState | None:
        recording = self._standing.get("recording")
        return None if recording is None else RecordingState(**recording)

    # ---- inside

    def _ask(self, name: str, **arguments: Any) -> None:
        self._asked.put((name, arguments))

    def _run(self) -> None:
        while not self._is_closing.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                    self._door = door
                    door.settimeout(_PATIENCE_S)
                    door.connect(str(self._path))
                    with door.makefile("rwb") as lines:
                        self._visit(lines)
            except (OSError, ValueError, TypeError, LookupError, UserError):
                # It has gone, says so, or is of another version: this thread goes on looking for one.
                self._meter, self._standing = None, {}
                self._voice_in.forget()
                if self._was_there and not self._is_closing.is_set():
                    self._was_there = False  # until one has been understood
                    self._heard.put(Notice("The performance has ended.", "Start it again with `stridor live`."))
            self._is_closing.wait(_RETRY_S)

    def _visit(self, lines: Any) -> None:
        inputs_at_s = standing_at_s = 0.0
        while not self._is_closing.is_set():
            try:
                while True:
                    self._say(lines, *self._asked.get(timeout=_LOOK_S))
            except Empty:
                pass
            told = exchange(lines, "events", {})
            self._was_there = True
            for name, values in told:
                if name in TOLD:
                    self._heard.put(TOLD[name](**values))
            status = exchange(lines, "status", {})
            if status is not None:
                self._meter = _meter_from(status)
            if self._standing.get("hears") and self._voice_in.is_watched:
                told = exchange(lines, "voice_in", {})
                # Else a choice of ours is still on its way.
                if self._asked.empty() and self._voice_in.take(told):
                    self._heard.put(DevicesChanged())
            if time.monotonic() - self._audio_asked_s < _SCOPE_WANTED_S:
                self._audio = heard_audio(exchange(lines, "audio", {"value": _SCOPE_FRAMES}))
            if time.monotonic() >= standing_at_s:
                standing_at_s = time.monotonic() + _STANDING_S
                self._take_standing(exchange(lines, "standing", {}))
            if time.monotonic() >= inputs_at_s:
                inputs_at_s = time.monotonic() + _INPUTS_S
                inputs = [str(name) for name in exchange(lines, "midi_inputs", {})]
                if inputs != self._inputs:
                    self._inputs = inputs
                    self._heard.put(DevicesChanged())

    def _take_standing(self, standing: dict[str, Any]) -> None:
        before, self._standing = self._standing, standing
        document = standing["profile"]
        if document != before.get("profile") and self._asked.empty():  # else a change of ours is still on its way
            self._profile = None if document is None else profile_from_document(document)

    def _say(self, lines: Any, name: str, arguments: Mapping[str, Any]) -> None:
        try:
            exchange(lines, name, arguments)
        except UserError as fault:
            self._heard.put(Notice(fault.message, fault.remedy))


def _meter_from(status: Mapping[str, Any]) -> LiveMeter:
    """What the door says; a performance of another version may know other figures. Raises ValueError."""
    known = {field.name: status[field.name] for field in fields(LiveMeter) if field.name in status}
    nan = {name: math.nan for name, value in known.items() if value is None and name != "max_voices"}
    try:
        return LiveMeter(**{**known, **nan})
    except TypeError as fault:
        raise ValueError(f"the performance is of another version: {fault}") from fault
