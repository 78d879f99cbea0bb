"""Distances of sets with known answers; halves; excerpts of recordings sung again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from synth.corpus.simulator import simulate_random
from synth.errors import UserError
from synth.evaluate.distances import Sound
from synth.evaluate.embeddings import Encoded, LogMelStatistics, standardised
from synth.evaluate.fidelity import FIDELITY_MEASURES, evaluate_deviation, evaluate_fidelity
from synth.evaluate.halves import HalfDistances, half_distances, jackknife_interval
from synth.evaluate.kernel import evaluate_kernel, frechet, gaussian_kernel, mmd_squared, polynomial_kernel
from synth.evaluate.recordings import Recording
from synth.evaluate.resung import Resung, group_of, main_technique
from synth.evaluate.statistics import distribution_distance


def _mmd(a: np.ndarray, b: np.ndarray) -> float:
    return mmd_squared(polynomial_kernel(a, a), polynomial_kernel(b, b), polynomial_kernel(a, b))


def test_the_kernel_distance_is_unbiased() -> None:
    """Over many pairs of samples of one distribution its mean is 0, and it is below 0 about as often as not."""
    rng = np.random.default_rng(0)
    found = [_mmd(*rng.standard_normal((2, 12, 4))) for _ in range(400)]
    assert abs(np.mean(found)) < 3.0 * np.std(found) / 20.0
    assert 0.3 < np.mean(np.array(found) < 0.0) < 0.75


def test_the_gaussian_kernel_distance_has_its_closed_form() -> None:
    """One-dimensional normals: E k = s / sqrt(s^2 + 2 v) exp(-d^2 / (2 (s^2 + 2 v))) for variance v, bandwidth s."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((1_500, 1)), rng.standard_normal((1_500, 1)) + 1.0
    found = mmd_squared(gaussian_kernel(a, a, 1.0), gaussian_kernel(b, b, 1.0), gaussian_kernel(a, b, 1.0))
    assert found == pytest.approx(2.0 / np.sqrt(3.0) * (1.0 - np.exp(-1.0 / 6.0)), abs=0.06)


def test_frechet_has_its_closed_form_and_refuses_too_few() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((20_000, 2)), 2.0 * rng.standard_normal((20_000, 2)) + 3.0
    assert frechet(a, b) == pytest.approx(2 * 9.0 + 2 * 1.0, rel=0.05)
    assert np.isnan(frechet(a[:2], b))


def test_a_perfect_singer_has_ratio_one_and_a_bad_one_more() -> None:
    rng = np.random.default_rng(3)
    owners = np.repeat(np.arange(12), 6)
    voices = rng.standard_normal(12)[owners]  # recordings differ from each other, as singers' takes do
    real = voices + 0.3 * rng.standard_normal(72)
    good, bad = voices + 0.3 * rng.standard_normal(72), voices + 3.0 + 0.3 * rng.standard_normal(72)

    def against(made: np.ndarray) -> HalfDistances:
        return half_distances(
            owners, lambda a, b, is_made: distribution_distance((made if is_made else real)[a], real[b])
        )

    fine, off = against(good), against(bad)
    assert fine.ratio == pytest.approx(1.0, abs=0.25)
    assert fine.ratio_low < 1.0 < fine.ratio_high
    assert off.ratio > 2.0
    assert off.ratio_low > 1.3
    assert fine.n_recordings == 12


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(4).standard_normal(60)
    found = jackknife_interval(np.arange(60), lambda index: float(values[index].mean()))
    assert found.high - found.value == pytest.approx(1.96 * values.std(ddof=1) / np.sqrt(60), rel=1e-3)
    assert np.isnan(jackknife_interval(np.zeros(4, dtype=np.int64), lambda index: 1.0).low)


@pytest.fixture(scope="module")
def resung() -> list[Resung]:
    """Four "recordings"; the rendering of each is the next simulated voice."""
    clips = [Sound.of(simulate_random(300 + index, 1.6, "modal").audio) for index in range(5)]
    return [
        Resung(Recording(f"r{i}", "sung_note", real.audio), "modal", "song", real, made)
        for i, (real, made) in enumerate(pairwise(clips))
    ]


@pytest.mark.evaluation
def test_fidelity_measures_every_group_by_every_measure(resung: list[Resung]) -> None:
    report = evaluate_fidelity(resung)
    assert [(row.group, row.measure) for row in report.rows] == [("song", name) for name in FIDELITY_MEASURES]
    n_excerpts = sum(len(item.excerpts()) for item in resung)
    assert n_excerpts >= 4
    for row in report.rows:
        assert row.n_excerpts == n_excerpts
        assert row.n_measured[0] <= n_excerpts
        assert row.distance > 0.0


def test_a_recording_has_no_distance_from_itself(resung: list[Resung]) -> None:
    same = [Resung(item.recording, item.technique, item.group, item.real, item.real) for item in resung]
    for row in evaluate_deviation(same):
        assert (row.average_db.value, row.frame_db.value, row.mr_stft.value) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    assert all(row.average_db.value > 0.5 for row in evaluate_deviation(resung))


def test_kernel_rows_or_a_word_on_what_is_too_little(resung: list[Resung]) -> None:
    report = evaluate_kernel(resung, [LogMelStatistics()])
    n_excerpts = sum(len(item.excerpts()) for item in resung)
    if n_excerpts >= 8:
        assert {row.distance for row in report.rows} == {"polynomial", "gaussian"}
        assert all(row.n_excerpts == n_excerpts and row.dim == 40 for row in report.rows)
    else:
        assert report.left_out == (("song", n_excerpts),)


def test_embeddings_do_not_hear_the_level(resung: list[Resung]) -> None:
    sound = resung[0].real
    louder = Sound.of(2.0 * sound.audio)
    excerpts = resung[0].excerpts()
    first, second = (LogMelStatistics()(side, excerpts) for side in (sound, louder))
    assert first.shape == (len(excerpts), 40)
    assert first[:, :10] == pytest.approx(second[:, :10], abs=1.5)
    assert standardised(first, first).mean(axis=0) == pytest.approx(np.zeros(40), abs=1e-9)


def test_an_encoder_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no encoder"):
        Encoded(tmp_path / "missing.safetensors")


def test_groups_tell_song_from_speech() -> None:
    assert group_of("singing_phrase", "modal") == "song"
    assert group_of("speech", "modal") == "speech"
    assert group_of("growl_vowel", "growl") == "growl"
    assert main_technique({"growl": 0.2, "scream": 0.8}) == "scream"
    assert main_technique({}) == "modal"
