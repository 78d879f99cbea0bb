"""The instrument over a real sampler process with a fake engine, a fake sound client and a fake player."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.messages import DeviceLost, SoundNotice
from app.render.cache import CellCache
from app.render.clip import Clip
from app.render.grid import n_samples_of
from app.render.renderer import Renderer, RenderRequest
from app.services import (
    AudioChanged,
    EngineFailed,
    EngineReady,
    Exported,
    ExportFailed,
    Extracted,
    ExtractFailed,
    InstrumentLike,
    Measured,
    Notice,
    RenderCancelled,
    RenderFailed,
    RenderFinished,
    RenderProgress,
    RenderStarted,
)
from app.services import DeviceLost as WindowDeviceLost
from app.state.passage import Lane, Note, Passage, Voice
from tests.app.render.fake_engine import (
    FakeEngine,
    load_missing_engine,
)
from tests.app.services.bench import Bench


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(**settings: object) -> Bench:
        bench = Bench(tmp_path, **settings)
        benches.append(bench)
        bench.instrument.start()
        return bench

    yield make
    for bench in benches:
        bench.instrument.close()
        assert bench.sound.closed
    assert not list(tmp_path.glob("stridor-*"))


@pytest.fixture
def slow_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a window's four steps takes 20 ms."""
    monkeypatch.setenv("FAKE_ENGINE_STEP_S", "0.02")


def _passage(duration_s: float = 4.0, seed: int = 1) -> Passage:
    notes = tuple(Note(float(start), 0.9, 55.0 + start % 12) for start in range(int(duration_s)))
    return Passage(duration_s, voices=(Voice(seed=seed, notes=notes),))


def _from_scratch(folder: Path, passage: Passage) -> np.ndarray:
    clip = Clip(folder, n_samples_of(passage.duration_s), 0)
    Renderer(FakeEngine(), CellCache()).render(RenderRequest(passage, {}), clip)
    return clip.read_mix(0, clip.n_samples)


def test_it_is_what_the_window_expects(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    instrument: InstrumentLike = make_bench().instrument
    assert instrument.audio().shape == (0, 2)
    assert instrument.level_db == (-100.0, -100.0)


def test_a_passage_becomes_audio_and_measured_curves(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    request_id = bench.instrument.render(_passage())
    report = bench.wait_for(RenderFinished).report
    assert bench.wait_for(EngineReady).weights_hash == "fake-weights"
    assert bench.all(RenderStarted)[0].request_id == request_id
    assert (report.cells_total, report.cells_sampled) == (5, 5)
    assert bench.all(RenderProgress)[-1].done_cells == 5
    audio = bench.instrument.audio()
    assert audio.shape == (192_000, 2)
    assert not audio.flags.writeable
    assert np.array_equal(audio, _from_scratch(tmp_path, _passage()))
    assert bench.sound.clips[-1][1] == 192_000
    changed = bench.all(AudioChanged)
    assert {event.request_id for event in changed} == {request_id}
    assert sum(event.end_s - event.start_s for event in changed) == pytest.approx(4.0)  # every cell once
    measured = bench.wait_for(Measured)
    t_s, loudness = measured.lanes["loudness"]
    assert measured.voice_index == 0
    assert t_s[0] == pytest.approx(0.005)
    assert len(t_s) == len(loudness) == 400
    # The fake engine sings a sine of amplitude 0.1: its RMS level is -23 dB.
    assert np.nanmedian(loudness[20:80]) == pytest.approx(-23.0, abs=1.0)
    _, pitch = measured.lanes["pitch"]
    assert np.nanmedian(pitch[20:70]) == pytest.approx(55.0, abs=0.1)


def test_an_edit_renders_and_measures_only_around_itself(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    before = _passage(20.0)
    bench.instrument.render(before)
    bench.wait_for(RenderFinished)
    bench.until(lambda: bool(bench.all(Measured)) and bench.all(Measured)[-1].end_s >= 19.9)
    n_measured = len(bench.all(Measured))
    n_changed = len(bench.all(AudioChanged))
    bump = Lane(((7.999, 0.0), (8.0, 0.9), (8.99, 0.9), (8.991, 0.0)))
    after = before.with_voice(0, replace(before.voices[0], lanes={"fry": bump}))
    bench.instrument.render(after, playhead_s=2.0)
    report = bench.wait_for(RenderFinished, 2).report
    assert 1 <= report.cells_sampled <= 3
    assert np.array_equal(bench.instrument.audio(), _from_scratch(tmp_path, after))
    bench.until(lambda: len(bench.all(Measured)) > n_measured)
    span = bench.all(Measured)[n_measured]
    assert 6.0 <= span.start_s < 8.0
    assert 9.0 < span.end_s <= 11.5
    assert np.isfinite(span.lanes["loudness"][1]).all()  # the rest of the curve is still there
    edited = bench.all(AudioChanged)[n_changed:]
    assert min(event.start_s for event in edited) >= 6.4
    assert max(event.end_s for event in edited) <= 11.2
    # Another length is another clip: all of it is news.
    bench.instrument.render(_passage(6.0))
    bench.wait_for(RenderFinished, 3)
    assert any((event.start_s, event.end_s) == (0.0, 6.0) for event in bench.all(AudioChanged))


@pytest.mark.usefixtures("slow_engine")
def test_newest_request_wins(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    first = bench.instrument.render(_passage(40.0))
    bench.until(lambda: any(event.done_cells > 0 for event in bench.all(RenderProgress)))
    never_sent = bench.instrument.render(_passage(2.0, seed=2))
    last = bench.instrument.render(_passage(2.0, seed=3))
    finished = bench.wait_for(RenderFinished)
    assert finished.request_id == last
    assert {event.request_id for event in bench.all(RenderCancelled)} == {first, never_sent}
    assert [event.request_id for event in bench.all(RenderStarted)] == [first, last]
    assert np.array_equal(bench.instrument.audio(), _from_scratch(tmp_path, _passage(2.0, seed=3)))


@pytest.mark.usefixtures("slow_engine")
def test_cancel_is_quick_and_keeps_what_was_made(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    request_id = bench.instrument.render(_passage(60.0))
    bench.until(lambda: any(event.done_cells >= 2 for event in bench.all(RenderProgress)))
    asked_s = time.monotonic()
    bench.instrument.cancel()
    assert bench.wait_for(RenderCancelled).request_id == request_id
    assert time.monotonic() - asked_s < 1.0  # rendering on would take eight times as long
    assert np.abs(bench.instrument.audio()[:38_400]).max() > 0.01
    assert not bench.all(RenderFinished)
    bench.instrument.cancel()
    bench.pump()
    assert len(bench.all(RenderCancelled)) == 1


def test_cancelling_before_anything_was_sent(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    request_id = bench.instrument.render(_passage())
    bench.instrument.cancel()
    bench.pump()
    assert [event.request_id for event in bench.all(RenderCancelled)] == [request_id]


@pytest.mark.usefixtures("slow_engine")
def test_killed_sampler_is_restarted_and_finishes(
    tmp_path: Path, make_bench: Callable[..., Bench], expected_logs
) -> None:
    expected_logs.expect("the sampler process ended with exit code -9")
    bench = make_bench()
    passage = _passage(12.0)
    request_id = bench.instrument.render(passage)
    bench.until(lambda: any(event.done_cells >= 2 for event in bench.all(RenderProgress)))
    before = bench.sampler()
    os.kill(before.pid, signal.SIGKILL)
    assert "started again" in bench.wait_for(Notice).message
    assert bench.wait_for(RenderFinished).request_id == request_id
    assert len(bench.all(EngineReady)) == 2
    assert bench.sampler().pid != before.pid
    assert np.array_equal(bench.instrument.audio(), _from_scratch(tmp_path, passage))


def test_a_sampler_that_keeps_dying_is_given_up(make_bench: Callable[..., Bench], expected_logs) -> None:
    expected_logs.expect("the sampler process ended")
    bench = make_bench()
    for life in range(4):
        bench.wait_for(EngineReady, life + 1)
        os.kill(bench.sampler().pid, signal.SIGKILL)
        bench.until(lambda life=life: len(bench.all(Notice)) > life or bool(bench.all(EngineFailed)))
    assert len(bench.all(Notice)) == 3
    assert "keeps stopping" in bench.wait_for(EngineFailed).message
    request_id = bench.instrument.render(_passage())
    assert bench.wait_for(RenderFailed).request_id == request_id
    bench.instrument.export(_passage(), Path("never.wav"))
    bench.wait_for(ExportFailed)


def test_missing_weights_are_told_and_nothing_hangs(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(engine_loader=load_missing_engine)
    assert "missing" in bench.wait_for(EngineFailed).message
    bench.instrument.render(_passage())
    failed = bench.wait_for(RenderFailed)
    assert (failed.message, failed.details) == ("The voice model is missing.", "")
    bench.instrument.export(_passage(), Path("never.wav"))
    assert bench.wait_for(ExportFailed).remedy == "Install it again."


def test_unknown_preset_fails_this_request_only(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.instrument.render(Passage(1.0, voices=(Voice(preset="nobody"),)))
    assert "nobody" in bench.wait_for(RenderFailed).message
    bench.instrument.render(Passage(1.0, voices=(Voice(preset="hoarse"),)))
    bench.wait_for(RenderFinished)


def test_export_writes_what_is_heard(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    path = tmp_path / "song.wav"
    bench.instrument.export(_passage(), path, quality="draft")
    assert bench.wait_for(Exported).path == path
    audio, rate = soundfile.read(path, dtype="float32")
    assert rate == 48_000
    assert np.array_equal(audio, _from_scratch(tmp_path, _passage()))
    bench.instrument.export(_passage(), tmp_path / "song.mp3")
    assert ".wav" in bench.wait_for(ExportFailed).message


def test_recordings_become_passages_or_one_line(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    good, broken = tmp_path / "good.wav", tmp_path / "broken.wav"
    soundfile.write(good, np.zeros(24_000, np.float32), 16_000)
    broken.write_bytes(b"RIFFnothing")
    bench.instrument.extract(good)
    assert bench.wait_for(Extracted).passage.duration_s == pytest.approx(1.5, abs=0.01)
    bench.instrument.extract(broken)
    assert "broken.wav" in bench.wait_for(ExtractFailed).message


def test_unwritable_cache_is_one_notice(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    blocked = tmp_path / "cells"
    blocked.write_text("in the way")
    bench = make_bench(cache_folder=blocked)
    bench.instrument.render(_passage())
    bench.wait_for(RenderFinished)
    assert len(bench.all(Notice)) == 1


def test_sampler_does_not_outlive_its_parent(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.wait_for(EngineReady)
    process = bench.sampler()
    bench.instrument.close()
    assert not process.is_running()


def test_sound_events_reach_the_window(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.sound.events = [DeviceLost("gone"), SoundNotice("There is no sound card.", "Export works.")]
    bench.pump()
    assert bench.all(WindowDeviceLost) == [WindowDeviceLost("gone")]
    assert bench.all(Notice) == [Notice("There is no sound card.", "Export works.")]
    bench.instrument.play(1.5)
    assert (bench.instrument.is_playing, bench.instrument.playhead_s) == (True, 1.5)
    bench.instrument.pause()
    assert not bench.instrument.is_playing


@pytest.mark.usefixtures("slow_engine")
def test_no_call_makes_the_window_wait(make_bench: Callable[..., Bench]) -> None:
    """Median of each call while the sampler is busy; single calls may be late on a loaded machine."""
    bench = make_bench()
    points = tuple((index * 0.01, 60.0 + (index % 7) * 0.1) for index in range(6000))
    passage = Passage(60.0, voices=(Voice(notes=_passage(59.0).voices[0].notes, lanes={"pitch": Lane(points)}),))
    took_s: list[float] = []
    for turn in range(60):
        started_s = time.perf_counter()
        if turn % 5 == 0:
            bench.instrument.render(passage)
        bench.events += bench.instrument.poll()
        bench.instrument.audio()
        took_s.append(time.perf_counter() - started_s)
        time.sleep(0.01)
    assert np.median(took_s) < 0.002
