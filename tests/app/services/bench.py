"""An instrument with a real sampler process, a fake engine in it, and fakes for sound and live notes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil

from app.audio.messages import DeviceInfo, SoundEvent
from app.render.worker import WorkerSettings
from app.services import Event, Instrument
from app.services.unplayed import Unplayed
from tests.app.render.fake_engine import extract_loudest, load_fake_engine, load_fake_preset

PATIENCE_S = 40.0
E = TypeVar("E")


class FakeSound:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.clips: list[tuple[Path | None, int]] = []
        self.previews: list[tuple[Path | None, int]] = []
        self.events: list[SoundEvent] = []
        self.closed = False
        self.playhead_s = 0.0
        self.is_playing = False
        self.level_db = (-100.0, -100.0)
        self.under_runs = 0

    def start(self) -> None: ...
    def close(self) -> None:
        self.closed = True

    def poll(self) -> Sequence[SoundEvent]:
        events, self.events = self.events, []
        return events

    def set_clip(self, path: Path | None, n_samples: int) -> None:
        self.clips.append((path, n_samples))

    def preview(self, path: Path | None, n_frames: int) -> None:
        self.previews.append((path, n_frames))

    def play(self, start_s: float, loop: tuple[float, float] | None = None) -> None:
        self.playhead_s, self.is_playing = start_s, True

    def pause(self) -> None:
        self.is_playing = False

    def devices(self) -> list[DeviceInfo]:
        return []

    def set_device(self, device_id: str | None) -> None: ...


class Bench:
    """An instrument with its parts, and everything it has said."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.sound = FakeSound()
        self.live = Unplayed()
        self.events: list[Event] = []
        base = WorkerSettings(
            folder=folder,
            cache_folder=None,
            engine_loader=load_fake_engine,
            preset_loader=load_fake_preset,
            extractor=extract_loudest,
        )
        worker_settings = replace(base, **settings)
        self.instrument = Instrument(sound_client=self.sound, live=self.live, settings=worker_settings)

    def pump(self) -> None:
        self.events += self.instrument.poll()
        time.sleep(0.005)

    def until(self, wanted: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not wanted():
            assert time.monotonic() < deadline_s, self.events
            self.pump()

    def wait_for(self, kind: type[E], n: int = 1) -> E:
        """The n-th event of this kind."""
        self.until(lambda: len(self.all(kind)) >= n)
        return self.all(kind)[n - 1]

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def sampler(self) -> psutil.Process:
        pid = self.instrument._sampler.pid
        assert pid is not None
        return psutil.Process(pid)
