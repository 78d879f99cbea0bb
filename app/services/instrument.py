"""The instrument as the window sees it: renders, sound, exports, live notes. Never waits.

Runs in the window's process and belongs to its main thread. Torch lives in the sampler process, the sound card in the
sound server; either may die and come back without the window losing anything.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.audio import messages as sound
from app.live.stage.meter import LiveMeter
from app.render.messages import CellsWritten, ClipReady, MeasuredSpan, PreviewMade, Reply
from app.render.worker import WorkerSettings
from app.services.events import (
    AudioChanged,
    DeviceLost,
    DevicesChanged,
    EngineReady,
    Event,
    Notice,
    RecordingState,
)
from app.services.link import SamplerDied
from app.services.loose_sounds import LooseSounds, temporary_folder
from app.services.measured import MeasuredCurves
from app.services.parts import LiveLike, SoundLike
from app.services.previews import Previews, PreviewWish
from app.services.sampler import Sampler
from app.services.voice_in import VoiceInLike
from app.state.controller_profile import ControllerProfile
from app.state.passage import Passage
from app.state.preset import Preset
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array

_log = logging.getLogger(__name__)


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
        self._folder = temporary_folder(settings.folder)
        self._sampler = Sampler(replace(settings, folder=self._folder), clock, self._note)
        self._loose = LooseSounds(self._folder, sound_client)
        self._curves = MeasuredCurves()
        beside = self._folder / "cells" if settings.cache_folder is None else settings.cache_folder
        self._previews = Previews(beside.with_name("previews"), sound_client, read_weights)
        self._others: list[Callable[[], Sequence[Event]]] = []
        self._events: list[Event] = []  # produced outside poll(), handed out by the next one
        self._audio = _silence(0)
        self._is_open = False

    # ---- life

    def start(self) -> None:
        self._is_open = True
        self._sampler.start()
        self._previews.start()
        self._sound.start()
        self._live.start()

    def close(self) -> None:
        self._is_open = False
        self._live.close()
        self._sampler.close()
        self._sound.close()
        self._audio = _silence(0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def poll(self) -> list[Event]:
        for reply in self._sampler.take():
            self._hear(reply)
        self._events += [*self._sound_events(), *self._live.poll()]
        self._events += [event for poll in self._others for event in poll()]
        if self._is_open and not self._sampler.send_due(has_audio=len(self._audio) > 0):
            self._make_preview()
        events, self._events = self._events, []
        return events

    # ---- renders

    def render(self, passage: Passage, *, quality: str = "draft", playhead_s: float = 0.0) -> int:
        return self._sampler.render(passage, quality=quality, playhead_s=playhead_s)

    def cancel(self) -> None:
        self._sampler.cancel()

    def audio(self) -> Float32Array:
        return self._audio

    def export(self, passage: Passage, path: Path, *, quality: str = "final", stems: bool = False) -> None:
        self._sampler.export(passage, path, quality, stems=stems)

    def extract(self, audio_path: Path) -> None:
        self._sampler.extract(audio_path)

    def want_previews(self, wishes: Sequence[PreviewWish]) -> None:
        self._previews.want(wishes)

    def preview(self, wish: PreviewWish) -> bool:
        return self._previews.play(wish)

    def stop_preview(self) -> None:
        self._previews.stop()

    def play_sound(self, sound: Float32Array) -> None:
        self._told_trouble(lambda: self._loose.play(sound))

    def _make_preview(self) -> None:
        """One more, while nobody waits for a core: neither a render nor a live note."""
        if not self._sampler.is_idle or ((meter := self._live.meter()) is not None and meter.voices > 0):
            return
        if (command := self._previews.due()) is not None:
            self._sampler.post(command)

    def _note(self, event: Event) -> None:
        self._events.append(event)

    # ---- what the sampler says

    def _hear(self, reply: Reply | SamplerDied) -> None:
        match reply:
            case SamplerDied():
                self._previews.forget()
                self._sampler.revive(reply, len(self._audio))
            case ClipReady():
                self._take_clip(reply)
            case CellsWritten():
                self._events.append(AudioChanged(reply.request_id, reply.start_s, reply.end_s))
            case MeasuredSpan():
                self._events.append(self._curves.take(reply))
            case PreviewMade():
                self._previews.hear(reply)
            case _:
                if isinstance(reply, EngineReady):
                    self._previews.use_weights(reply.weights_hash)
                self._sampler.note_answer(reply)
                self._events.append(reply)

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
        own = {"window": os.getpid(), "render sampler": self._sampler.pid}
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
