"""The sound server on a real driver: what JACK receives is what was rendered, whatever happens around it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.audio.client import DeviceLost, DeviceOpened, SoundClient, SoundEvent, SoundNotice
from app.audio.mixer import FADE_FRAMES
from app.audio.probe import probe_devices
from synth.spec import SAMPLE_RATE_HZ, Float32Array
from tests.app.audio.sink import largest_step, sine
from tests.jack_session import JackSession

pytestmark = pytest.mark.jack

REPOSITORY = Path(__file__).resolve().parents[3]
PORTS = ("PortAudio:out_0", "PortAudio:out_1")
# Long periods where the question is what is played, not how promptly: the test machine may be busy.
CALM_PERIOD = 4096
PATIENCE_S = 40.0
ATTEMPTS = 3
SETTLE_S = 0.4  # a few periods: faded out, and through the driver's buffers


@pytest.fixture
def jack() -> Iterator[JackSession]:
    with JackSession(period_frames=CALM_PERIOD) as session:
        yield session


@contextmanager
def playing(device_id: str | None = None) -> Iterator[SoundClient]:
    client = SoundClient(device_id=device_id)
    try:
        client.start()
        yield client
    finally:
        client.close()


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, f"in vain: {what}"
        time.sleep(0.01)


def wait_for_event(client: SoundClient, kind: type, limit_s: float = PATIENCE_S) -> list[SoundEvent]:
    """Poll until an event of this kind has come -> all events up to it."""
    events: list[SoundEvent] = []
    deadline_s = time.monotonic() + limit_s
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < deadline_s, f"no {kind.__name__} among {events}"
        events += client.poll()
        time.sleep(0.01)
    return events


def write_clip(folder: Path, audio: Float32Array, name: str = "clip.f32") -> Path:
    path = folder / name
    audio.astype("<f4").tofile(path)
    return path


def undisturbed(jack: JackSession, client: SoundClient, act: Callable[[], None], seconds: float) -> Float32Array:
    """What is heard from now on while `act` runs; again when the machine was too busy to play or capture every period.

    The comparison is of samples, so a period the scheduler lost is no answer, neither good nor bad.
    """
    for _ in range(ATTEMPTS):
        client.pause()
        time.sleep(SETTLE_S)
        before = client.under_runs
        with jack.capture(*PORTS) as capture:
            capture.wait_for(CALM_PERIOD)
            act()
            capture.wait_for(round(seconds * SAMPLE_RATE_HZ))
            heard, gaps = capture.audio(), capture.gaps
        if gaps == 0 and client.under_runs == before:
            return heard
    pytest.fail(f"the machine lost periods in each of {ATTEMPTS} attempts")


def first_sound(heard: Float32Array) -> int:
    return int(np.flatnonzero(np.abs(heard[:, 0]) > 0)[0])


def test_start_does_not_wait_and_the_device_opens(jack: JackSession) -> None:
    client = SoundClient()
    try:
        started_at_s = time.monotonic()
        client.start()
        client.play(0.0)
        assert time.monotonic() - started_at_s < 0.05
        assert client.is_playing
        events = wait_for_event(client, DeviceOpened)
        assert client.available
        assert client.device is not None
        assert "JACK" in client.device.host_api
        assert [device.id for device in client.devices()] == [client.device.id]
        assert 0 < client.latency_s < 0.2
        assert not any(isinstance(event, SoundNotice | DeviceLost) for event in events)
    finally:
        client.close()
    client.close()


def test_jack_receives_the_clip_to_the_sample(jack: JackSession, tmp_path: Path) -> None:
    audio = np.random.default_rng(3).uniform(-0.5, 0.5, (3 * SAMPLE_RATE_HZ, 2)).astype(np.float32)
    start = 12_345
    with playing() as client:
        client.set_clip(write_clip(tmp_path, audio), len(audio))
        wait_for_event(client, DeviceOpened)

        heard = undisturbed(jack, client, lambda: client.play(start / SAMPLE_RATE_HZ), 1.5)
        begin = first_sound(heard)
        body = heard[begin + FADE_FRAMES :]
        expected = audio[start + FADE_FRAMES : start + FADE_FRAMES + len(body)]
        assert len(body) > SAMPLE_RATE_HZ // 2
        assert np.array_equal(body, expected)
        assert client.faults == 0
        assert abs(client.playhead_s - start / SAMPLE_RATE_HZ - len(body) / SAMPLE_RATE_HZ) < 0.5
        assert client.level_db[0] == pytest.approx(20 * np.log10(0.5), abs=0.5)


def test_swap_and_loop_are_free_of_clicks_on_the_wire(jack: JackSession, tmp_path: Path) -> None:
    first, second = sine(440.0, 2.0), sine(554.37, 2.0)
    paths = [write_clip(tmp_path, first, "first.f32"), write_clip(tmp_path, second, "second.f32")]
    loop = (0.1, 0.1 + 6_027 / SAMPLE_RATE_HZ)
    with playing() as client:
        client.set_clip(paths[0], len(first))
        wait_for_event(client, DeviceOpened)

        def act() -> None:
            client.set_clip(paths[0], len(first))
            client.play(0.0)
            time.sleep(0.3)
            client.set_clip(paths[1], len(second))
            time.sleep(0.3)
            client.play(0.1, loop)

        heard = undisturbed(jack, client, act, 1.6)
        assert largest_step(heard) <= largest_step(second) + 1.0 / FADE_FRAMES
        # Both sounded, and the loop has its exact period.
        spectrum = np.abs(np.fft.rfft(heard[:, 0]))
        bins = np.round(np.array([440.0, 554.37]) * len(heard) / SAMPLE_RATE_HZ).astype(int)
        assert all(spectrum[b - 3 : b + 4].max() > 20 * np.median(spectrum) for b in bins)
        tail = heard[-13_000:]
        assert np.allclose(tail[:-6_027], tail[6_027:], atol=1e-6)


def test_a_killed_jack_server_is_survived(jack: JackSession, tmp_path: Path) -> None:
    audio = sine(440.0, 30.0)
    with playing() as client:
        client.set_clip(write_clip(tmp_path, audio), len(audio))
        wait_for_event(client, DeviceOpened)
        client.play(1.0)
        wait_until(lambda: client.playhead_s > 1.2, "it plays")
        jack.kill()
        killed_at_s = time.monotonic()
        events = wait_for_event(client, DeviceLost, limit_s=2.0)
        assert sum(isinstance(event, DeviceLost) for event in events) == 1
        assert not client.available
        assert client.is_playing
        before_s = client.playhead_s
        wait_for_event(client, SoundNotice)  # nothing to play on
        assert client.playhead_s - before_s > 0.1
        assert abs(client.playhead_s - 1.2 - (time.monotonic() - killed_at_s)) < 1.0
        jack.start()
        events = wait_for_event(client, DeviceOpened)
        assert not any(isinstance(event, DeviceLost) for event in events)
        with jack.capture(*PORTS) as capture:
            capture.wait_for(SAMPLE_RATE_HZ // 4)
            assert np.max(np.abs(capture.audio()[-4_800:])) == pytest.approx(0.5, abs=0.01)


def test_a_killed_server_is_replaced_where_it_stood(jack: JackSession, tmp_path: Path) -> None:
    audio = sine(440.0, 30.0)
    with playing() as client:
        client.set_clip(write_clip(tmp_path, audio), len(audio))
        wait_for_event(client, DeviceOpened)
        client.play(2.0)
        wait_until(lambda: client.playhead_s > 2.2, "it plays")
        pid = client._supervisor.server_pid
        assert pid is not None
        psutil.Process(pid).kill()
        events = wait_for_event(client, DeviceLost, limit_s=2.0)
        assert "has stopped" in next(event.message for event in events if isinstance(event, DeviceLost))
        wait_for_event(client, DeviceOpened)
        assert client._supervisor.server_pid != pid
        assert client.is_playing
        assert 2.2 < client.playhead_s < 2.2 + PATIENCE_S
        with jack.capture(*PORTS) as capture:
            capture.wait_for(SAMPLE_RATE_HZ // 4)
            assert np.max(np.abs(capture.audio()[-4_800:])) == pytest.approx(0.5, abs=0.01)


def has_ended(process: psutil.Process) -> bool:
    """Also when nobody has collected its exit status yet: its parent is dead."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def start_window(clip: Path, n_samples: int, seconds: float) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.app.audio.window", str(clip), str(n_samples), str(seconds)]
    return subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_no_server_outlives_a_killed_window(jack: JackSession, tmp_path: Path) -> None:
    audio = sine(440.0, 1.0)
    with start_window(write_clip(tmp_path, audio), len(audio), 0.0) as window:
        assert window.stdout is not None
        server = psutil.Process(int(window.stdout.readline()))
        with jack.capture(*PORTS) as capture:
            capture.wait_for(SAMPLE_RATE_HZ // 10)
            window.kill()
            wait_until(lambda: has_ended(server), "the server ends", limit_s=2.0)
            heard, gaps = capture.audio(), capture.gaps
        window.communicate()
    if gaps == 0:
        heard = heard[first_sound(heard) :]  # connected in the middle of a sound
        assert largest_step(heard) <= largest_step(audio) + 1.0 / FADE_FRAMES  # it faded out


@pytest.mark.slow
def test_a_busy_window_costs_no_under_runs(tmp_path: Path) -> None:
    """Ten seconds of Python without a pause in the window's process, at interactive latency.

    A machine whose cores are all taken can make any process late, so the best of three counts; a GIL shared with the
    busy thread would lose hundreds of periods in each.
    """
    audio = sine(440.0, 2.0)
    clip = write_clip(tmp_path, audio)
    counts = []
    with JackSession(period_frames=512):
        for _ in range(ATTEMPTS):
            with start_window(clip, len(audio), 10.0) as window:
                answer, complaints = window.communicate(timeout=60.0)
            assert window.returncode == 0, complaints
            counts.append(int(answer.split()[1]))
            if counts[-1] == 0:
                return
    pytest.fail(f"under-runs in ten seconds each: {counts}")


def test_a_device_at_another_rate_hears_the_same_pitch(tmp_path: Path) -> None:
    audio = sine(1_000.0, 3.0)
    with JackSession(rate_hz=44_100, period_frames=CALM_PERIOD) as jack, playing() as client:
        client.set_clip(write_clip(tmp_path, audio), len(audio))
        (opened,) = [event for event in wait_for_event(client, DeviceOpened) if isinstance(event, DeviceOpened)]
        assert opened.rate_hz == 44_100
        client.play(0.0)
        with jack.capture(*PORTS) as capture:
            capture.wait_for(44_100)
            heard = capture.audio()[-22_050:, 0]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert np.argmax(spectrum) * 44_100 / len(heard) == pytest.approx(1_000.0, abs=3.0)
        assert client.playhead_s > 0.5


def test_an_absent_device_is_stood_in_for_by_the_default(jack: JackSession) -> None:
    with playing("ALSA: a card left at home") as client:
        events = wait_for_event(client, DeviceOpened)
        (notice,) = [event for event in events if isinstance(event, SoundNotice)]
        assert "a card left at home" in notice.message


def test_the_probe_sees_the_device(jack: JackSession) -> None:
    report = probe_devices()
    assert report.problem == ""
    assert report.default_output is not None
    assert "JACK" in report.default_output.host_api
    assert "PortAudio" in report.portaudio_version
    assert any(api.name.startswith("JACK") and api.default_output == "system" for api in report.host_apis)
