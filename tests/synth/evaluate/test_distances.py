"""Distances with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.corpus.simulator import simulate_random
from synth.evaluate import world
from synth.evaluate.distances import (
    INFORMATIVE,
    MEASURES,
    Sound,
    aligned_distance,
    lane_score,
    log_mel,
    log_mel_distance,
    modulation_distance,
    mr_stft_distance,
    voice_distances,
)
from synth.evaluate.proof import fitted, time_mean
from synth.spec import HOP_SAMPLES, SAMPLE_RATE_HZ, Float32Array
from synth.spec.audio import CONTEXT_FRAMES

Float64Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def sung() -> Sound:
    return Sound.of(simulate_random(121, 1.2, "modal").audio)


def _noise(n_samples: int, seed: int = 0) -> Float32Array:
    return (0.1 * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


def test_a_sound_is_no_distance_from_itself(sung: Sound) -> None:
    distances = voice_distances(sung, sung)
    names = (*MEASURES, *INFORMATIVE)
    assert set(distances) == set(names)
    assert distances == pytest.approx(dict.fromkeys(names, 0.0), abs=1e-9)
    assert aligned_distance(sung, sung) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.world
def test_noise_is_far_from_a_voice_in_every_measure(sung: Sound) -> None:
    distances = voice_distances(Sound.of(_noise(len(sung.audio))), sung)
    nearer = voice_distances(Sound.of(world.resynthesise(sung.audio)), sung)
    for name in ("log_mel_db", "mr_stft", "hnr_db", "centroid_hz", "alpha_ratio_db"):
        assert nearer[name] < 0.5 * distances[name], name


def _rough(sung: Sound, values: Float64Array) -> Sound:
    """A sound heard as rough as `values` says, sung throughout."""
    n = sung.analysis.n_frames
    lanes = {"roughness": values[:n].astype(np.float32), "presence": np.ones(n, dtype=np.float32)}
    return replace(sung, analysis=replace(sung.analysis, lanes=lanes))


def test_roughness_is_scored_in_time(sung: Sound) -> None:
    n = sung.analysis.n_frames
    swell = np.linspace(0.0, 1.0, n)
    real, same, reversed_ = (_rough(sung, values) for values in (swell, swell + 0.1, swell[::-1]))
    assert lane_score([same], real, "roughness") == pytest.approx(0.1, abs=1e-6)
    assert lane_score([reversed_], real, "roughness") == pytest.approx(0.5, abs=0.01)
    assert lane_score([same, same], real, "roughness") == pytest.approx(0.1, abs=1e-6)


def test_the_score_prefers_the_right_wavering_to_none_and_none_to_the_wrong_one(sung: Sound) -> None:
    """Takes of a series N(m(t), s): its own distribution scores best, as theory says; by plain error it does not."""
    rng = np.random.default_rng(5)
    n, s = sung.analysis.n_frames, 0.1
    mean = 0.5 + 0.2 * np.sin(np.arange(n) / 9.0)

    def scores(around: Float64Array, spread: float) -> tuple[float, float]:
        """Mean score, and mean plain error, over many real takes."""
        found = []
        for _ in range(200):
            real = _rough(sung, mean + s * rng.standard_normal(n))
            takes = [_rough(sung, around + spread * rng.standard_normal(n)) for _ in range(2)]
            found.append([lane_score(takes, real, "roughness"), lane_score(takes[:1], real, "roughness")])
        score, error = np.mean(found, axis=0)
        return score, error

    alive, frozen, level = scores(mean, s), scores(mean, 0.0), scores(np.full(n, 0.5), 0.0)
    restless, wrong = scores(mean, 4.0 * s), scores(np.full(n, 0.5), s)
    assert alive[1] > frozen[1]  # plain error flatters what is frozen
    assert alive[0] == pytest.approx(s / np.sqrt(np.pi), rel=0.03)  # of a normal distribution against itself
    assert alive[0] < 0.8 * frozen[0] < 0.8 * level[0]
    assert restless[0] > frozen[0]
    assert wrong[0] > 1.3 * alive[0]


def test_twice_the_amplitude_is_six_decibels() -> None:
    audio = _noise(24_000)
    counts = np.ones(50, dtype=np.bool_)
    assert log_mel_distance(log_mel(2.0 * audio), log_mel(audio), counts) == pytest.approx(6.02, abs=0.01)
    assert np.isnan(log_mel_distance(log_mel(audio), log_mel(audio), ~counts))


def test_spectral_distance_grows_with_what_is_added() -> None:
    audio = _noise(24_000)
    small, large = (
        mr_stft_distance((audio + level * _noise(24_000, 1)).astype(np.float32), audio) for level in (0.1, 1.0)
    )
    assert 0.0 < small < large


def test_modulation_is_told_from_steadiness() -> None:
    t_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    steady, other = _noise(len(t_s)), _noise(len(t_s), 1)
    trembling = (steady * (1.0 + 0.9 * np.sin(2.0 * np.pi * 6.0 * t_s))).astype(np.float32)
    where = np.ones(200, dtype=np.bool_)
    same = modulation_distance(log_mel(other), log_mel(steady), where)
    assert modulation_distance(log_mel(trembling), log_mel(steady), where) > 3.0 * same + 1.0


def test_warping_forgives_a_late_take() -> None:
    """The same take 200 ms later: far frame by frame, near once aligned."""
    first = simulate_random(157, 1.5, "modal").audio
    late = np.concatenate([np.zeros(20 * HOP_SAMPLES, dtype=np.float32), first])
    a, b = Sound.of(first), Sound.of(late)
    counts = a.analysis.lanes["presence"] > 0.5
    assert aligned_distance(a, b) < 0.2 * log_mel_distance(a.log_mel_db, b.log_mel_db, counts)


def test_ablations_do_what_they_say() -> None:
    latents = np.random.default_rng(0).standard_normal((3, 80 + 2 * CONTEXT_FRAMES)).astype(np.float32)
    presence = np.zeros(80, dtype=np.float32)
    presence[10:30] = 1.0
    flat = time_mean(latents, presence)
    assert np.ptp(flat, axis=1).max() == 0.0
    assert flat[:, 0] == pytest.approx(latents[:, CONTEXT_FRAMES + 10 : CONTEXT_FRAMES + 30].mean(axis=1), abs=1e-6)
    longer = fitted(latents, 300)
    assert longer.shape == (3, 300)
    assert np.array_equal(longer[:, 112:224], latents)


@pytest.mark.world
def test_world_keeps_length_and_pitch(sung: Sound) -> None:
    made = world.resynthesise(sung.audio)
    assert made.shape == sung.audio.shape
    assert made.dtype == np.float32
    both = sung.analysis.f0.voiced & Sound.of(made).analysis.f0.voiced
    cents = 1200.0 * np.log2(Sound.of(made).analysis.f0.f0_hz[both] / sung.analysis.f0.f0_hz[both])
    assert np.median(np.abs(cents)) < 15.0
