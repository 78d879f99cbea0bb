"""A live session beside its engine: what it is started with, what it reads again, and what it says of its sound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from app.live.stage.host import LiveEngine, StageOptions, _Child
from app.live.stage.messages import UseProfile
from app.live.stage.meter import SAMPLER_EPOCH
from app.services.bank_reader import BankReader
from app.services.events import Notice
from app.services.stage import ANY_CONTROLLER, StageSession
from app.state.controller_profile import Binding, default_profile
from app.state.preset import Preset
from app.store.controller_profiles import load_profile, profile_path, save_profile
from synth.spec import Float32Array

A, B = Preset("a", "A"), Preset("b", "B")
PATIENCE_S = 10.0


class Sound:
    """A sound server as it says that it is."""

    shared_name = "nowhere"
    live_losses = (0, 0)
    block_frames = 128
    under_runs = 0
    latency_s = callback_s = 0.0

    def __init__(self) -> None:
        self.server_pid: int | None = 4711
        self.available, self.has_given_up = True, False
        self.silent_s = 0.0

    @property
    def asked_at_s(self) -> float:
        return time.monotonic() - self.silent_s

    def live_frames(self) -> tuple[int, int]:
        return 0, 0

    def live_audio(self, start: int, n_frames: int) -> Float32Array:
        return np.zeros(n_frames, dtype=np.float32)


@pytest.fixture
def sound() -> Sound:
    return Sound()


@pytest.fixture
def make(sound: Sound) -> Iterator[Callable[..., StageSession]]:
    made: list[StageSession] = []

    def session(**options: Any) -> StageSession:
        made.append(StageSession(sound, StageOptions(), [A, B], **options))
        return made[-1]

    yield session
    for each in made:
        each.close()


def standing_in(engine: LiveEngine) -> None:
    """As if performer and sampler were there."""
    engine.is_performing = True
    engine._sampler = _Child(cast(Any, None), cast(Any, None), 1, 0.0, 0)
    engine.meter.ints[SAMPLER_EPOCH] = 1


def test_the_state_is_that_of_the_sound_while_there_is_none(make: Callable[..., StageSession], sound: Sound) -> None:
    session = make()
    assert session.meter().condition == "starting"
    standing_in(session.engine)
    assert session.meter().condition == "playing"
    sound.available = False  # the device, or the JACK server behind it, has gone
    assert (session.meter().state, session.meter().condition) == ("playing", "no device")
    sound.available = True
    sound.silent_s = 2.0  # it hangs
    assert session.meter().condition == "no device"
    sound.server_pid = None
    assert session.meter().condition == "no server"
    sound.has_given_up = True
    assert session.meter().condition == "gone"
    sound.server_pid, sound.has_given_up, sound.silent_s = 4712, False, 0.0
    assert session.meter().condition == "playing"
    session.engine._sampler = None
    assert session.meter().condition == "no sampler"
    session.engine.is_performing = False
    assert session.meter().condition == "no performer"
    session.engine._is_over.set()
    assert session.meter().condition == "off"


def test_the_profile_of_any_controller_is_in_force_from_the_start(
    make: Callable[..., StageSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = default_profile(ANY_CONTROLLER).with_binding(Binding("cc21", "fry", 0.0, 1.0))
    save_profile(learnt)
    session = make()
    assert session.profile == learnt
    told: list[object] = []
    monkeypatch.setattr(session.engine, "start", lambda: None)
    monkeypatch.setattr(session._inputs, "start", lambda: None)
    monkeypatch.setattr(session.engine, "play", told.append)
    session.start()
    assert [message for message in told if isinstance(message, UseProfile)] == [UseProfile(learnt)]
    session._is_open = False


def test_a_broken_profile_of_any_controller_is_one_line_and_the_default_is_played(
    make: Callable[..., StageSession],
) -> None:
    path = profile_path(ANY_CONTROLLER)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    session = make()
    assert session.profile == default_profile(ANY_CONTROLLER)
    assert any(isinstance(event, Notice) and ANY_CONTROLLER in event.message for event in session.poll())
    assert load_profile(ANY_CONTROLLER).fault is None


def test_program_numbers_are_read_again_and_reach_the_engine(
    make: Callable[..., StageSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make(read_bank=lambda: [B, A])
    told: list[tuple[Preset, ...]] = []
    monkeypatch.setattr(session.engine, "use_programs", told.append)
    session.poll()
    assert told == []
    session.programs_changed()
    deadline_s = time.monotonic() + PATIENCE_S
    while not told:
        assert time.monotonic() < deadline_s
        session.poll()
        time.sleep(0.005)
    assert told == [(B, A)]


def test_what_changes_while_the_bank_is_read_is_read_too() -> None:
    banks = iter([[A], [replace(A, level_db=1.0)]])
    reader = BankReader(lambda: next(banks))
    reader.ask()
    reader._is_stale = True  # asked again while it reads
    found: list[tuple[Preset, ...]] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while not found or found[-1] == (A,):
        assert time.monotonic() < deadline_s
        if (bank := reader.take()) is not None:
            found.append(bank)
        time.sleep(0.005)
    reader.close()
    assert found[-1] == (replace(A, level_db=1.0),)
