"""Log-mel frames at 100 Hz as self-supervised encoders see them: of audio, or of power spectra known otherwise.

Both ways are differentiable and in the same units, so that a decoder's filters can be heard without making a waveform.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synth.dsp.mel import mel_filterbank
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ

N_BANDS = 64
N_FFT = 1_024
LOW_HZ, HIGH_HZ = 40.0, 20_000.0
_FLOOR = 1e-8  # white noise at -80 dB re full scale
_MIDDLE, _SPREAD = -11.0, 4.0
NEPERS_PER_UNIT = _SPREAD  # one unit of the normalised log-mel, as natural log of power
SILENCE = (-18.420681 - _MIDDLE) / _SPREAD  # of a frame at the floor


class LogMel(nn.Module):
    """Normalised log-mel spectra: natural log of mean power a band, shifted and scaled to about -2..2."""

    def __init__(self) -> None:
        super().__init__()
        bank = torch.from_numpy(mel_filterbank(N_BANDS, N_FFT, SAMPLE_RATE_HZ, LOW_HZ, HIGH_HZ))
        self.bank: Tensor
        self.window: Tensor
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def of_power(self, power: Tensor) -> Tensor:
        """Power density [..., N_FFT // 2 + 1], white noise of variance 1 being 1 everywhere -> [..., N_BANDS]."""
        return (torch.log(power @ self.bank + _FLOOR) - _MIDDLE) / _SPREAD

    def forward(self, audio: Tensor) -> Tensor:
        """Audio [B, n] at 48 kHz -> [B, n // HOP_SAMPLES, N_BANDS]; frame i is centred on its own samples."""
        pad = (N_FFT - HOP_SAMPLES) // 2
        frames = nn.functional.pad(audio, (pad, pad)).unfold(-1, N_FFT, HOP_SAMPLES)
        power = torch.fft.rfft(frames * self.window).abs().square() / self.window.square().sum()
        return self.of_power(power)
