"""An instrument without processes or devices: records what it is asked and emits what a test puts in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.audio.messages import DeviceInfo
from app.live.stage.meter import LiveMeter
from app.services import Event, PreviewWish
from app.services.events import RecordingState
from app.state.controller_profile import ControllerProfile, default_profile
from app.state.passage import Passage
from app.state.preset import Preset
from synth.spec import SAMPLE_RATE_HZ, Float32Array


class FakeInstrument:
    """`queue` what poll() shall return; look at `rendered`, `played`, `notes` ... afterwards."""

    def __init__(self) -> None:
        self.queue: list[Event] = []
        self.rendered: list[tuple[Passage, str]] = []
        self.played: list[tuple[float, tuple[float, float] | None]] = []
        self.notes: list[tuple[str, float]] = []
        self.exported: list[tuple[Path, str]] = []
        self.extracted: list[Path] = []
        self.wished: list[PreviewWish] = []
        self.previews: set[str] = set()  # ids of presets whose previews have been made
        self.previewed: list[str] = []  # ids; empty: stopped
        self.sounds: list[Float32Array] = []
        self.cancelled = 0
        self.panics = self.banks_asked = 0
        self.live_lanes: dict[str, float | None] = {}
        self.live_gain_db = 0.0
        self.learning: str | None = None
        self.meter: LiveMeter | None = None
        self.meters_asked = 0
        self.profile: ControllerProfile | None = default_profile("Controller")
        self.locked: list[int | None] = []
        self.take: RecordingState | None = None
        self.live_sound: Float32Array = np.zeros(8192, dtype=np.float32)
        self.live_preset: Preset | None = None
        self.output: str | None = "unset"
        self.midi: str | None = "unset"
        self.playhead_s = 0.0
        self.is_playing = False
        self.level_db = (-100.0, -100.0)
        self.under_runs = 0
        self.sound: Float32Array = np.zeros((SAMPLE_RATE_HZ, 2), dtype=np.float32)

    def start(self) -> None: ...

    def programs_changed(self) -> None:
        self.banks_asked += 1

    def close(self) -> None: ...

    def poll(self) -> list[Event]:
        events, self.queue = self.queue, []
        return events

    def render(self, passage: Passage, *, quality: str = "draft", playhead_s: float = 0.0) -> int:
        self.rendered.append((passage, quality))
        return len(self.rendered)

    def cancel(self) -> None:
        self.cancelled += 1

    def audio(self) -> Float32Array:
        return self.sound

    def want_previews(self, wishes: Sequence[PreviewWish]) -> None:
        self.wished = list(wishes)

    def preview(self, wish: PreviewWish) -> bool:
        is_there = wish.preset.id in self.previews
        if is_there:
            self.previewed.append(wish.preset.id)
        return is_there

    def stop_preview(self) -> None:
        self.previewed.append("")

    def export(self, passage: Passage, path: Path, *, quality: str = "final", stems: bool = False) -> None:
        self.exported.append((path, quality))

    def extract(self, audio_path: Path) -> None:
        self.extracted.append(audio_path)

    def play(self, start_s: float, loop: tuple[float, float] | None = None) -> None:
        self.played.append((start_s, loop))
        self.playhead_s = start_s
        self.is_playing = True

    def pause(self) -> None:
        self.is_playing = False

    def play_sound(self, sound: Float32Array) -> None:
        self.sounds.append(sound)

    def output_devices(self) -> list[DeviceInfo]:
        return [DeviceInfo("card", "Studio Card", "ALSA", 2, 48_000.0, 0.01)]

    def set_output_device(self, device_id: str | None) -> None:
        self.output = device_id

    def midi_inputs(self) -> list[str]:
        return ["Controller"]

    def set_midi_input(self, name: str | None) -> None:
        self.midi = name

    def note_on(self, note: float, velocity: int) -> None:
        self.notes.append(("on", note))

    def note_off(self, note: float) -> None:
        self.notes.append(("off", note))

    def set_live_preset(self, preset: Preset) -> None:
        self.live_preset = preset

    def panic(self) -> None:
        self.panics += 1

    def set_live_lane(self, lane_id: str, value: float | None) -> None:
        self.live_lanes[lane_id] = value

    def set_live_gain(self, gain_db: float) -> None:
        self.live_gain_db = gain_db

    def learn(self, lane_id: str | None) -> None:
        self.learning = lane_id

    def voice_in(self) -> None:
        """Nobody listens."""

    def live_meter(self) -> LiveMeter | None:
        self.meters_asked += 1
        return self.meter

    def live_profile(self) -> ControllerProfile | None:
        return self.profile

    def set_live_profile(self, profile: ControllerProfile) -> None:
        self.profile = profile

    def lock_variation(self, index: int | None) -> None:
        self.locked.append(index)

    def live_processes(self) -> dict[str, int]:
        return {"window": os.getpid()}

    def start_recording(self, path: Path | None = None) -> None:
        self.take = RecordingState(0.0, "take.flac")

    def stop_recording(self) -> None:
        self.take = None

    def recording(self) -> RecordingState | None:
        return self.take

    def live_audio(self, n_frames: int) -> Float32Array:
        return self.live_sound[-n_frames:]
