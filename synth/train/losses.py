"""What the codec is trained to match: spectra at several resolutions, and the measured harmonics-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synth.codec.model import FILTER_BINS
from synth.spec.audio import SAMPLE_RATE_HZ

_FFT_SIZES = (2048, 1024, 512, 256)
_FLOOR = 2e-5
# Log spectra of two realisations of one noise differ, and the best guess in the mean absolute sense is their median,
# 1.6 dB under their power. Powers pooled over a patch hardly scatter, so comparing them keeps noise at its level.
_POOLED_SIZE = 1024
_POOL_BINS, _POOL_FRAMES = 8, 8
_POOLED_WEIGHT = 0.5


def _magnitude(audio: Tensor, n_fft: int, window: Tensor) -> Tensor:
    spectrum = torch.stft(audio, n_fft, n_fft // 4, window=window, center=False, return_complex=True)
    # A square root of an exact zero has an infinite slope.
    return (spectrum.real.square() + spectrum.imag.square() + 1e-14).sqrt() / window.square().sum().sqrt()


def _pooled_difference(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of half the natural log of powers pooled over patches; magnitudes [B, bins, frames]."""
    pool = nn.functional.avg_pool2d
    patch = (_POOL_BINS, _POOL_FRAMES)
    a, b = pool(made.square()[:, None, 1:], patch), pool(wanted.square()[:, None, 1:], patch)
    return 0.5 * ((a + _FLOOR**2).log() - (b + _FLOOR**2).log()).abs().mean()


class MultiResolutionSpectralLoss(nn.Module):
    """Mean absolute log-magnitude difference plus spectral convergence (Yamamoto et al. 2020), averaged over sizes."""

    def __init__(self) -> None:
        super().__init__()
        for n_fft in _FFT_SIZES:
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        """made, wanted [B, n_samples] -> scalar."""
        total = made.new_zeros(())
        for n_fft in _FFT_SIZES:
            window = self.get_buffer(f"window_{n_fft}")
            a, b = _magnitude(made, n_fft, window), _magnitude(wanted, n_fft, window)
            log_difference = ((a + _FLOOR).log() - (b + _FLOOR).log()).abs().mean()
            convergence = (a - b).square().sum((1, 2)).sqrt() / (b.square().sum((1, 2)).sqrt() + 0.05)
            total = total + log_difference + 0.5 * convergence.mean()
            if n_fft == _POOLED_SIZE:
                total = total + _POOLED_WEIGHT * len(_FFT_SIZES) * _pooled_difference(a, b)
        return total / len(_FFT_SIZES)


def filter_hnr_db(log_gains: Tensor) -> Tensor:
    """Harmonic-to-noise ratio that the two filters will give, as the cycle-correlation estimator sees it.

    log_gains [B, 2, S, FILTER_BINS] -> dB [B, S]: energies up to 8 kHz behind a first-order pre-emphasis.
    """
    bin_hz = SAMPLE_RATE_HZ / 2 / (FILTER_BINS - 1)
    used = int(8000 / bin_hz)
    w = 2 * torch.pi * torch.arange(used, device=log_gains.device) * bin_hz / 16_000
    weight = 1 + 0.97**2 - 2 * 0.97 * torch.cos(w)
    energy = (torch.exp(2 * log_gains[..., :used]) * weight).sum(-1) + 1e-12
    return 10 * (energy[:, 0].log10() - energy[:, 1].log10())


def hnr_loss(log_gains: Tensor, wanted_db: Tensor, mask: Tensor) -> Tensor:
    """Absolute error in tens of dB where `mask`; wanted_db, mask [B, T] at 100 Hz, clamped to -10..30 dB."""
    made = filter_hnr_db(log_gains).clamp(-14, 34)
    wanted = wanted_db.clamp(-12, 30).repeat_interleave(2, dim=1)
    weight = mask.repeat_interleave(2, dim=1)
    return ((made - wanted).abs() / 10 * weight).sum() / weight.sum().clamp(min=1)
