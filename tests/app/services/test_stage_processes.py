"""The live engine's real processes, without a sound card: they play, one dies, they play again, and all end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.audio.client import SoundClient
from app.live.stage.host import StageOptions
from app.services.events import Event, Notice
from app.services.stage import StageSession
from app.state.preset import Preset
from tests.tiny_weights import save_tiny_weights

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0  # two processes import torch


class Playing:
    def __init__(self, weights: Path) -> None:
        self.sound = SoundClient()
        options = StageOptions(weights_folder=weights, device="cpu", cache_bytes=8 * 2**20, n_steps=1)
        self.session = StageSession(self.sound, options, [Preset("plain", "Plain", attack_s=0.0)])
        self.events: list[Event] = []

    def start(self) -> None:
        self.sound.start()
        self.session.start()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, (self.session.meter(), self.events)
            self.sound.poll()
            self.events += self.session.poll()
            time.sleep(0.02)

    def is_sounding(self) -> bool:
        return bool(np.abs(self.session.audio(9600)).max(initial=0.0) > 1e-4)

    def close(self) -> None:
        self.session.close()
        self.sound.close()


@pytest.fixture
def playing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Playing]:
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    made = Playing(save_tiny_weights(tmp_path))
    yield made
    made.close()


@pytest.mark.expects_log("the sampler has ended with -9")
def test_notes_sound_and_come_back_when_the_sampler_was_killed(playing: Playing) -> None:
    playing.start()
    playing.until(lambda: playing.session.meter().state == "playing")
    playing.session.note_on(57.0, 96)
    playing.until(playing.is_sounding)
    assert playing.session.meter().notes == 1

    sampler = playing.session.engine.pids["sampler"]
    assert sampler is not None
    psutil.Process(sampler).kill()
    playing.until(lambda: not playing.is_sounding())
    playing.until(playing.is_sounding)
    assert any(isinstance(event, Notice) and "live sampler" in event.message for event in playing.events)
    assert playing.session.meter().state == "playing"

    playing.session.panic()
    playing.until(lambda: not playing.is_sounding())
    pids = [pid for pid in playing.session.engine.pids.values() if pid is not None]
    playing.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
