"""Noise is a function of seed, stream and absolute position, and nothing else."""

from __future__ import annotations

import numpy as np

from synth.codec.noise import Stream, normal, normal_frames, smooth


def test_any_piece_equals_the_whole() -> None:
    whole = normal(7, Stream.ASPIRATION, -5000, 20_000)
    for start in (-5000, -4097, -1, 0, 1, 4095, 4096, 9999):
        assert np.array_equal(normal(7, Stream.ASPIRATION, start, 300), whole[start + 5000 : start + 5300])


def test_seeds_and_streams_are_independent() -> None:
    base = normal(1, Stream.LATENT, 0, 50_000)
    for other in (normal(2, Stream.LATENT, 0, 50_000), normal(1, Stream.JITTER, 0, 50_000)):
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.02
    assert abs(base.mean()) < 0.02
    assert abs(base.std() - 1) < 0.02


def test_before_and_after_zero_differ() -> None:
    assert not np.array_equal(normal(1, Stream.LATENT, -4096, 4096), normal(1, Stream.LATENT, 0, 4096))


def test_frames_are_addressed_absolutely() -> None:
    whole = normal_frames(3, Stream.LATENT, 0, 200, 37)
    assert whole.shape == (37, 200)
    assert np.array_equal(normal_frames(3, Stream.LATENT, 64, 112, 37), whole[:, 64:176])


def test_smooth_noise_has_unit_variance_and_bounded_slope() -> None:
    t_s = np.arange(400_000) / 200.0
    wave = smooth(11, Stream.DRIFT, t_s, 5.0)
    assert abs(wave.std() - 1) < 0.05
    assert np.abs(np.diff(wave)).max() < 0.3
    assert np.array_equal(smooth(11, Stream.DRIFT, t_s[500:900], 5.0), wave[500:900])
