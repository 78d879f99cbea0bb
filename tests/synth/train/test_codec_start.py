"""The linear start of a codec is a channel vocoder, and says when it cannot be one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.codec.excitation import ExcitationFrames, excitation, free_phase
from synth.codec.model import ENCODER_FEATURES, Codec, CodecConfig, scaled_log_f0
from synth.spec.audio import HOP_SAMPLES
from synth.train.codec_start import start_from_spectra

FRAMES = 60
SMALL = CodecConfig(learned_dim=24, encoder_dim=16, encoder_blocks=1, decoder_dim=16, decoder_blocks=1)


def coloured_noises(n: int) -> torch.Tensor:
    """Noises of different spectral slopes, each swelling in time -> [n, samples]."""
    rng = np.random.default_rng(0)
    n_samples = FRAMES * HOP_SAMPLES
    white = np.fft.rfft(rng.standard_normal((n, n_samples)))
    slope = rng.uniform(-1.5, 0.5, (n, 1))
    shaped = np.fft.irfft(white * np.maximum(np.arange(white.shape[1]), 1) ** slope, n_samples)
    shaped /= np.abs(shaped).max(axis=1, keepdims=True)
    return torch.from_numpy((0.5 * np.linspace(0.1, 1.0, n_samples) * shaped).astype(np.float32))


def features_of(audio: torch.Tensor) -> torch.Tensor:
    features = torch.zeros((len(audio), FRAMES, ENCODER_FEATURES))
    features[..., 2] = -1.2  # -12 dB of harmonics: it is all noise
    return features


def band_levels_db(audio: torch.Tensor) -> torch.Tensor:
    spectrum = torch.stft(audio, 1024, 480, window=torch.hann_window(1024), return_complex=True).abs().square()
    bands = torch.nn.functional.avg_pool2d(spectrum[:, None, 1:], (32, 10))
    return 10 * torch.log10(bands + 1e-9)


def test_an_untrained_codec_gives_the_spectrum_back() -> None:
    torch.manual_seed(0)
    codec, audio = Codec(SMALL).eval(), coloured_noises(12)
    features = features_of(audio)
    explained = start_from_spectra(codec, audio, features)
    assert explained > 0.9
    with torch.no_grad():
        learned = codec.encoder(audio, features)
        assert learned.std() == pytest.approx(1.0, abs=0.35)
        explicit = torch.full((len(audio), FRAMES, 5), -3.0)
        f0 = np.full(FRAMES, 120.0, dtype=np.float32)
        zero = np.zeros(FRAMES, dtype=np.float32)
        frames = ExcitationFrames(f0, zero, zero + 70.0, zero, zero, zero)
        sources = [excitation(free_phase(f0), 0, frames, 0, seed=seed) for seed in range(len(audio))]
        log_f0 = scaled_log_f0(torch.from_numpy(f0)).expand(len(audio), -1)
        latents = torch.cat([learned, explicit], -1)
        made = codec.decoder(latents, log_f0, torch.from_numpy(np.stack(sources)))
    error_db = (band_levels_db(made) - band_levels_db(audio)).abs().mean()
    fresh = Codec(SMALL).eval()
    with torch.no_grad():
        untouched = fresh.decoder(latents, log_f0, torch.from_numpy(np.stack(sources)))
    assert error_db < 3.5
    assert error_db < 0.3 * (band_levels_db(untouched) - band_levels_db(audio)).abs().mean()


def test_a_codec_without_linear_paths_is_refused() -> None:
    audio = coloured_noises(1)
    with pytest.raises(ValueError, match="no linear paths"):
        start_from_spectra(Codec(CodecConfig(encoder_skip=False)), audio, features_of(audio))
