"""The codec: log-mel encoder, and a source-filter decoder in the STFT domain.

The decoder never sees phase or pitch periods: from latents at 100 Hz it predicts, 200 times a second, a minimum-phase
filter for the pulses and a zero-phase filter for the noise; time-varying filtering is done by 480-sample Hann windows
(exact overlap-add) and 1024-point transforms. Pitch is whatever the excitation says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from synth.codec.blocks import ConvNeXtBlock
from synth.codec.layout import N_EXPLICIT
from synth.dsp.mel import slaney_filterbank
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ

SUBFRAMES = 2
SUB_HOP = HOP_SAMPLES // SUBFRAMES
FILTER_WINDOW = 2 * SUB_HOP
FILTER_FFT = 1024
FILTER_BINS = FILTER_FFT // 2 + 1
ENCODER_FFT = 1024
ENCODER_MEL_BANDS = 80
ENCODER_FEATURES = 5  # log F0, voicing, HNR, loudness, roughness depth, all scaled to about unit range
LOG_FLOOR = 1e-5


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Everything needed to build the codec; stored with its weights."""

    learned_dim: int = 48
    encoder_dim: int = 256
    encoder_blocks: int = 4
    decoder_dim: int = 256
    decoder_blocks: int = 5
    decoder_future: int = 2
    n_bands: int = 128
    posterior_std: float = 0.15

    @property
    def latent_dim(self) -> int:
        """Channels of a latent: the encoder's, then the explicit ones."""
        return self.learned_dim + N_EXPLICIT

    def as_dict(self) -> dict[str, int | float]:
        """Plain values for metadata."""
        return asdict(self)


def band_basis(n_bands: int) -> Tensor:
    """Linear interpolation from `n_bands` control points to FILTER_BINS -> [n_bands, FILTER_BINS].

    Points are linear below about 2 kHz (formants) and logarithmic above.
    """
    top = FILTER_BINS - 1
    linear = n_bands // 3
    knee = linear * 1.0
    points = torch.cat([torch.arange(linear) * 1.0, torch.logspace(0, 1, n_bands - linear, base=top / knee) * knee])
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
    cepstrum = torch.fft.irfft(log_magnitude, n=FILTER_FFT)
    half = FILTER_FFT // 2
    # The folded cepstrum is causal: keep 0 and the Nyquist quefrency, double what lies between, drop the rest.
    folded = torch.cat([cepstrum[..., :1], 2 * cepstrum[..., 1:half], cepstrum[..., half : half + 1]], dim=-1)
    spectrum = torch.fft.rfft(folded, n=FILTER_FFT)
    return torch.polar(torch.exp(log_magnitude), spectrum.imag)


class Encoder(nn.Module):
    """Audio and measured features to learned latents."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        bank = slaney_filterbank(ENCODER_MEL_BANDS, ENCODER_FFT, SAMPLE_RATE_HZ, 20.0, 24_000.0)
        self.mel: Tensor
        self.window: Tensor
        self.register_buffer("mel", torch.from_numpy(bank), persistent=False)
        self.register_buffer("window", torch.hann_window(ENCODER_FFT), persistent=False)
        self.enter = nn.Linear(SUBFRAMES * ENCODER_MEL_BANDS + ENCODER_FEATURES, config.encoder_dim)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.encoder_dim, 3, 3, 3) for _ in range(config.encoder_blocks))
        self.leave = nn.Linear(config.encoder_dim, config.learned_dim)

    def log_mel(self, audio: Tensor) -> Tensor:
        """[B, n_frames * HOP_SAMPLES] -> [B, n_frames, SUBFRAMES * ENCODER_MEL_BANDS], about -4..4."""
        pad = (ENCODER_FFT - SUB_HOP) // 2
        frames = nn.functional.pad(audio, (pad, pad)).unfold(-1, ENCODER_FFT, SUB_HOP)
        spectrum = torch.fft.rfft(frames * self.window).abs() / self.window.square().sum().sqrt()
        with torch.autocast(audio.device.type, enabled=False):
            mel = torch.log(spectrum @ self.mel + LOG_FLOOR)
        return ((mel + 7.0) / 2.0).unflatten(1, (-1, SUBFRAMES)).flatten(2)

    def forward(self, audio: Tensor, features: Tensor) -> Tensor:
        """audio [B, n_frames * HOP_SAMPLES], features [B, n_frames, ENCODER_FEATURES] -> [B, n_frames, learned]."""
        x = self.enter(torch.cat([self.log_mel(audio), features], dim=-1))
        for block in self.blocks:
            x = block(x)
        return self.leave(x)


class Decoder(nn.Module):
    """Latents and excitation to audio."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        n_inputs = config.latent_dim + 1
        self.enter = nn.Linear(n_inputs, config.decoder_dim)
        # Only the first block looks ahead; the others are causal, so that streaming needs 20 ms and no more.
        futures = [config.decoder_future] + [0] * (config.decoder_blocks - 1)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.decoder_dim, 4, 2, future) for future in futures)
        self.norm = nn.LayerNorm(config.decoder_dim)
        self.leave = nn.Linear(config.decoder_dim, SUBFRAMES * 2 * config.n_bands)
        self.basis: Tensor
        self.window: Tensor
        self.register_buffer("basis", band_basis(config.n_bands), persistent=False)
        self.register_buffer("window", torch.hann_window(FILTER_WINDOW), persistent=False)
        nn.init.normal_(self.leave.weight, std=0.01)
        nn.init.constant_(self.leave.bias, -1.0)

    def filters(self, latents: Tensor, log_f0: Tensor) -> Tensor:
        """latents [B, T, learned + explicit], log_f0 [B, T] about unit range -> log gains [B, 2, 2T, FILTER_BINS].

        Index 0 filters the pulses, 1 the noise; natural log of amplitude.
        """
        x = self.enter(torch.cat([latents, log_f0.unsqueeze(-1)], dim=-1))
        for block in self.blocks:
            x = block(x)
        bands = self.leave(self.norm(x)).float().unflatten(-1, (SUBFRAMES, 2, self.config.n_bands))
        bands = bands.permute(0, 3, 1, 2, 4).flatten(2, 3)
        with torch.autocast(bands.device.type, enabled=False):
            return ((bands * 4.0).clamp(-16.0, 6.0)) @ self.basis

    def synthesise(self, log_gains: Tensor, excitation: Tensor) -> Tensor:
        """log_gains [B, 2, S, FILTER_BINS], excitation [B, 2, S * SUB_HOP] -> audio [B, S * SUB_HOP]."""
        n_samples = excitation.shape[-1]
        pad = SUB_HOP // 2
        frames = nn.functional.pad(excitation, (pad, pad)).unfold(-1, FILTER_WINDOW, SUB_HOP) * self.window
        spectra = torch.fft.rfft(frames, n=FILTER_FFT)
        pulses = spectra[:, 0] * minimum_phase(log_gains[:, 0])
        # Zero phase would spread before the window's start: delay by rolling the window into the transform's middle.
        noise = spectra[:, 1] * torch.exp(log_gains[:, 1])
        shift = (FILTER_FFT - FILTER_WINDOW) // 2
        noise_frames = torch.fft.irfft(noise, n=FILTER_FFT).roll(shift, dims=-1)
        pulse_frames = torch.fft.irfft(pulses, n=FILTER_FFT)
        early = shift
        joined = nn.functional.pad(noise_frames, (0, shift)) + nn.functional.pad(pulse_frames, (early, 0))
        return _overlap_add(joined, SUB_HOP, pad + early, n_samples)

    def forward(self, latents: Tensor, log_f0: Tensor, excitation: Tensor) -> Tensor:
        """latents [B, T, C], log_f0 [B, T], excitation [B, 2, T * HOP_SAMPLES] -> audio [B, T * HOP_SAMPLES]."""
        return self.synthesise(self.filters(latents, log_f0), excitation)


def _overlap_add(frames: Tensor, hop: int, skip: int, n_samples: int) -> Tensor:
    """frames [B, S, L] placed every `hop` samples and summed -> [B, n_samples] from offset `skip`."""
    batch, n_frames, length = frames.shape
    total = (n_frames - 1) * hop + length
    columns = frames.transpose(1, 2)
    summed = nn.functional.fold(columns, (1, total), (1, length), stride=(1, hop)).view(batch, total)
    return nn.functional.pad(summed, (0, max(0, skip + n_samples - total)))[:, skip : skip + n_samples]


def scaled_log_f0(f0_hz: Tensor) -> Tensor:
    """F0 in Hz, any shape -> about unit range around 200 Hz."""
    return torch.log(f0_hz.clamp(15.0, 2500.0) / 200.0)


class Codec(nn.Module):
    """Encoder and decoder together, as they are trained."""

    def __init__(self, config: CodecConfig | None = None) -> None:
        super().__init__()
        self.config = config or CodecConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)
