"""Codec latents as an audio encoder hears them, without making a waveform.

The codec's decoder says analytically what will sound: |H_pulse|^2 times the power spectrum of the pulse train, plus
|H_noise|^2 times what the glottal cycle's gate adds. A train of unit power seen through a window has the spectrum
1 + 2 sum_m r(m T0) cos(2 pi f m T0), r the window's normalised autocorrelation and T0 the period (Poisson summation):
flat where periods are longer than the window, harmonics where they are shorter. All is differentiable in the latents.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from synth.codec.excitation import excitation, free_phase
from synth.codec.layout import EXPLICIT
from synth.codec.model import FILTER_BINS, Codec, scaled_log_f0
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.ssl.encoder import AudioEncoder
from synth.ssl.log_mel import N_FFT, LogMel
from synth.train.codec import excitation_frames

_LOWEST_HZ, _HIGHEST_HZ = 15.0, 2_200.0
_STEPS_PER_OCTAVE = 120
_DISTURBANCE = 0.5  # of the latents' spread, where encoders are made to pull alike


def comb_table() -> Tensor:
    """Power spectra of unit pulse trains through the analysis window, a row per tenth of a semitone from 15 Hz up.

    -> [n_pitches, N_FFT // 2 + 1], mean about 1 in every row.
    """
    n_rows = int(_STEPS_PER_OCTAVE * math.log2(_HIGHEST_HZ / _LOWEST_HZ)) + 2
    f0_hz = _LOWEST_HZ * 2.0 ** (torch.arange(n_rows) / _STEPS_PER_OCTAVE)
    window = torch.hann_window(N_FFT)
    spectrum = torch.fft.rfft(window, n=2 * N_FFT).abs().square()
    correlation = torch.fft.irfft(spectrum)[:N_FFT]
    correlation = torch.cat([correlation / correlation[0], torch.zeros(1)])
    bins_hz = torch.arange(N_FFT // 2 + 1) * (SAMPLE_RATE_HZ / N_FFT)
    table = torch.ones(n_rows, N_FFT // 2 + 1)
    for m in range(1, int(N_FFT * _HIGHEST_HZ / SAMPLE_RATE_HZ) + 1):
        lag = (m * SAMPLE_RATE_HZ / f0_hz).clamp(max=N_FFT)
        low = lag.floor().long().clamp(max=N_FFT - 1)
        height = correlation[low] + (lag - low) * (correlation[low + 1] - correlation[low])
        table += 2.0 * height[:, None] * torch.cos(2.0 * math.pi * m * bins_hz / f0_hz[:, None])
    return table.clamp(min=0.0)


class LatentSound(nn.Module):
    """A frozen codec's decoder and an audio encoder: how far apart two passages of latents sound to that encoder.

    mean, std   what scales the codec's latents to unit variance, [latent_dim] each; latents here are scaled ones
    """

    def __init__(self, codec: Codec, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        if N_FFT // 2 + 1 != FILTER_BINS:
            raise ValueError("the decoder's filters and the log-mel spectrum have different bins")
        self.decoder = codec.decoder.eval().requires_grad_(False)
        self.log_mel = LogMel()
        self.mean: Tensor
        self.std: Tensor
        self.comb: Tensor
        self.register_buffer("mean", mean.float(), persistent=False)
        self.register_buffer("std", std.float(), persistent=False)
        self.register_buffer("comb", comb_table(), persistent=False)

    def mel(self, latents: Tensor, f0_hz: Tensor) -> Tensor:
        """latents [B, T, latent_dim], f0_hz [B, T] -> log-mel [B, T, N_BANDS] as synth.ssl.log_mel would measure it."""
        gains, gates = self.decoder.controls(latents * self.std + self.mean, scaled_log_f0(f0_hz))
        power = torch.exp(2.0 * gains.float())
        pulses, noise = power.unbind(1)
        if gates is not None:  # noise times 1 + g cos(phase): its mean power
            noise = noise * (1.0 + 0.5 * gates.square())[..., None]
        pulses, noise = (part.unflatten(1, (f0_hz.shape[1], -1)).mean(2) for part in (pulses, noise))
        row = torch.log2(f0_hz.clamp(_LOWEST_HZ, _HIGHEST_HZ) / _LOWEST_HZ) * _STEPS_PER_OCTAVE
        return self.log_mel.of_power(pulses * self.comb[row.round().long()] + noise)

    def audio(self, latents: Tensor, f0_hz: Tensor, seed: int = 0) -> Tensor:
        """[B, T, latent_dim] -> [B, T * HOP_SAMPLES], for encoders of waveforms. The excitation is a constant here:
        gradients reach the latents through the filters only."""
        raw = latents * self.std + self.mean
        explicit = raw[..., -len(EXPLICIT) :].detach().cpu().numpy()
        pitch = f0_hz.detach().cpu().numpy().astype(np.float32)
        made = []
        for index in range(len(pitch)):
            physical = {c.name: c.expand(explicit[index, :, row]) for row, c in enumerate(EXPLICIT)}
            frames = excitation_frames(pitch[index], physical)
            made.append(excitation(free_phase(pitch[index]), 0, frames, 0, seed=seed))
        source = torch.from_numpy(np.stack(made)).to(latents.device)
        return self.decoder(raw, scaled_log_f0(f0_hz), source)

    def embed(self, encoder: AudioEncoder, latents: Tensor, f0_hz: Tensor) -> Tensor:
        """What `encoder` makes of the latents -> [B, T', D]."""
        if encoder.hears_mel:
            return encoder.embed_mel(self.mel(latents, f0_hz))
        return encoder.embed(self.audio(latents, f0_hz))

    def discrepancy(self, encoder: AudioEncoder, predicted: Tensor, target: Tensor, f0_hz: Tensor) -> Tensor:
        """1 - cosine of the two passages' embeddings, token by token, averaged over time -> [B], 0..2.

        Embeddings are centred by the target's own mean over batch and time, so that what all voices share says
        nothing. No gradient reaches `target`.
        """
        with torch.no_grad():
            wanted = self.embed(encoder, target, f0_hz)
        return embedding_distance(self.embed(encoder, predicted, f0_hz), wanted)


def embedding_distance(made: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine after centring by the mean of `wanted` over windows and time: [..., B, T, D] twice -> [..., B]."""
    centre = wanted.mean((-3, -2), keepdim=True)
    return (1.0 - nn.functional.cosine_similarity(made - centre, wanted - centre, dim=-1)).mean(-1)


def guidance_scale(sound: LatentSound, encoder: AudioEncoder, target: Tensor, f0_hz: Tensor) -> float:
    """What the discrepancy is multiplied by, so that a weight means the same whatever the encoder.

    Passages [B, T, latent_dim] are disturbed by half their spread; the scale times the gradient of the discrepancy
    there is as large (RMS) as the gradient of the mean squared error. 0 where the encoder hears no difference.
    """
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0)).to(target)
    made = (target + _DISTURBANCE * noise).detach().requires_grad_(True)
    with torch.enable_grad():
        (pull,) = torch.autograd.grad(sound.discrepancy(encoder, made, target, f0_hz).mean(), made)
    error = 2.0 * _DISTURBANCE * noise / noise.numel()
    heard = float(pull.square().mean().sqrt())
    return float(error.square().mean().sqrt()) / heard if heard > 0.0 else 0.0
