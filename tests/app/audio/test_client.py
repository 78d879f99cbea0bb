"""The window's side where nothing can be heard: everything but hearing works."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from app.audio import devices, probe, server, supervisor
from app.audio.client import DeviceLost, SoundClient, SoundEvent, SoundNotice
from tests.app.audio.sink import sine

PATIENCE_S = 40.0


def serve_without_devices(connection: Connection, state_name: str) -> None:
    """The server as on a machine without a sound card."""
    devices.find_outputs = list  # in this process, which is the server's
    server.serve(connection, state_name)


def die(_connection: Connection, _state_name: str) -> None:
    """A server whose driver crashes at once."""


@pytest.fixture
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "serve", serve_without_devices)


@pytest.fixture
def client(no_devices: None) -> Iterator[SoundClient]:
    made = SoundClient()
    yield made
    made.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"in vain: {what}"
        time.sleep(0.01)


def gather(client: SoundClient, enough: Callable[[list[SoundEvent]], bool]) -> list[SoundEvent]:
    events: list[SoundEvent] = []

    def poll() -> bool:
        events.extend(client.poll())
        return enough(events)

    wait_until(poll, "the events")
    return events


def test_before_the_server_runs_the_playhead_follows_the_clock(client: SoundClient) -> None:
    client.set_clip(Path("none.f32"), 48_000)
    client.play(0.5)
    time.sleep(0.1)
    assert client.is_playing
    assert 0.6 <= client.playhead_s < 0.9
    client.pause()
    paused_at_s = client.playhead_s
    time.sleep(0.05)
    assert client.playhead_s == paused_at_s
    client.play(0.95)
    time.sleep(0.1)
    assert not client.is_playing
    assert client.playhead_s == 1.0
    client.play(0.3, loop=(0.2, 0.35))
    time.sleep(0.2)
    assert client.is_playing
    assert 0.2 <= client.playhead_s <= 0.35
    assert not client.available
    assert client.level_db == (-100.0, -100.0)


def test_without_a_device_it_says_so_once_and_plays_silently(client: SoundClient, tmp_path: Path) -> None:
    audio = sine(440.0, 1.0)
    path = tmp_path / "clip.f32"
    audio.tofile(path)
    client.start()
    client.set_clip(path, len(audio))
    client.play(0.2)
    events = gather(client, lambda found: any(isinstance(event, SoundNotice) for event in found))
    wait_until(lambda: not client.is_playing, "the clip ends")
    assert client.playhead_s == 1.0
    client.play(0.0)
    wait_until(lambda: client.level_db[0] > -7.0, "the meter moves")
    time.sleep(1.5)  # it has looked again
    events += client.poll()
    assert [type(event) for event in events].count(SoundNotice) == 1
    assert client.devices() == []
    assert not client.available
    assert client.under_runs == 0


def test_a_missing_clip_is_a_message(client: SoundClient, tmp_path: Path) -> None:
    client.start()
    client.set_clip(tmp_path / "absent.f32", 100)
    events = gather(
        client, lambda found: any(isinstance(e, SoundNotice) and "cannot be read" in e.message for e in found)
    )
    assert not any(isinstance(event, DeviceLost) for event in events)


def test_a_server_that_hangs_is_replaced(client: SoundClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_STALL_LIMIT_S", 2.0)
    client.start()
    wait_until(lambda: client._supervisor.server_pid is not None, "the server serves")
    first = client._supervisor.server_pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    events = gather(client, lambda found: any(isinstance(event, DeviceLost) for event in found))
    assert any("does not answer" in event.message for event in events if isinstance(event, DeviceLost))
    wait_until(lambda: client._supervisor.server_pid not in (None, first), "another serves")


def test_a_server_that_cannot_live_is_given_up(client: SoundClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "serve", die)
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervisor, "_MAX_STARTS", 2)
    client.start()
    client.play(0.0)
    events = gather(client, lambda found: any(isinstance(event, SoundNotice) for event in found))
    assert "again and again" in next(event.message for event in events if isinstance(event, SoundNotice))
    assert client.is_playing
    assert client.playhead_s > 0.0


def test_closing_a_client_that_was_never_started_is_enough(no_devices: None) -> None:
    client = SoundClient()
    client.close()
    client.close()
    assert client.playhead_s == 0.0
    assert client.under_runs == 0
    client.play(0.0)


def crash(_connection: Connection) -> None:
    os.abort()


def hang(_connection: Connection) -> None:
    time.sleep(60.0)


@pytest.mark.parametrize(
    ("child", "words"), [(crash, "crashed while devices were listed (exit status -6)"), (hang, "did not answer")]
)
def test_a_driver_that_crashes_or_hangs_is_reported(
    child: Callable[[Connection], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_probe", child)
    report = probe.probe_devices(limit_s=3.0)
    assert words in report.problem
    assert report.remedy
    assert report.default_output is None
    assert not multiprocessing.active_children()
