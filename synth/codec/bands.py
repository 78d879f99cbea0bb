"""The decoder's filters along frequency: their control points, and the minimum phase of a magnitude."""

from __future__ import annotations

import torch
from torch import Tensor

FILTER_FFT = 1024
FILTER_BINS = FILTER_FFT // 2 + 1


def band_points(n_bands: int) -> Tensor:
    """Where the control points lie, in bins of the filters' transform -> [n_bands], from 0 to FILTER_BINS - 1.

    Points are linear below about 2 kHz (formants) and logarithmic above.
    """
    top = FILTER_BINS - 1
    linear = n_bands // 3
    knee = linear * 1.0
    return torch.cat([torch.arange(linear) * 1.0, torch.logspace(0, 1, n_bands - linear, base=top / knee) * knee])


def band_basis(n_bands: int) -> Tensor:
    """Linear interpolation from `n_bands` control points to FILTER_BINS -> [n_bands, FILTER_BINS]."""
    points = band_points(n_bands)
    bins = torch.arange(FILTER_BINS) * 1.0
    upper = torch.searchsorted(points, bins).clamp(1, n_bands - 1)
    low, high = points[upper - 1], points[upper]
    fraction = ((bins - low) / (high - low)).clamp(0, 1)
    basis = torch.zeros(n_bands, FILTER_BINS)
    index = torch.arange(FILTER_BINS)
    basis[upper - 1, index] += 1 - fraction
    basis[upper, index] += fraction
    return basis


def minimum_phase(log_magnitude: Tensor) -> Tensor:
    """Natural-log magnitudes [..., FILTER_BINS] -> complex minimum-phase response of the same magnitude.

    Folded real cepstrum (Oppenheim and Schafer, Discrete-Time Signal Processing, ch. 12).
    """
    return torch.polar(torch.exp(log_magnitude), minimum_phase_angle(log_magnitude))


def minimum_phase_angle(log_magnitude: Tensor) -> Tensor:
    """Phase of the minimum-phase response, rad, like `log_magnitude` [..., FILTER_BINS], of which it is linear."""
    cepstrum = torch.fft.irfft(log_magnitude, n=FILTER_FFT)
    half = FILTER_FFT // 2
    # The folded cepstrum is causal: keep 0 and the Nyquist quefrency, double what lies between, drop the rest.
    folded = torch.cat([cepstrum[..., :1], 2 * cepstrum[..., 1:half], cepstrum[..., half : half + 1]], dim=-1)
    return torch.fft.rfft(folded, n=FILTER_FFT).imag
