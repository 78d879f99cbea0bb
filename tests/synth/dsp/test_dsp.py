"""Framing, resampling, smoothing and mel: alignment and exact constants."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from synth.dsp.framing import centred_windows, frame_centres_samples
from synth.dsp.mel import dct_matrix, mel_filterbank, slaney_filterbank
from synth.dsp.resampling import resample
from synth.dsp.smoothing import fill_holes, hann_mean, moving_median, weighted_hann_mean


def test_frame_centres_agree_between_rates() -> None:
    assert frame_centres_samples(3, 48_000).tolist() == [240, 720, 1_200]
    assert frame_centres_samples(3, 16_000).tolist() == [80, 240, 400]
    with pytest.raises(ValueError, match="multiple"):
        frame_centres_samples(3, 44_150)


def test_windows_are_centred_and_zero_beyond_the_ends() -> None:
    signal = np.arange(1, 1_441, dtype=np.float32)
    windows = centred_windows(signal, 3, 48_000, 1_000)
    assert windows.shape == (3, 1_000)
    assert windows[1, 500] == signal[720]
    assert (windows[0, :260] == 0.0).all()
    assert windows[0, 260] == 1.0
    assert windows[2, -1] == 0.0


@pytest.mark.parametrize(("n", "to_hz"), [(1, 16_000), (1_000, 16_000), (48_000, 11_000), (4_801, 4_000)])
def test_resampling_has_the_exact_length(n: int, to_hz: int) -> None:
    assert len(resample(np.ones(n, dtype=np.float32), 48_000, to_hz)) == -(-n * to_hz // 48_000)


def test_resampling_keeps_time() -> None:
    t = np.arange(48_000) / 48_000
    bump = np.exp(-(((t - 0.5) / 0.002) ** 2)).astype(np.float32)
    assert np.argmax(resample(bump, 48_000, 16_000)) == 8_000


@pytest.mark.parametrize("width", [3, 31, 201])
def test_smoothing_keeps_constants_to_the_ends(width: int) -> None:
    assert np.allclose(hann_mean(np.full(50, 3.0), width), 3.0)
    assert np.allclose(weighted_hann_mean(np.full(50, 3.0), np.linspace(0.1, 1.0, 50), width), 3.0)


def test_smoothing_is_centred_for_both_ways_of_convolving() -> None:
    impulse = np.zeros(501)
    impulse[250] = 1.0
    for width in (41, 201):
        smooth = hann_mean(impulse, width)
        assert np.argmax(smooth) == 250
        assert np.allclose(smooth, smooth[::-1], atol=1e-12)


def test_median_and_holes() -> None:
    assert moving_median(np.array([0.0, 0.0, 9.0, 0.0, 0.0]), 3).tolist() == [0.0] * 5
    known = np.array([False, True, False, True, False])
    assert fill_holes(np.array([9.0, 1.0, 9.0, 3.0, 9.0]), known, 0.0).tolist() == [1.0, 1.0, 2.0, 3.0, 3.0]
    assert fill_holes(np.zeros(2), np.zeros(2, dtype=np.bool_), 7.0).tolist() == [7.0, 7.0]


def test_mel_bands_are_means_and_cosines_orthonormal() -> None:
    bank = mel_filterbank(64, 2_048, 48_000, 50.0, 16_000.0)
    assert bank.shape == (1_025, 64)
    assert np.allclose(bank.sum(axis=0), 1.0, atol=1e-5)
    centres = (bank * np.arange(1_025)[:, None]).sum(axis=0)
    assert (np.diff(centres) > 0.0).all()
    matrix = dct_matrix(64, 64).astype(np.float64)
    assert np.allclose(matrix.T @ matrix, np.eye(64), atol=1e-5)


def test_the_encoders_bank_is_the_one_it_was_trained_with() -> None:
    trained = librosa.filters.mel(sr=48_000, n_fft=1024, n_mels=80, fmin=20.0, fmax=24_000.0, norm=1)
    assert np.array_equal(slaney_filterbank(80, 1024, 48_000, 20.0, 24_000.0), trained.T)
