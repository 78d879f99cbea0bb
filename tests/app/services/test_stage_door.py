"""A window joins a performance, plays in it, leaves, and the performance does not notice."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from app.live.stage.meter import LiveMeter
from app.live.voice_in.messages import InputDevice
from app.live.voice_in.ring import VoiceInState
from app.services.attached import AttachedSession, _meter_from
from app.services.events import DevicesChanged, Event, LivePresetChanged, Notice, RecordingState
from app.services.parts import LiveLike
from app.services.stage_door import StageDoor, ask, is_answered
from app.state.controller_profile import Binding, ControllerProfile, default_profile
from app.state.preset import Preset
from synth.errors import UserError
from synth.spec import Float32Array

PATIENCE_S = 20.0
PROFILE = default_profile("Keystep")
METER = LiveMeter(
    **{field.name: {"str": "playing", "float": 1.5}.get(str(field.type), 3) for field in fields(LiveMeter)}
)


class FakeVoiceIn:
    """One microphone, found when it is looked for."""

    def __init__(self) -> None:
        self.found: tuple[InputDevice, ...] = ()
        self.chosen: str | None = None
        self.sensitivity_db = 0.0
        self.paths: list[Path] = []

    def look(self) -> None:
        self.found = (InputDevice("ALSA: USB", "USB", True),)

    def inputs(self) -> tuple[InputDevice, ...]:
        return self.found

    def choose(self, device_id: str | None) -> None:
        self.chosen = device_id

    def listen_to_file(self, path: Path) -> None:
        self.paths.append(path)

    def set_sensitivity(self, gain_db: float) -> None:
        self.sensitivity_db = gain_db

    def state(self) -> VoiceInState:
        state = "off" if self.chosen is None else "listening"
        return VoiceInState(state, -20.0, math.nan, False, "breathy", 5.0, 0.1, 7, 1, 0, 0)


class FakeLive:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.voice_in: FakeVoiceIn | None = FakeVoiceIn()

    def midi_inputs(self) -> list[str]:
        return ["Keystep"]

    def meter(self) -> LiveMeter:
        return METER

    @property
    def profile(self) -> ControllerProfile:
        return PROFILE

    def processes(self) -> dict[str, int]:
        return {"performer": 4711}

    def recording(self) -> RecordingState:
        return RecordingState(1.5, "take.flac")

    def audio(self, n_frames: int) -> Float32Array:
        return np.linspace(-1.0, 1.0, n_frames, dtype=np.float32)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.told.append((name, *arguments))


class Stage:
    """A performance whose main loop is turned by the test."""

    def __init__(self, path: Path) -> None:
        self.live = FakeLive()
        self.door = StageDoor(cast(LiveLike, self.live), path)
        self.door.start()

    def until(self, condition: Callable[[], bool], events: list[Event] | None = None) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, self.live.told
            self.door.poll(events or [])
            events = None
            time.sleep(0.005)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "door" / "live.sock")
    yield made
    made.door.close()


@pytest.fixture
def window(stage: Stage) -> Iterator[AttachedSession]:
    made = AttachedSession(stage.door.path)
    made.start()
    yield made
    # Its thread may wait for an answer of the main loop.
    stage.door.close()
    made.close()


def test_a_window_plays_in_a_performance(stage: Stage, window: AttachedSession) -> None:
    preset = Preset("growl", "Growl", technique={"growl": 1.0})
    window.note_on(60.5, 90)
    window.set_preset(preset)
    window.set_lane("roughness", 0.5)
    window.learn("fry")
    window.note_off(60.5)
    window.panic()
    stage.until(lambda: ("panic",) in stage.live.told)
    assert stage.live.told == [
        ("note_on", 60.5, 90), ("set_preset", preset), ("set_lane", "roughness", 0.5), ("learn", "fry"),
        ("note_off", 60.5), ("panic",),
    ]  # fmt: skip


def test_a_window_sees_how_it_goes(stage: Stage, window: AttachedSession) -> None:
    stage.until(lambda: window.meter() is not None and bool(window.midi_inputs()))
    assert window.meter() == METER
    heard: list[Event] = []
    told = LivePresetChanged("scream")
    stage.until(lambda: bool(heard.extend(window.poll()) or told in heard), [told])
    assert DevicesChanged() in heard


def test_a_window_sees_profile_processes_and_recording(stage: Stage, window: AttachedSession) -> None:
    stage.until(lambda: window.profile is not None)
    assert window.profile == PROFILE
    assert window.processes() == {"performer": 4711}
    assert window.recording() == RecordingState(1.5, "take.flac")


def test_a_window_hears_what_sounds(stage: Stage, window: AttachedSession) -> None:
    assert not window.audio(512).any()
    stage.until(lambda: bool(window.audio(512).any()))
    assert np.array_equal(window.audio(512), np.linspace(-1.0, 1.0, 4096, dtype=np.float32)[-512:])


def test_a_window_changes_the_profile_and_records(stage: Stage, window: AttachedSession) -> None:
    changed = PROFILE.with_binding(Binding("cc16", "fry", 0.0, 0.5))
    window.set_profile(changed)
    assert window.profile == changed
    window.lock_variation(1)
    window.start_recording(None)
    window.stop_recording()
    stage.until(lambda: ("stop_recording",) in stage.live.told)
    assert stage.live.told == [
        ("set_profile", changed), ("lock_variation", 1), ("start_recording", None), ("stop_recording",),
    ]  # fmt: skip


def test_a_window_chooses_who_is_listened_to_and_sees_how_that_goes(stage: Stage, window: AttachedSession) -> None:
    live_voice_in = stage.live.voice_in
    assert live_voice_in is not None
    assert window.voice_in is None  # not before the performance has said that it can listen
    stage.until(lambda: window.voice_in is not None)
    voice_in = window.voice_in
    assert voice_in is not None
    voice_in.look()
    heard: list[Event] = []
    stage.until(lambda: bool(heard.extend(window.poll()) or (voice_in.inputs() and DevicesChanged() in heard)))
    assert voice_in.inputs() == live_voice_in.inputs()
    assert voice_in.state().state == "off"
    voice_in.choose("ALSA: USB")
    voice_in.set_sensitivity(6.0)
    assert (voice_in.chosen, voice_in.sensitivity_db) == ("ALSA: USB", 6.0)  # at once
    stage.until(lambda: voice_in.state().state == "listening")
    assert (live_voice_in.chosen, live_voice_in.sensitivity_db) == ("ALSA: USB", 6.0)
    assert math.isnan(voice_in.state().note)
    assert voice_in.state().technique == "breathy"
    voice_in.listen_to_file(Path("guide.flac"))
    stage.until(lambda: bool(live_voice_in.paths))
    assert live_voice_in.paths == [Path("guide.flac").absolute()]
    voice_in.choose(None)
    stage.until(lambda: live_voice_in.chosen is None)


def test_where_nobody_can_be_listened_to_a_window_offers_nothing_and_is_told_so(stage: Stage) -> None:
    stage.live.voice_in = None
    window = AttachedSession(stage.door.path)
    window.start()
    stage.until(lambda: window.profile is not None)
    assert window.voice_in is None
    window._ask("listen", value="ALSA: USB")
    heard: list[Event] = []
    stage.until(lambda: bool(heard.extend(window.poll()) or any(isinstance(event, Notice) for event in heard)))
    stage.door.close()
    window.close()


def test_program_numbers_of_a_window_reach_the_performance(stage: Stage, window: AttachedSession) -> None:
    window.programs_changed()
    stage.until(lambda: ("programs_changed",) in stage.live.told)


def test_a_performance_of_another_version_is_understood_or_is_none() -> None:
    status = asdict(METER)
    assert _meter_from({**status, "of_tomorrow": 1}) == METER
    del status["state"]
    with pytest.raises(ValueError, match="another version"):
        _meter_from(status)


def test_a_window_that_goes_leaves_the_performance(stage: Stage) -> None:
    visitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    visitor.connect(str(stage.door.path))
    visitor.sendall(b'{"do": "note_on", "with": {"note": 60, "velocity": 80}}\n')
    stage.until(lambda: ("note_on", 60.0, 80) in stage.live.told)
    visitor.close()
    assert is_answered(stage.door.path)


NONSENSE = (
    b"garbage", b"{}", b'{"do": 7}', b'{"do": "quit"}', b"[1]", b'{"do": "note_on", "with": {"note": "x"}}',
    b'{"do": "note_on", "with": {"note": NaN, "velocity": 1}}',
)  # fmt: skip


@pytest.mark.parametrize("line", NONSENSE)
def test_nonsense_is_answered_and_does_nothing(stage: Stage, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor, visitor.makefile("rwb") as lines:
        visitor.settimeout(PATIENCE_S)
        visitor.connect(str(stage.door.path))
        lines.write(line + b"\n")
        lines.flush()
        assert "fault" in json.loads(lines.readline())
    assert stage.live.told == []


def test_a_preset_that_is_none_is_refused(stage: Stage, window: AttachedSession) -> None:
    window._ask("set_preset", value={"id": "../etc"})
    heard: list[Event] = []
    stage.until(lambda: bool(heard.extend(window.poll()) or any(isinstance(event, Notice) for event in heard)))
    assert stage.live.told == []


def test_only_one_performance_has_the_door(stage: Stage) -> None:
    with pytest.raises(UserError, match="under way already"):
        StageDoor(cast(LiveLike, stage.live), stage.door.path).start()


def test_a_door_left_by_a_crash_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "live.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    assert not is_answered(path)
    Stage(path).door.close()
    assert not path.exists()


def test_where_nobody_plays_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No performance is under way"):
        ask("status", path=tmp_path / "live.sock")
