"""Rendering with a deterministic engine: what is made anew, what is kept, and that nothing depends on order."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from app.render.cache import CellCache
from app.render.clip import Clip, mix_voices, pan_gains
from app.render.controls import VoiceControls
from app.render.grid import n_samples_of, window_start_frame
from app.render.renderer import Progress, Renderer, RenderJob, RenderRequest
from app.state.passage import Lane, Note, Passage, Voice
from app.state.preset import NEUTRAL_PRESET, Preset
from app.state.resolve import resolve
from synth.errors import Cancelled, UserError
from tests.app.render.fake_engine import N_STEPS, FakeEngine


def _passage(duration_s: float = 60.0, **voice: Any) -> Passage:
    notes = tuple(Note(start, 0.9, 50.0 + start % 12) for start in np.arange(0.0, duration_s - 1.0, 1.0).tolist())
    return Passage(duration_s, voices=(Voice(seed=3, notes=notes, **voice),))


def _clip(folder: Path, passage: Passage, stems: bool = True) -> Clip:
    return Clip(folder, n_samples_of(passage.duration_s), len(passage.voices) if stems else 0)


def _mix(clip: Clip) -> np.ndarray:
    return np.memmap(clip.mix_path, dtype=np.float32, mode="r").reshape(-1, 2)


def _edited(passage: Passage) -> Passage:
    """The same with one second of roughness drawn at 30 s."""
    voice = passage.voices[0]
    bump = Lane(((29.999, 0.0), (30.0, 0.7), (30.99, 0.7), (30.991, 0.0)))
    return passage.with_voice(0, replace(voice, lanes={**voice.lanes, "roughness": bump}))


def test_window_of_a_cell_is_what_resolve_says_there() -> None:
    passage = _passage(40.0)
    controls = VoiceControls(passage, passage.voices[0], NEUTRAL_PRESET)
    for cell in (0, 15, 16, 31, 49):
        direct = resolve(passage, passage.voices[0], NEUTRAL_PRESET, window_start_frame(cell), 112)
        cut = controls.window(cell)
        assert all(np.array_equal(cut.values[lane_id], direct.values[lane_id]) for lane_id in direct.values)
        pitch = resolve(passage, passage.voices[0], NEUTRAL_PRESET, (cell - 1) * 80, 240).values["pitch"]
        assert np.array_equal(controls.pitch_note(cell), pitch)
    assert np.all(controls.window(0).values["presence"][:16] == 0.0)
    assert np.all(controls.window(49).values["presence"][-16:] == 0.0)


def test_report_numbers(tmp_path: Path) -> None:
    passage = _passage(4.1)
    engine = FakeEngine()
    seen: list[Progress] = []
    clip = _clip(tmp_path, passage)
    report = Renderer(engine, CellCache()).render(RenderRequest(passage, {}), clip, on_progress=seen.append)
    assert (report.cells_total, report.cells_sampled, report.cells_decoded) == (6, 6, 6)
    assert (report.cells_kept, report.cells_from_cache) == (0, 0)
    assert report.seconds_sampled == pytest.approx(4.8)
    assert 0 < report.first_sample_s <= report.total_s
    assert report.sample_s + report.decode_s <= report.total_s
    assert report.realtime_factor == pytest.approx(4.1 / report.total_s)
    mix = _mix(clip)
    assert mix.shape == (196_800, 2)
    assert report.peak_db == pytest.approx(20 * np.log10(np.abs(mix).max()), abs=1e-4)
    assert [progress.done_cells for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1].eta_s == 0.0
    assert seen[0].eta_s > 0.0
    assert report.as_dict()["cells_total"] == 6


def test_first_cell_is_the_one_at_the_playhead(tmp_path: Path) -> None:
    passage = _passage(20.0)
    engine = FakeEngine()
    Renderer(engine, CellCache()).render(RenderRequest(passage, {}, playhead_s=8.1), _clip(tmp_path, passage))
    assert engine.decoded[:3] == [10, 11, 9]
    assert sorted(engine.decoded) == list(range(25))


def test_one_second_edit_resamples_at_most_three_cells(tmp_path: Path) -> None:
    before = _passage()
    after = _edited(before)
    engine = FakeEngine()
    renderer = Renderer(engine, CellCache())
    clip = _clip(tmp_path, before)
    renderer.render(RenderRequest(before, {}), clip)
    old = np.array(_mix(clip))
    engine.sampled.clear()
    follow_up = clip.follow_up(clip.n_samples, 1)
    report = renderer.render(RenderRequest(after, {}), follow_up)
    assert 1 <= report.cells_sampled <= 3
    assert report.cells_sampled == len(engine.sampled)
    assert report.seconds_sampled <= 3.0
    assert report.cells_decoded <= 5
    assert report.cells_kept == 75 - report.cells_decoded
    new = _mix(follow_up)
    different_s = np.flatnonzero(np.any(new != old, axis=1)) / 48_000
    assert different_s.size > 0
    assert different_s.min() >= 29.0
    assert different_s.max() <= 32.0
    scratch = _clip(tmp_path, after)
    Renderer(FakeEngine(), CellCache()).render(RenderRequest(after, {}), scratch)
    assert np.array_equal(new, _mix(scratch))
    assert np.array_equal(follow_up.read_stem(0, 0, clip.n_samples), scratch.read_stem(0, 0, clip.n_samples))


@pytest.mark.parametrize("duration_s", [7.0, 8.0, 12.3])
def test_changing_the_length_gives_the_same_samples_as_from_scratch(tmp_path: Path, duration_s: float) -> None:
    before = _passage(9.3)
    after = Passage(duration_s, voices=(replace(before.voices[0], notes=before.voices[0].notes[:5]),))
    renderer = Renderer(FakeEngine(), CellCache())
    clip = _clip(tmp_path, before)
    renderer.render(RenderRequest(before, {}), clip)
    follow_up = clip.follow_up(n_samples_of(duration_s), 1)
    renderer.render(RenderRequest(after, {}), follow_up)
    scratch = _clip(tmp_path, after)
    Renderer(FakeEngine(), CellCache()).render(RenderRequest(after, {}), scratch)
    assert np.array_equal(_mix(follow_up), _mix(scratch))


def test_undo_comes_from_the_cache(tmp_path: Path) -> None:
    before = _passage(10.0)
    renderer = Renderer(FakeEngine(), CellCache())
    clip = _clip(tmp_path, before)
    renderer.render(RenderRequest(before, {}), clip)
    other = before.with_voice(0, replace(before.voices[0], seed=4))
    clip = clip.follow_up(clip.n_samples, 1)
    assert renderer.render(RenderRequest(other, {}), clip).cells_sampled == 13
    report = renderer.render(RenderRequest(before, {}), clip.follow_up(clip.n_samples, 1))
    assert (report.cells_sampled, report.cells_decoded, report.cells_from_cache) == (0, 0, 13)


def test_cache_of_another_process_life_is_used(tmp_path: Path) -> None:
    passage = _passage(5.0)
    first, second = _clip(tmp_path, passage), _clip(tmp_path, passage)
    Renderer(FakeEngine(), CellCache(tmp_path / "cells")).render(RenderRequest(passage, {}), first)
    engine = FakeEngine()
    report = Renderer(engine, CellCache(tmp_path / "cells")).render(RenderRequest(passage, {}), second)
    assert engine.sampled == []
    assert report.cells_from_cache == report.cells_total
    assert np.array_equal(_mix(first), _mix(second))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 9},
        {"lanes": {"tension": Lane(((0.0, 0.9),))}},
        {"lanes": {"pitch": Lane(((0.0, 60.0), (3.0, 60.0)))}},
        {"preset": "other"},
    ],
    ids=["seed", "lane", "pitch", "preset"],
)
def test_whatever_shapes_the_sound_changes_the_keys(tmp_path: Path, change: dict[str, Any]) -> None:
    passage = _passage(3.0)
    presets = {"other": Preset("other", "Other", timbre=tuple([0.5] * 16), pitch_drift=0.1)}
    cache = CellCache()
    Renderer(FakeEngine(), cache).render(RenderRequest(passage, presets), _clip(tmp_path, passage))
    changed = passage.with_voice(0, replace(passage.voices[0], **change))
    report = Renderer(FakeEngine(), cache).render(RenderRequest(changed, presets), _clip(tmp_path, changed))
    assert report.cells_sampled == report.cells_total


def test_quality_and_weights_have_cells_of_their_own(tmp_path: Path) -> None:
    passage = _passage(3.0)
    cache = CellCache()
    engine = FakeEngine()
    Renderer(engine, cache).render(RenderRequest(passage, {}, "draft"), _clip(tmp_path, passage))
    assert Renderer(engine, cache).render(RenderRequest(passage, {}, "final"), _clip(tmp_path, passage)).cells_sampled
    engine.weights_hash = "other"
    assert Renderer(engine, cache).render(RenderRequest(passage, {}, "draft"), _clip(tmp_path, passage)).cells_sampled


def test_gain_and_pan_remix_without_sampling(tmp_path: Path) -> None:
    passage = _passage(3.0)
    engine = FakeEngine()
    clip = _clip(tmp_path, passage)
    Renderer(engine, CellCache()).render(RenderRequest(passage, {}), clip)
    stem = clip.read_stem(0, 0, clip.n_samples)
    assert np.allclose(_mix(clip), stem[:, None], atol=1e-7)  # unity in the middle
    louder = passage.with_voice(0, replace(passage.voices[0], gain_db=-6.0, pan=-1.0))
    engine.sampled.clear()
    engine.decoded.clear()
    panned = clip.follow_up(clip.n_samples, 1)
    # Even with an empty cache: the stem in the clip is enough.
    report = Renderer(engine, CellCache()).render(RenderRequest(louder, {}), panned)
    assert (engine.sampled, engine.decoded, report.cells_kept) == ([], [], 4)
    assert np.allclose(_mix(panned)[:, 0], stem * np.sqrt(2) * 10 ** (-6 / 20), atol=1e-6)
    assert np.allclose(_mix(panned)[:, 1], 0.0, atol=1e-7)


@pytest.mark.parametrize("pan", [-1.0, -0.3, 0.0, 0.7, 1.0])
def test_pan_keeps_power(pan: float) -> None:
    left, right = pan_gains(0.0, pan)
    assert left**2 + right**2 == pytest.approx(2.0)


def test_voices_add_up(tmp_path: Path) -> None:
    one = _passage(2.0).voices[0]
    two = replace(one, name="Voice 2", seed=8, pan=0.5, gain_db=-3.0)
    passage = Passage(2.0, voices=(one, two))
    clip = _clip(tmp_path, passage)
    report = Renderer(FakeEngine(), CellCache()).render(RenderRequest(passage, {}), clip)
    assert report.cells_total == 6
    stems = [clip.read_stem(index, 0, clip.n_samples) for index in range(2)]
    assert np.array_equal(_mix(clip), mix_voices(stems, [pan_gains(0.0, 0.0), pan_gains(-3.0, 0.5)]))
    alone = _clip(tmp_path, passage, stems=False)
    Renderer(FakeEngine(), CellCache()).render(RenderRequest(passage, {}), alone)
    assert np.array_equal(_mix(alone), _mix(clip))


def test_stop_is_heard_within_one_sampler_step_and_the_job_can_go_on(tmp_path: Path) -> None:
    passage = _passage(8.0)
    clip = _clip(tmp_path, passage)
    engine = FakeEngine()
    job = RenderJob(engine, CellCache(), RenderRequest(passage, {}), clip)
    job.plan()
    job.step()
    n_sampled = len(engine.sampled)
    asked = 0

    def stop_at_second_step() -> bool:
        nonlocal asked
        asked += 1
        return asked == 2

    assert N_STEPS > 2
    with pytest.raises(Cancelled):
        job.step(stop_at_second_step)
    assert asked == 2
    assert len(engine.sampled) == n_sampled
    while not job.is_done:
        job.step()
    scratch = _clip(tmp_path, passage)
    Renderer(FakeEngine(), CellCache()).render(RenderRequest(passage, {}), scratch)
    assert np.array_equal(_mix(clip), _mix(scratch))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


def test_threads_change_nothing_but_the_time(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    passage = _passage(12.0)
    alone, together = FakeEngine(step_s=0.004), FakeEngine(step_s=0.004, threads=threads)
    first, second = _clip(tmp_path, passage), _clip(tmp_path, passage)
    slow = Renderer(alone, CellCache()).render(RenderRequest(passage, {}), first)
    fast = Renderer(together, CellCache()).render(RenderRequest(passage, {}), second)
    assert np.array_equal(_mix(first), _mix(second))
    assert fast.cells_sampled == slow.cells_sampled == 15
    assert sorted(together.sampled) == sorted(alone.sampled) == list(range(15))


def test_cells_sampled_together_are_those_sampled_alone(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    passage = _passage(24.0)
    passage = replace(passage, voices=(*passage.voices, replace(passage.voices[0], seed=77)))
    alone, together = FakeEngine(), FakeEngine(threads=threads, cells_at_once=4)
    first, second = _clip(tmp_path, passage), _clip(tmp_path, passage)
    slow = Renderer(alone, CellCache()).render(RenderRequest(passage, {}), first)
    fast = Renderer(together, CellCache()).render(RenderRequest(passage, {}), second)
    assert np.array_equal(_mix(first), _mix(second))
    assert fast.cells_sampled == slow.cells_sampled
    assert sorted(together.sampled) == sorted(alone.sampled)
    # The first cell's two windows go apart, so that it is heard soon; what is left over at the end goes apart, too.
    assert set(together.batches) == {1, 4}
    assert together.batches.count(1) <= 2 * (2 + 3)


def test_a_stop_reaches_the_threads_and_the_job_can_go_on(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    passage = _passage(8.0)
    engine, clip = FakeEngine(step_s=0.02, threads=threads), _clip(tmp_path, passage)
    job = RenderJob(engine, CellCache(), RenderRequest(passage, {}), clip)
    job.plan()
    with pytest.raises(Cancelled):
        job.step(lambda: True)
    # Every thread is free again within a sampler step or two: nothing goes on sampling what nobody wants.
    assert threads.submit(lambda: True).result(timeout=1.0)
    assert len(engine.sampled) <= 3
    while not job.is_done:
        job.step()
    scratch = _clip(tmp_path, passage)
    Renderer(FakeEngine(), CellCache()).render(RenderRequest(passage, {}), scratch)
    assert np.array_equal(_mix(clip), _mix(scratch))


def _busy_job(folder: Path, threads: ThreadPoolExecutor) -> tuple[RenderJob, FakeEngine]:
    """A job of three voices after its first cell, while threads sample what comes next."""
    passage = _passage(8.0)
    voice = passage.voices[0]
    passage = replace(passage, voices=tuple(replace(voice, seed=seed) for seed in range(3)))
    engine = FakeEngine(step_s=0.05, threads=threads)
    job = RenderJob(engine, CellCache(), RenderRequest(passage, {}), _clip(folder, passage))
    job.plan()
    job.step()
    return job, engine


@pytest.mark.parametrize("how", ["called off", "interrupted", "Ctrl-C"])
def test_no_voice_goes_on_sampling_what_nobody_wants(tmp_path: Path, threads: ThreadPoolExecutor, how: str) -> None:
    job, engine = _busy_job(tmp_path, threads)

    def strike() -> bool:
        if how == "Ctrl-C":
            raise KeyboardInterrupt
        return True

    n_sampled = len(engine.sampled)
    if how == "called off":
        job.call_off()
    else:
        with pytest.raises((Cancelled, KeyboardInterrupt)):
            job.step(strike)
    threads.shutdown()
    # At most what each of the three threads was about to finish.
    assert len(engine.sampled) - n_sampled <= 3


def test_a_fault_in_a_thread_is_the_render_s_fault(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    class Broken(FakeEngine):
        def sample_cell(self, *_arguments: object, **_named: object) -> np.ndarray:
            raise UserError("The voice model is broken.", remedy="Install it again.")

    passage = _passage(4.0)
    with pytest.raises(UserError, match="broken"):
        Renderer(Broken(threads=threads), CellCache()).render(RenderRequest(passage, {}), _clip(tmp_path, passage))


def test_cancelled_render_raises(tmp_path: Path) -> None:
    passage = _passage(8.0)
    with pytest.raises(Cancelled):
        Renderer(FakeEngine(), CellCache()).render(
            RenderRequest(passage, {}), _clip(tmp_path, passage), should_stop=lambda: True
        )


def test_two_hours_are_planned_without_holding_them(tmp_path: Path) -> None:
    """7200 s of stereo would be 2.8 GB; the files are holes until written."""
    passage = Passage(7200.0, voices=(Voice(notes=(Note(3600.0, 2.0, 60.0),)),))
    clip = _clip(tmp_path, passage)
    engine = FakeEngine()
    job = RenderJob(engine, CellCache(), RenderRequest(passage, {}, playhead_s=3600.0), clip)
    before_bytes = psutil.Process().memory_info().rss
    job.plan()
    cell = job.step()
    grown_bytes = psutil.Process().memory_info().rss - before_bytes
    assert cell == 4500
    assert len(job.todo) == 8999
    assert grown_bytes < 64 * 2**20
    assert clip.mix_path.stat().st_size == 7200 * 48_000 * 8
    assert clip.mix_path.stat().st_blocks * 512 < 4 * 2**20
    assert clip.follow_up(clip.n_samples, 1) is clip


def test_unknown_preset_and_quality_are_named() -> None:
    passage = _passage(2.0, preset="nobody")
    with pytest.raises(UserError, match="nobody"):
        RenderRequest(passage, {}).preset_of(passage.voices[0])
    with pytest.raises(UserError, match="superb"):
        RenderRequest(passage, {}, "superb")


def test_full_disk_is_a_user_error_and_the_cell_stays_stale(tmp_path: Path) -> None:
    passage = _passage(2.0)
    clip = _clip(tmp_path, passage)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot be written"):
            Renderer(FakeEngine(), CellCache()).render(RenderRequest(passage, {}), clip)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert clip.mix_keys == [None, None, None]


def test_deleted_clip_leaves_nothing(tmp_path: Path) -> None:
    clip = _clip(tmp_path, _passage(2.0))
    clip.delete()
    assert list(tmp_path.iterdir()) == []
