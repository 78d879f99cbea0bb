"""Held notes that are known to loop, to freeze, to go deaf or to live, and what the evaluation says of them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.dsp.smoothing import hann_mean
from synth.evaluate import straightness, targets
from synth.evaluate.clusters import clustered_interval, crossed_mean_interval
from synth.evaluate.distances import log_mel
from synth.evaluate.held_notes import HeldNote, excerpts, held_gesture, steady_stretch, straight_lanes
from synth.evaluate.late_obedience import PASSAGE_S, evaluate_late_obedience, stepped
from synth.evaluate.looping import EXCERPT_S, cell_excess, chance_peak, lag_correlation, self_similarity
from synth.evaluate.singing import Singer
from synth.evaluate.sustained import LoopFigures, SustainedPlan, evaluate_sustained, loop_figures
from synth.evaluate.targets import verdicts_of
from synth.evaluate.verdict import MISSED, TOO_FEW
from synth.spec import HOP_SAMPLES, SAMPLE_RATE_HZ, Float32Array
from tests.synth.evaluate.known_engines import KnownEngine
from tests.synth.evaluate.known_voices import voice


def note(index: int, duration_s: float = 3.0) -> HeldNote:
    return HeldNote(f"note-{index}", "sung", "modal", voice(duration_s, 100 + index))


def test_a_pasted_loop_is_found_at_its_length_and_a_living_note_is_not() -> None:
    piece = voice(1.1, 1)
    loop = np.tile(piece, 4)
    found = self_similarity(loop[: round(EXCERPT_S * SAMPLE_RATE_HZ)])
    assert found.peak > 0.9
    assert found.peak_lag_s == pytest.approx(1.1, abs=0.02)
    alive = self_similarity(voice(EXCERPT_S, 2))
    assert alive.peak < 0.5
    assert alive.outlier < 0.5 * found.outlier
    assert self_similarity(voice(EXCERPT_S, 2, wander=0.1)).distance_db < alive.distance_db


def test_correlation_at_lag_zero_is_one_and_noise_has_none() -> None:
    r = lag_correlation(np.random.default_rng(0).standard_normal((400, 40)))
    assert r[0] == pytest.approx(1.0)
    assert np.abs(r[50:300]).max() < 0.1
    with pytest.raises(ValueError):
        self_similarity(voice(0.6, 0))


def straightened(bands: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.linspace(-1.0, 1.0, len(bands))[:, None]
    centred = bands - bands.mean(axis=0)
    return centred - t * (np.sum(t * centred, axis=0) / np.sum(t**2))


def test_a_lag_is_pearson_of_its_two_ends_without_their_trends() -> None:
    rng = np.random.default_rng(3)
    first, second = (rng.standard_normal((120, 7)).cumsum(axis=0) for _ in range(2))
    for later in (first, second):
        found = lag_correlation(first, later)
        for lag in (0, 1, 40, 90):
            head, tail = straightened(first[: 120 - lag]), straightened(later[lag:])
            expected = np.sum(head * tail) / np.sqrt(np.sum(head**2) * np.sum(tail**2))
            assert found[lag] == pytest.approx(expected, abs=1e-9)


def test_slow_movement_is_not_taken_for_repetition() -> None:
    """Mean and trend of the whole stretch leave its ends bent alike; those of the ends do not."""
    rng = np.random.default_rng(4)
    of_ends, of_whole = [], []
    for _ in range(30):
        bands = np.stack([hann_mean(band, 121) for band in rng.standard_normal((40, 400))], axis=1)[80:320]
        of_ends.append(lag_correlation(bands)[150:190].mean())
        still = straightened(bands)
        of_whole.extend(
            np.sum(still[:-lag] * still[lag:]) / np.sqrt(np.sum(still[:-lag] ** 2) * np.sum(still[lag:] ** 2))
            for lag in (150, 170, 189)
        )
    assert abs(np.mean(of_ends)) < 0.05
    assert np.mean(of_whole) > 0.15


def swinging(audio: Float32Array, seed: int, depth_db: float = 4.0) -> Float32Array:
    """The same with a level of its own that wanders: all bands move together."""
    n = len(audio)
    knots = np.random.default_rng(seed).standard_normal(n // 8_000 + 2)
    level_db = depth_db * np.interp(np.arange(n) / 8_000, np.arange(len(knots)), knots)
    return (audio * 10.0 ** (level_db / 20.0)).astype(np.float32)


def test_fewer_independent_movements_are_chance_and_no_repetition() -> None:
    plan = SustainedPlan(n_excerpts=3)
    notes = [note(index) for index in range(6)]
    held = [swinging(voice(8.0, seed), seed) for seed in range(6)]
    found = loop_figures(notes, list(zip(notes, held, strict=True)), plan)
    figures = {one.figure: one for one in found.likeness}
    assert figures["peak"].difference.low > 0.0
    assert figures["beyond_chance"].generated.low < 0.0 < figures["beyond_chance"].generated.high + 0.05
    assert not {"peak", "beyond_chance"} & set(found.more_alike)
    # Swings over one piece said again and again: part of what moves comes back.
    again = [swinging(np.tile(voice(1.1, seed), 7), seed, 1.5) for seed in range(6)]
    found = loop_figures(notes, list(zip(notes, again, strict=True)), plan)
    assert "beyond_chance" in found.more_alike


def test_chance_is_not_raised_by_a_loop_that_fills_the_note() -> None:
    pieces = excerpts(np.tile(voice(1.1, 1), 8), EXCERPT_S, 3)
    assert self_similarity(pieces[0]).peak > 0.9
    sounds = [log_mel(piece) for piece in pieces]
    assert chance_peak(sounds[0], sounds[1:]) < 0.5
    assert np.isnan(chance_peak(sounds[0], []))


def test_notes_too_short_for_an_excerpt_are_no_yardstick() -> None:
    plan, short, long = SustainedPlan(n_excerpts=2), note(0, 1.0), note(1)
    found = loop_figures([short, long], [(short, voice(6.0, 1)), (long, voice(6.0, 2))], plan)
    assert (found.n_real, found.n_generated) == (1, 2)
    assert len(found.whole_peaks) == 2


def test_seams_of_cells_are_told_from_chance() -> None:
    cell = voice(0.8, 5)
    assert cell_excess(np.tile(cell, 8)) > 0.5
    assert abs(cell_excess(voice(6.4, 6))) < 0.1


def test_loop_figures_call_a_loop_a_loop() -> None:
    plan = SustainedPlan(n_excerpts=4)
    notes = [note(index) for index in range(10)]

    def figures(held: list[Float32Array]) -> LoopFigures:
        return loop_figures(notes, list(zip(notes[: len(held)], held, strict=True)), plan)

    living = figures([voice(12.0, seed) for seed in range(4)])
    assert not living.repeats, living
    assert living.more_alike == ()
    looped = figures([np.tile(voice(1.7, seed), 7) for seed in range(4)])
    assert looped.repeats
    assert {"beyond_chance", "outlier"} <= set(looped.more_alike)
    # The loop may be longer than any excerpt.
    long_loop = figures([np.tile(voice(5.0, seed), 4) for seed in range(4)])
    assert long_loop.repeats
    assert long_loop.whole_peak_lags_s[0] == pytest.approx(5.0, abs=0.05)


@pytest.mark.evaluation
def test_a_machine_is_too_straight_and_a_throat_is_not() -> None:
    real = [[straightness.unsteadiness(piece) for piece in excerpts(note(i).audio, 0.8)] for i in range(8)]
    living = [[straightness.unsteadiness(piece) for piece in excerpts(voice(4.0, i), 0.8)] for i in range(5)]
    machine = [[straightness.unsteadiness(piece) for piece in excerpts(voice(4.0, i, wander=0.0), 0.8)] for i in (0, 1)]
    for name, unit in straightness.UNITS.items():
        sides = [[[piece[name] for piece in pieces] for pieces in side] for side in (real, living, machine)]
        assert straightness.compare(name, unit, sides[0], sides[1]).verdict == "inside", name
        assert straightness.compare(name, unit, sides[0], sides[2]).verdict == "too straight", name
    with_wild = straightness.compare("jitter_percent", "%", [[1.0, 1.1, 1.2]], [[5.0, 6.0]])
    assert with_wild.verdict == "too wild"
    assert straightness.compare("jitter_percent", "%", [[1.0]], [[float("nan")]]).verdict == "unmeasured"


def test_an_obedient_engine_is_as_good_late_as_early_and_a_deaf_one_is_found_out() -> None:
    class Deaf(KnownEngine):
        """Obeys for 20 s, then keeps its default level whatever is asked."""

        def sample_cell(self, window: Any, *, cell_index: int, **others: Any) -> Float32Array:
            latents = super().sample_cell(window, cell_index=cell_index, **others)
            if cell_index > 25:
                latents[1] = -24.0
            return latents

    engines: list[Any] = [KnownEngine(), Deaf()]
    good, deaf = (evaluate_late_obedience(Singer(engine, "draft"), ("loudness",), (0,))[0] for engine in engines)
    assert not good.is_worse_late
    assert good.late_error.value < 0.6
    assert good.late_slope == pytest.approx(1.0, abs=0.05)
    assert deaf.is_worse_late
    assert deaf.early_error.value < 0.6
    assert abs(deaf.late_slope) < 0.1


def test_the_step_comes_twice_and_leaves_in_between() -> None:
    curve = stepped("loudness", -12.0)
    assert len(curve) == PASSAGE_S * 100
    assert set(np.flatnonzero(np.diff(curve)) + 1) == {100, 500, 2500}
    assert curve[200] == curve[2800] == -12.0


def test_the_longest_steady_stretch_holds_its_pitch() -> None:
    pitch = np.concatenate([np.full(50, 60.0), np.linspace(60.0, 66.0, 30), np.full(90, 66.3), np.full(40, 66.2)])
    sung = np.ones(len(pitch), dtype=np.bool_)
    sung[185:] = False
    start, stop = steady_stretch(pitch, sung)
    assert stop == 185
    assert 70 <= start <= 80
    assert np.ptp(pitch[start:stop]) <= 1.6


def test_another_vowel_or_a_swell_ends_a_held_note() -> None:
    pitch, sung = np.full(400, 60.0), np.ones(400, dtype=np.bool_)
    still = {"vowel_open": np.full(400, 0.5), "vowel_front": np.full(400, 0.5), "loudness": np.full(400, -20.0)}
    assert steady_stretch(pitch, sung, still) == (0, 400)
    vowel = still | {"vowel_open": np.where(np.arange(400) < 250, 0.2, 0.9)}
    start, stop = steady_stretch(pitch, sung, vowel)
    assert start == 0
    assert stop == pytest.approx(250, abs=12)
    swell = still | {"loudness": np.linspace(-36.0, -12.0, 400)}
    start, stop = steady_stretch(pitch, sung, swell)
    assert stop - start == pytest.approx(400 * 9 / 24, abs=12)


def test_excerpts_are_equal_apart_and_inside() -> None:
    audio = np.arange(10 * SAMPLE_RATE_HZ, dtype=np.float32)
    pieces = excerpts(audio, 0.8, 6)
    assert len(pieces) == 6
    assert all(len(piece) == 80 * HOP_SAMPLES for piece in pieces)
    assert all(later[0] > earlier[-1] for earlier, later in pairwise(pieces))
    assert excerpts(audio[:1000], 0.8) == []


def test_intervals_resample_whole_clusters() -> None:
    """Four clusters of identical values know no more than four values."""
    values = np.repeat([1.0, 2.0, 3.0, 4.0], 50)
    wide = clustered_interval(values, np.repeat(np.arange(4), 50), lambda v: float(v.mean()))
    narrow = clustered_interval(values, np.arange(200), lambda v: float(v.mean()))
    assert wide.value == narrow.value == 2.5
    assert wide.n == 4
    assert wide.high - wide.low > 4.0 * (narrow.high - narrow.low)
    table = np.array([[1.0, 3.0], [2.0, np.nan], [np.nan, np.nan]])
    assert crossed_mean_interval(table).value == 2.0
    assert crossed_mean_interval(table).n == 2


@pytest.mark.evaluation
def test_the_whole_report_is_plain_json_and_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = KnownEngine()
    notes = [note(index, 2.7) for index in range(2)]
    held = held_gesture(notes[0], 4.0, 0.5)
    assert held.controls.n_frames == 400
    assert held.controls.values["pitch"][0] == pytest.approx(straight_lanes(notes[0].audio)["pitch"])
    plan = SustainedPlan(n_notes=2, held_s=5.0, n_excerpts=1, drifts=(0.5,), step_lanes=())
    report = evaluate_sustained(Singer(engine, "draft"), notes, plan)
    words = json.dumps(report.to_json(), allow_nan=False)
    assert "real_peak_95" in words
    text = "\n".join(report.lines())
    assert "f0_slow_cents, drift 0.5" in text
    assert "too straight" in text  # sines at an exact pitch
    verdicts = {verdict.what: verdict for verdict in verdicts_of("sustained", report)}
    straight = "straight lanes are not machine-straight, drift 0.5"
    assert {verdicts["held notes do not loop"].outcome, verdicts[straight].outcome} == {TOO_FEW}
    monkeypatch.setattr(targets, "_FEWEST_NOTES", 2)
    assert {verdict.what: verdict.outcome for verdict in verdicts_of("sustained", report)}[straight] == MISSED
