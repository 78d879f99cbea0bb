"""A take lies on disk as sound and as a passage of the same name, and the engine is told to be silent again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile

from app.live.performance.commands import Release, StartVoice
from app.live.stage.messages import Played, Tell
from app.services.events import Recorded
from app.services.live_take import LiveTake, new_take_path
from app.services.stage import StageSession
from app.store.passages import load_passage
from synth.errors import UserError
from tests.app.services.test_recording import FakeStream


class FakeLiveEngine:
    """Remembers what the performer would be told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def play(self, message: Any) -> None:
        self.told.append(message)


class FakeSession:
    """What a take needs of a StageSession."""

    def __init__(self) -> None:
        self.sound, self.engine = FakeStream(), FakeLiveEngine()
        self.listeners: list[Callable[[Played], None]] = []

    def listen(self, listener: Callable[[Played], None]) -> None:
        self.listeners.append(listener)

    def stop_listening(self, listener: Callable[[Played], None]) -> None:
        self.listeners.remove(listener)


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


def take_of(session: FakeSession, path: Path) -> LiveTake:
    return LiveTake(cast(StageSession, session), path)


def test_a_take_is_kept_as_sound_and_passage(session: FakeSession, tmp_path: Path) -> None:
    take = take_of(session, tmp_path / "take.flac")
    assert session.engine.told == [Tell(is_wanted=True)]
    now_s = time.monotonic()
    session.sound.audio = np.full(4800, 0.25, dtype=np.float32)
    start = StartVoice(now_s, 1, 57.0, 100.0, 0.0, {}, {})
    session.listeners[0](Played((start, Release(now_s + 0.05, 1, 64.0)), ((1, 7),), "growl"))
    take.finish()
    take.finish()
    deadline_s = time.monotonic() + 20.0
    recorded = None
    while recorded is None and time.monotonic() < deadline_s:
        recorded = take.poll()
        time.sleep(0.01)
    assert recorded == Recorded(str(tmp_path / "take.flac"), str(tmp_path / "take.stridor"), 0.1)
    assert session.listeners == []
    passage = load_passage(tmp_path / "take.stridor")
    assert [(note.note, voice.preset, voice.seed) for voice in passage.voices for note in voice.notes] == [
        (57.0, "growl", 7)
    ]
    kept, _ = soundfile.read(tmp_path / "take.flac", dtype="float32")
    assert np.allclose(kept, 0.25, atol=2.0**-23)


def test_nothing_played_is_said_and_the_sound_stays(session: FakeSession, tmp_path: Path) -> None:
    recorded = take_of(session, tmp_path / "take.flac").close()
    assert recorded is not None
    assert recorded.passage_path == ""
    assert "Nothing has been played" in recorded.fault
    assert (tmp_path / "take.flac").exists()


def test_takes_have_names_of_their_own(tmp_path: Path) -> None:
    first = new_take_path(tmp_path / "takes", now_s=0.0)
    first.touch()
    assert new_take_path(tmp_path / "takes", now_s=0.0).name == f"{first.stem} 2.flac"
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made"):
        new_take_path(tmp_path / "file" / "takes")
