"""The system under test: sound server, performer, live sampler and MIDI process, as the window starts them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from app.audio.client import SoundClient
from app.commands.stage_bench.rig import CLIENT, MIDI_PORT, JackServer
from app.commands.stage_bench.window import BenchWindow
from app.live.stage.host import StageOptions
from app.live.stage.messages import SamplerFailed, UseProfile
from app.live.stage.meter import LiveMeter
from app.services.events import Event
from app.services.stage import StageSession
from app.services.stage_door import StageDoor
from app.state.controller_profile import default_profile
from app.state.preset import Preset
from app.store.presets import load_preset
from synth.errors import UserError

_START_S: Final = 240.0  # torch on a busy machine
_POLL_S: Final = 0.01
HARD_ONSET: Final = "shout"


def hard_preset(preset_id: str = HARD_ONSET) -> Preset:
    """A preset whose notes begin at once: what onset latency is measured with."""
    return replace(load_preset(preset_id), attack_s=0.0, pitch_drift=0.0)


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How much is measured.

    n_notes      of `onset`; `miss` plays a sixth of them
    n_twins      pairs of `bend`, and of each lane
    seconds      of dense playing, in all; of `soak`; of held notes in `strength`
    soak_notes   of `soak`, in place of `seconds`
    weights      None: the shipped voice
    pace         notes a second of `soak`; 28 are an hour of 100,000: seven a second of each of four hands
    """

    n_notes: int = 300
    n_twins: int = 12
    seconds: float = 45.0
    soak_notes: int | None = None
    n_steps: int = 4
    weights: Path | None = None
    pace: float = 28.0

    @property
    def n_soak_notes(self) -> int:
        """How many notes the soak asks for."""
        return max(round(self.seconds * self.pace), 1) if self.soak_notes is None else self.soak_notes


@dataclass(frozen=True, slots=True)
class Bench:
    """What a part measures with. `window` is opened by the parts that are asked to be measured beside one."""

    jack: JackServer
    settings: BenchSettings
    window: BenchWindow | None = None


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Resident memory of a process, MB. `shared`: memory and files that others may have as well; 0 where not told."""

    own: float
    shared: float


@dataclass(slots=True)
class Stage:
    """A live engine that plays into JACK and listens to the bench's keys."""

    sound: SoundClient
    session: StageSession
    door: StageDoor | None = None
    window: BenchWindow | None = None

    def poll(self) -> list[Event]:
        """Let events pass -> what input and engine did."""
        self.sound.poll()
        events = self.session.poll()
        if self.door is not None:
            self.door.poll(events)
        return events

    def wait(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self.poll()
            time.sleep(_POLL_S)

    def wait_for_onsets(self, n_onsets: int, limit_s: float = 60.0) -> int:
        """Until so many onsets, or all that are wanted, are made ahead -> how many are."""
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            meter = self.meter()
            if meter.cache_wanted and meter.cache_made >= min(n_onsets, meter.cache_wanted):
                break
            self.wait(0.1)
        return self.meter().cache_made

    def meter(self) -> LiveMeter:
        return self.session.meter()

    def memory(self) -> dict[str, ProcessMemory]:
        """Of every process of the engine, by name, and of its host."""
        pids = {str(child.name): child.pid for child in multiprocessing.active_children() if child.name != CLIENT}
        found: dict[str, ProcessMemory] = {}
        for name, pid in {"host": os.getpid(), **pids}.items():
            try:
                info = psutil.Process(pid).memory_info()
            except psutil.NoSuchProcess:
                continue
            shared = int(getattr(info, "shared", 0))
            found[name] = ProcessMemory((info.rss - shared) / 2**20, shared / 2**20)
        return found

    def window_figures(self) -> dict[str, object]:
        """How the window beside it fares, for a part's figures."""
        return {"window": self.window.figures() if self.window is not None else "none"}


@contextmanager
def play_with(presets: Sequence[Preset], bench: Bench, *, has_window: bool = False) -> Iterator[Stage]:
    """Start everything and wait until it plays. Raises UserError when it does not.

    has_window   open the bench's window, if it has one, and let it join; it stays open when this ends
    """
    settings, window = bench.settings, bench.window if has_window else None
    sound = SoundClient()
    options = StageOptions(
        weights_folder=settings.weights, locked_variation=0, n_variations=1, n_steps=settings.n_steps
    )
    session = StageSession(sound, options, presets)
    door = StageDoor(session, window.door) if window is not None else None
    stage = Stage(sound, session, door, window)
    try:
        sound.start()
        session.start()
        session.engine.play(UseProfile(default_profile(MIDI_PORT)))
        _wait_until_playing(stage)
        session.set_midi_input(MIDI_PORT)
        session.engine.play(UseProfile(default_profile(MIDI_PORT)))
        if door is not None and window is not None:
            door.start()
            window.open(stage.wait)
            window.figures()  # count from here
        stage.wait(1.5)  # the MIDI process looks for inputs once a second
        yield stage
    finally:
        if door is not None:
            door.close()
        session.close()
        sound.close()


def _wait_until_playing(stage: Stage) -> None:
    deadline_s = time.monotonic() + _START_S
    while not (stage.session.engine.is_sampling and stage.sound.available):
        stage.sound.poll()
        for news in stage.session.engine.poll():
            if isinstance(news, SamplerFailed):
                raise UserError(news.message, remedy=news.remedy)
        if time.monotonic() > deadline_s:
            raise UserError("The live engine does not start.", remedy="See the log of performer and live-sampler.")
        time.sleep(_POLL_S)
