"""The listening process's work with sources that are plugged in, pulled out, too loud or broken; the process itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.live.performance.gestures import Gesture, KeyLifted, KeyPressed, LaneMoved
from app.live.voice_in import process as process_module
from app.live.voice_in.host import VoiceIn
from app.live.voice_in.messages import (
    FromListener,
    ListeningBegan,
    ListeningEnded,
    ListeningNotice,
    ListenTo,
    UseSensitivity,
)
from app.live.voice_in.process import Guide
from app.live.voice_in.ring import GestureRing
from app.live.voice_in.sources import BLOCK_FRAMES, FileSource
from synth.errors import UserError
from synth.spec.controls import Float32Array
from tests.synth.listening.voices import sung

RATE_HZ = 48_000


class FakeMicrophone:
    """Gives its blocks as fast as they are asked for; then it has been pulled out."""

    rate_hz = float(RATE_HZ)
    latency_s = 0.004

    def __init__(self, audio: Float32Array) -> None:
        self._blocks = [audio[at : at + BLOCK_FRAMES] for at in range(0, len(audio), BLOCK_FRAMES)]
        self.is_closed = False

    def read(self, wait_s: float) -> Float32Array | None:
        return self._blocks.pop(0) if self._blocks else None

    def take_dropped(self) -> int:
        return 0

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def ring() -> Iterator[GestureRing]:
    ring = GestureRing.create()
    yield ring
    ring.close()


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "look_again", lambda: None)


def works(guide: Guide, times: int) -> None:
    for _ in range(times):
        guide.work(0.0)


def voice(seconds: float = 0.5, level: float = 0.1) -> Float32Array:
    return sung(np.full(round(seconds * RATE_HZ), 220.0), level=level)


def test_a_device_that_goes_lets_the_voice_go_and_comes_back_by_itself(
    ring: GestureRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "_RETRY_S", 0.0)
    microphones = [FakeMicrophone(voice()), FakeMicrophone(voice())]
    given = list(microphones)
    news: list[FromListener] = []
    tries = 0

    def plug(_wanted: ListenTo) -> FakeMicrophone:
        nonlocal tries
        tries += 1
        if tries in (2, 3):
            raise UserError("There is no such input now.")
        return given.pop(0)

    guide = Guide(ring, plug, news.append)
    guide.obey(ListenTo(device_id="USB"))
    n_blocks = -(-RATE_HZ // 2 // BLOCK_FRAMES)
    works(guide, n_blocks + 2)
    gestures = ring.take()
    assert sum(isinstance(each, KeyPressed) for each in gestures) == 1
    assert isinstance(gestures[-1], LaneMoved)
    assert gestures[-1].value is None
    assert any(isinstance(each, KeyLifted) for each in gestures)
    assert microphones[0].is_closed
    assert ring.state().state == "waiting"
    works(guide, n_blocks)
    assert any(isinstance(each, KeyPressed) for each in ring.take())
    said = [type(each).__name__ for each in news]
    assert said == ["ListeningBegan", "ListeningEnded", "ListeningBegan"]
    assert news[1] == ListeningEnded("USB", is_waiting=True)
    guide.obey(ListenTo())
    assert ring.state().state == "off"
    assert microphones[1].is_closed


def test_an_input_that_is_not_there_is_told_once(ring: GestureRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "_RETRY_S", 0.0)
    news: list[FromListener] = []

    def refuse(_wanted: ListenTo) -> FakeMicrophone:
        raise UserError("There is no such input now.", remedy="Plug it in.")

    guide = Guide(ring, refuse, news.append)
    guide.obey(ListenTo(device_id="USB"))
    works(guide, 5)
    assert news == [ListeningNotice("There is no such input now.", "Plug it in.")]
    assert ring.state().state == "waiting"


def test_clipping_is_warned_of_once(ring: GestureRing) -> None:
    news: list[FromListener] = []
    guide = Guide(ring, lambda _wanted: FakeMicrophone(voice(level=3.0).clip(-1.0, 1.0)), news.append)
    guide.obey(ListenTo(device_id="USB"))
    works(guide, 150)
    warnings = [each for each in news if isinstance(each, ListeningNotice)]
    assert [each.message for each in warnings] == ["The voice input is too loud: it clips."]
    assert ring.state().clipped > 10


def test_sensitivity_reaches_what_listens_already(ring: GestureRing) -> None:
    guide = Guide(ring, lambda _wanted: FakeMicrophone(voice(1.0, level=0.0015)), lambda _news: None)
    guide.obey(ListenTo(device_id="USB"))
    works(guide, 100)
    assert not any(isinstance(each, KeyPressed) for each in ring.take())
    guide.obey(UseSensitivity(20.0))
    works(guide, 100)
    assert any(isinstance(each, KeyPressed) for each in ring.take())


@pytest.mark.parametrize(("rate_hz", "n_channels"), [(8_000, 1), (44_100, 2), (96_000, 2)])
def test_files_of_any_rate_are_read_in_their_own_time(tmp_path: Path, rate_hz: int, n_channels: int) -> None:
    path = tmp_path / "guide.wav"
    audio = np.full((rate_hz // 5, n_channels), 0.25, dtype=np.float32)
    soundfile.write(path, audio, rate_hz)
    source = FileSource(path)
    begin_s, n_read = time.monotonic(), 0
    while (block := source.read(0.05)) is not None:
        assert np.allclose(block, 0.25, atol=1e-3)
        n_read += len(block)
    source.close()
    assert n_read == rate_hz // 5
    assert time.monotonic() - begin_s >= 0.19


def test_a_file_that_is_no_sound_is_told_and_not_tried_again(ring: GestureRing, tmp_path: Path) -> None:
    path = tmp_path / "no.wav"
    path.write_text("no sound")
    news: list[FromListener] = []
    guide = Guide(ring, process_module.open_source, news.append)
    guide.obey(ListenTo(path=path))
    works(guide, 3)
    assert len(news) == 1
    assert isinstance(news[0], ListeningNotice)
    assert "cannot be read" in news[0].message


def test_the_process_follows_a_file_and_ends_with_its_host(tmp_path: Path) -> None:
    path = tmp_path / "guide.wav"
    soundfile.write(path, voice(), RATE_HZ)
    played: list[Gesture] = []
    voice_in = VoiceIn(played.append)
    voice_in.set_sensitivity(3.0)
    voice_in.listen(path=path)
    news: list[FromListener] = []
    gestures: list[Gesture] = []
    until_s = time.monotonic() + 60.0
    while time.monotonic() < until_s and not any(isinstance(each, ListeningEnded) for each in news):
        news += voice_in.poll()
        gestures += voice_in.ring.take()
        time.sleep(0.01)
    gestures += voice_in.ring.take()
    voice_in.close()
    assert [type(each) for each in news] == [ListeningBegan, ListeningEnded]
    assert sum(isinstance(each, KeyPressed) for each in gestures) == 1
    assert any(isinstance(each, KeyLifted) for each in gestures)
    assert voice_in.state().hops > 90


def test_no_process_is_started_until_something_is_wanted() -> None:
    voice_in = VoiceIn(lambda _gesture: None)
    voice_in.set_sensitivity(5.0)
    voice_in.listen()
    assert voice_in.poll() == []
    assert voice_in.state().state == "off"
    voice_in.close()
    voice_in.close()
