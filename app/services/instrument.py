"""The instrument as the window sees it: renders, sound, exports, live notes. Never waits.

Runs in the window's process and belongs to its main thread. Torch lives in the sampler process, the sound card in the
sound server; either may die and come back without the window losing anything.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.audio import messages as sound
from app.live.stage.meter import LiveMeter
from app.render.grid import n_samples_of
from app.render.messages import CellsWritten, ClipReady, Export, Extract, MeasuredSpan, PreviewMade, Render, Reply
from app.render.renderer import QUALITIES
from app.render.worker import WorkerSettings
from app.services.events import (
    AudioChanged,
    DeviceLost,
    DevicesChanged,
    EngineFailed,
    EngineReady,
    Event,
    Exported,
    ExportFailed,
    Extracted,
    ExtractFailed,
    Notice,
    RecordingState,
    RenderCancelled,
    RenderFailed,
    RenderFinished,
)
from app.services.link import SamplerDied, SamplerLink
from app.services.loose_sounds import LooseSounds, temporary_folder
from app.services.measured import MeasuredCurves
from app.services.parts import LiveLike, SoundLike
from app.services.previews import Previews, PreviewWish
from app.services.requests import RenderRequests
from app.services.voice_in import VoiceInLike
from app.state.controller_profile import ControllerProfile
from app.state.passage import Passage
from app.state.preset import Preset
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array

_log = logging.getLogger(__name__)

_MAX_RESTARTS = 3
_RESTART_WINDOW_S = 60.0
_GONE = ("The sampler is not running.", "Save your work and start Stridor again.")


class Instrument:
    """See `InstrumentLike` for what each method does. Parts are handed in; the sampler process is its own."""

    def __init__(
        self,
        *,
        sound_client: SoundLike,
        live: LiveLike,
        settings: WorkerSettings,
        read_weights: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """settings.folder is where the folder for temporary audio is made; it is deleted by `close`.

        read_weights   tells the weights' hash before the sampler has loaded them, on a thread
        """
        self._sound = sound_client
        self._live = live
        self._clock = clock
        self._folder = temporary_folder(settings.folder)
        self._link = SamplerLink(replace(settings, folder=self._folder))
        self._loose = LooseSounds(self._folder, sound_client)
        self._requests = RenderRequests()
        self._curves = MeasuredCurves()
        beside = self._folder / "cells" if settings.cache_folder is None else settings.cache_folder
        self._previews = Previews(beside.with_name("previews"), sound_client, read_weights)
        self._others: list[Callable[[], Sequence[Event]]] = []
        self._events: list[Event] = []  # produced outside poll(), handed out by the next one
        self._audio = _silence(0)
        self._exports: deque[Path] = deque()  # asked for and not answered
        self._extracts: list[Path] = []
        self._restarts_s: deque[float] = deque()
        self._gave_up = False
        self._is_open = False

    # ---- life

    def start(self) -> None:
        self._is_open = True
        self._link.start()
        self._previews.start()
        self._sound.start()
        self._live.start()

    def close(self) -> None:
        self._is_open = False
        self._live.close()
        self._link.close()
        self._sound.close()
        self._audio = _silence(0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def poll(self) -> list[Event]:
        for reply in self._link.take():
            self._hear(reply)
        self._events += [*self._sound_events(), *self._live.poll()]
        self._events += [event for poll in self._others for event in poll()]
        due = self._requests.due(self._clock(), has_audio=len(self._audio) > 0) if self._is_open else None
        if due is not None:
            self._send_render(due)
        elif self._is_idle() and (command := self._previews.due()) is not None:
            self._link.post(command)
        events, self._events = self._events, []
        return events

    # ---- renders

    def render(self, passage: Passage, *, quality: str = "draft", playhead_s: float = 0.0) -> int:
        if quality not in QUALITIES:
            raise ValueError(f"no quality {quality!r}")
        request_id, replaced = self._requests.ask(passage, quality=quality, playhead_s=playhead_s, now_s=self._clock())
        if replaced is not None:
            self._events.append(RenderCancelled(replaced))
        return request_id

    def cancel(self) -> None:
        waiting_id, command = self._requests.call_off()
        if waiting_id is not None:
            self._events.append(RenderCancelled(waiting_id))
        if command is not None:
            self._link.post(command)

    def audio(self) -> Float32Array:
        return self._audio

    def export(self, passage: Passage, path: Path, *, quality: str = "final", stems: bool = False) -> None:
        if self._gave_up:
            self._events.append(ExportFailed(*_GONE))
            return
        self._exports.append(path)
        self._link.post(Export(passage, path, quality, stems))

    def extract(self, audio_path: Path) -> None:
        if self._gave_up:
            self._events.append(ExtractFailed(*_GONE))
            return
        self._extracts.append(audio_path)
        self._link.post(Extract(audio_path))

    def want_previews(self, wishes: Sequence[PreviewWish]) -> None:
        self._previews.want(wishes)

    def preview(self, wish: PreviewWish) -> bool:
        return self._previews.play(wish)

    def stop_preview(self) -> None:
        self._previews.stop()

    def play_sound(self, sound: Float32Array) -> None:
        self._told_trouble(lambda: self._loose.play(sound))

    def _is_idle(self) -> bool:
        """Whether nobody waits for a core: neither a render nor a live note."""
        if not self._is_open or self._gave_up or self._requests.is_busy or self._exports or self._extracts:
            return False
        return (meter := self._live.meter()) is None or meter.voices == 0

    def _send_render(self, command: Render) -> None:
        if self._gave_up:
            self._requests.ended(command.request_id)
            self._events.append(RenderFailed(command.request_id, *_GONE, details=""))
            return
        self._link.post(command)

    # ---- what the sampler says

    def _hear(self, reply: Reply | SamplerDied) -> None:
        match reply:
            case SamplerDied():
                self._revive(reply)
            case ClipReady():
                self._take_clip(reply)
            case CellsWritten():
                self._events.append(AudioChanged(reply.request_id, reply.start_s, reply.end_s))
            case MeasuredSpan():
                self._events.append(self._curves.take(reply))
            case PreviewMade():
                self._previews.hear(reply)
            case _:
                self._close_books(reply)
                self._events.append(reply)

    def _close_books(self, event: Event) -> None:
        """Note that something asked for has been answered."""
        match event:
            case EngineReady():
                self._previews.use_weights(event.weights_hash)
            case RenderFinished() | RenderCancelled() | RenderFailed():
                self._requests.ended(event.request_id)
            case Exported() | ExportFailed():
                if self._exports:  # they are carried out, and answered, in the order of asking
                    self._exports.popleft()
            case Extracted() | ExtractFailed():
                if self._extracts:
                    self._extracts.pop()
            case _:
                pass

    def _take_clip(self, ready: ClipReady) -> None:
        try:
            mapped = np.memmap(ready.path, dtype=np.float32, mode="r", shape=(ready.n_samples, 2))
        except (OSError, ValueError):
            # Replaced by a newer clip before it was looked at: that one is further down the queue.
            _log.info("clip %s has already gone", ready.path)
            return
        was_empty = len(self._audio) == 0
        self._audio = mapped
        self._sound.set_clip(ready.path, ready.n_samples)
        # Over nothing, only cells that have been made are news: the rest is as silent as it was.
        if ready.is_afresh and not was_empty:
            self._events.append(AudioChanged(ready.request_id, 0.0, ready.n_samples / SAMPLE_RATE_HZ))

    def _revive(self, died: SamplerDied) -> None:
        """Start the sampler again with the render it was at, unless it keeps dying."""
        _log.warning("the sampler process ended with exit code %s", died.exit_code)
        self._fail_what_died()
        self._previews.forget()
        now_s = self._clock()
        while self._restarts_s and now_s - self._restarts_s[0] > _RESTART_WINDOW_S:
            self._restarts_s.popleft()
        unfinished = self._requests.with_sampler
        if len(self._restarts_s) >= _MAX_RESTARTS:
            self._gave_up = True
            self._events.append(EngineFailed("The sampler keeps stopping and was not started again.", _GONE[1]))
            if unfinished is not None:
                self._send_render(unfinished)
            return
        self._restarts_s.append(now_s)
        self._events.append(Notice("The sampler stopped unexpectedly and has been started again.", "Nothing is lost."))
        self._link.start()
        if unfinished is not None:
            same_length = len(self._audio) == n_samples_of(unfinished.passage.duration_s)
            self._link.post(replace(unfinished, has_audio=same_length))

    def _fail_what_died(self) -> None:
        while self._exports:
            path = self._exports.popleft()
            self._events.append(ExportFailed(f"{path} was not written: the sampler stopped.", "Export again."))
        while self._extracts:
            path = self._extracts.pop()
            self._events.append(ExtractFailed(f"{path} was not read: the sampler stopped.", "Open it again."))

    # ---- sound

    def _sound_events(self) -> list[Event]:
        found: list[Event] = []
        for event in self._sound.poll():
            match event:
                case sound.DeviceLost():
                    found.append(DeviceLost(event.message))
                case sound.DevicesChanged():
                    found.append(DevicesChanged())
                case sound.SoundNotice():
                    found.append(Notice(event.message, event.remedy))
                case sound.DeviceOpened():
                    found.append(DevicesChanged())
        return found

    def play(self, start_s: float, loop: tuple[float, float] | None = None) -> None:
        self._sound.play(start_s, loop)

    def pause(self) -> None:
        self._sound.pause()

    @property
    def playhead_s(self) -> float:
        return self._sound.playhead_s

    @property
    def is_playing(self) -> bool:
        return self._sound.is_playing

    @property
    def level_db(self) -> tuple[float, float]:
        return self._sound.level_db

    @property
    def under_runs(self) -> int:
        return self._sound.under_runs

    def output_devices(self) -> list[sound.DeviceInfo]:
        return self._sound.devices()

    def set_output_device(self, device_id: str | None) -> None:
        self._sound.set_device(device_id)

    # ---- live

    @property
    def live(self) -> LiveLike:
        """What plays notes by hand."""
        return self._live

    def also_poll(self, poll: Callable[[], Sequence[Event]]) -> None:
        """Let this be polled with the instrument, and hand out its events."""
        self._others.append(poll)

    def midi_inputs(self) -> list[str]:
        return self._live.midi_inputs()

    def set_midi_input(self, name: str | None) -> None:
        self._live.set_midi_input(name)

    def note_on(self, note: float, velocity: int) -> None:
        self._live.note_on(note, velocity)

    def note_off(self, note: float) -> None:
        self._live.note_off(note)

    def set_live_preset(self, preset: Preset) -> None:
        self._live.set_preset(preset)

    def panic(self) -> None:
        self._live.panic()

    def set_live_lane(self, lane_id: str, value: float | None) -> None:
        self._live.set_lane(lane_id, value)

    def set_live_gain(self, gain_db: float) -> None:
        self._live.set_gain(gain_db)

    def learn(self, lane_id: str | None) -> None:
        self._live.learn(lane_id)

    def live_profile(self) -> ControllerProfile | None:
        return self._live.profile

    def set_live_profile(self, profile: ControllerProfile) -> None:
        self._told_trouble(lambda: self._live.set_profile(profile))

    def lock_variation(self, index: int | None) -> None:
        self._live.lock_variation(index)

    def programs_changed(self) -> None:
        self._live.programs_changed()

    def live_processes(self) -> Mapping[str, int]:
        own = {"window": os.getpid(), "render sampler": self._link.pid}
        return {name: pid for name, pid in own.items() if pid is not None} | dict(self._live.processes())

    def start_recording(self, path: Path | None = None) -> None:
        self._told_trouble(lambda: self._live.start_recording(path))

    def stop_recording(self) -> None:
        self._live.stop_recording()

    def recording(self) -> RecordingState | None:
        return self._live.recording()

    def _told_trouble(self, work: Callable[[], None]) -> None:
        """What the user can mend becomes a line of the window's."""
        try:
            work()
        except UserError as fault:
            self._events.append(Notice(fault.message, fault.remedy))

    def voice_in(self) -> VoiceInLike | None:
        return self._live.voice_in

    def live_meter(self) -> LiveMeter | None:
        return self._live.meter()

    def live_audio(self, n_frames: int) -> Float32Array:
        return self._live.audio(n_frames)


def _silence(n_samples: int) -> Float32Array:
    silence = np.zeros((n_samples, 2), dtype=np.float32)
    silence.flags.writeable = False
    return silence
