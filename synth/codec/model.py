"""The codec: log-mel encoder, and a source-filter decoder in the STFT domain.

The decoder never sees phase or pitch periods: from latents at 100 Hz it predicts, 200 times a second, a minimum-phase
filter for the pulses, a zero-phase filter for the noise and how deeply the glottal cycle gates that noise;
time-varying filtering is done by 480-sample Hann windows (exact overlap-add) and 1024-point transforms. Pitch is
whatever the excitation says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from synth.codec.bands import FILTER_BINS as FILTER_BINS
from synth.codec.bands import FILTER_FFT, band_basis, minimum_phase
from synth.codec.blocks import ConvNeXtBlock
from synth.codec.layout import N_EXPLICIT
from synth.dsp.mel import slaney_filterbank
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ

SUBFRAMES = 2
SUB_HOP = HOP_SAMPLES // SUBFRAMES
FILTER_WINDOW = 2 * SUB_HOP
ENCODER_FEATURES = 5  # log F0, voicing, HNR, loudness, roughness depth, all scaled to about unit range
LOG_FLOOR = 1e-5
GATE_LIMIT = 1.5
LOG_GAIN_SCALE, LOG_GAIN_RANGE = 4.0, (-16.0, 6.0)

# What weights stored before a field existed were trained with.
_WHEN_ABSENT: Mapping[str, Any] = {
    "encoder_views": [[1024, 240, 80]], "encoder_skip": False, "decoder_expansion": 4, "decoder_skip": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Everything needed to build the codec; stored with its weights.

    encoder_views   log-mel spectra the encoder sees, each (transform size, hop, bands); hops divide HOP_SAMPLES
    encoder_skip    the log-mel spectra also reach the latents linearly
    decoder_future  frames of look-ahead; a cell also needs the filters of half a frame after it, so one less than
                    DECODER_FUTURE_FRAMES for cells to join exactly
    decoder_skip    the latents also reach the filters linearly, and the glottal cycle may gate the noise
    posterior_std   noise added to learned latents in training, which bounds what they carry
    """

    learned_dim: int = 58
    encoder_dim: int = 320
    encoder_blocks: int = 5
    encoder_views: tuple[tuple[int, int, int], ...] = ((2048, 480, 128), (1024, 240, 80), (256, 120, 20))
    encoder_skip: bool = True
    decoder_dim: int = 256
    decoder_blocks: int = 5
    decoder_future: int = 1
    decoder_expansion: int = 3
    decoder_skip: bool = True
    n_bands: int = 128
    posterior_std: float = 0.1

    @property
    def latent_dim(self) -> int:
        """Channels of a latent: the encoder's, then the explicit ones."""
        return self.learned_dim + N_EXPLICIT

    def as_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return asdict(self)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> CodecConfig:
        """The inverse of `as_dict`, also for weights older than some field. UserError for fields nobody knows."""
        values = {**_WHEN_ABSENT, **stored}
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise UserError(f"Codec weights have unknown settings: {', '.join(sorted(unknown))}.", remedy="Restore it.")
        values["encoder_views"] = tuple(tuple(int(n) for n in view) for view in values["encoder_views"])
        return cls(**values)


class Encoder(nn.Module):
    """Audio and measured features to learned latents."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.views = config.encoder_views
        n_inputs = ENCODER_FEATURES
        for index, (n_fft, hop, n_bands) in enumerate(self.views):
            bank = slaney_filterbank(n_bands, n_fft, SAMPLE_RATE_HZ, 20.0, 24_000.0)
            self.register_buffer(f"mel_{index}", torch.from_numpy(bank), persistent=False)
            self.register_buffer(f"window_{index}", torch.hann_window(n_fft), persistent=False)
            n_inputs += n_bands * (HOP_SAMPLES // hop)
        self.enter = nn.Linear(n_inputs, config.encoder_dim)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.encoder_dim, 3, 3, 3) for _ in range(config.encoder_blocks))
        self.leave = nn.Linear(config.encoder_dim, config.learned_dim)
        self.skip = nn.Linear(n_inputs, config.learned_dim) if config.encoder_skip else None

    def log_mel(self, audio: Tensor, index: int) -> Tensor:
        """[B, n_frames * HOP_SAMPLES] -> one view [B, n_frames, bands of all its sub-frames], about -4..4."""
        n_fft, hop, _ = self.views[index]
        window = self.get_buffer(f"window_{index}")
        pad = (n_fft - hop) // 2
        with torch.autocast(audio.device.type, enabled=False):
            frames = nn.functional.pad(audio, (pad, pad)).unfold(-1, n_fft, hop)
            spectrum = torch.fft.rfft(frames * window).abs() / window.square().sum().sqrt()
            mel = torch.log(spectrum @ self.get_buffer(f"mel_{index}") + LOG_FLOOR)
        return ((mel + 7.0) / 2.0).unflatten(1, (-1, HOP_SAMPLES // hop)).flatten(2)

    def forward(self, audio: Tensor, features: Tensor) -> Tensor:
        """audio [B, n_frames * HOP_SAMPLES], features [B, n_frames, ENCODER_FEATURES] -> [B, n_frames, learned]."""
        inputs = self.inputs(audio, features)
        x = self.enter(inputs)
        for block in self.blocks:
            x = block(x)
        learned = self.leave(x)
        return learned if self.skip is None else learned + self.skip(inputs)

    def inputs(self, audio: Tensor, features: Tensor) -> Tensor:
        """Every view, one after the other, then the features -> [B, n_frames, n_inputs]."""
        views = [self.log_mel(audio, index) for index in range(len(self.views))]
        return torch.cat([*views, features], dim=-1)


class Decoder(nn.Module):
    """Latents and excitation to audio."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        n_inputs = config.latent_dim + 1
        self.enter = nn.Linear(n_inputs, config.decoder_dim)
        # Only the first block looks ahead; the others are causal, so that streaming needs little.
        futures = [config.decoder_future] + [0] * (config.decoder_blocks - 1)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.decoder_dim, config.decoder_expansion, 2, future) for future in futures
        )
        self.norm = nn.LayerNorm(config.decoder_dim)
        self.n_outputs = SUBFRAMES * 2 * config.n_bands
        n_gates = SUBFRAMES if config.decoder_skip else 0
        self.leave = nn.Linear(config.decoder_dim, self.n_outputs + n_gates)
        self.skip = nn.Linear(n_inputs, self.n_outputs, bias=False) if config.decoder_skip else None
        self.basis: Tensor
        self.window: Tensor
        self.register_buffer("basis", band_basis(config.n_bands), persistent=False)
        self.register_buffer("window", torch.hann_window(FILTER_WINDOW), persistent=False)
        nn.init.normal_(self.leave.weight, std=0.01)
        nn.init.constant_(self.leave.bias, -1.0)
        with torch.no_grad():
            self.leave.bias[self.n_outputs :] = 0.0
        if self.skip is not None:
            nn.init.normal_(self.skip.weight, std=0.01)

    def filters(self, latents: Tensor, log_f0: Tensor) -> Tensor:
        """The log gains that `controls` gives, alone -> [B, 2, 2T, FILTER_BINS]."""
        return self.controls(latents, log_f0)[0]

    def controls(self, latents: Tensor, log_f0: Tensor) -> tuple[Tensor, Tensor | None]:
        """latents [B, T, learned + explicit], log_f0 [B, T] about unit range -> (log gains, gates).

        log gains [B, 2, 2T, FILTER_BINS]: index 0 filters the pulses, 1 the noise; natural log of amplitude
        gates [B, 2T] -1.5..1.5: how much of the noise comes and goes with the glottal cycle; None: none of it
        """
        inputs = torch.cat([latents, log_f0.unsqueeze(-1)], dim=-1)
        x = self.enter(inputs)
        for block in self.blocks:
            x = block(x)
        return self.read_controls(x, inputs)

    def read_controls(self, hidden: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """What `controls` gives, from the last block's output [B, T, decoder_dim] and the network's inputs."""
        # Log gains are amplified below: half precision would be heard here.
        with torch.autocast(inputs.device.type, enabled=False):
            out, gates = self.leave(self.norm(hidden.float())), None
            if self.skip is not None:
                gates = GATE_LIMIT * torch.tanh(out[..., self.n_outputs :]).flatten(1)
                out = out[..., : self.n_outputs] + self.skip(inputs.float())
            bands = out.unflatten(-1, (SUBFRAMES, 2, self.config.n_bands)).permute(0, 3, 1, 2, 4).flatten(2, 3)
            return (bands * LOG_GAIN_SCALE).clamp(*LOG_GAIN_RANGE) @ self.basis, gates

    def synthesise(self, log_gains: Tensor, excitation: Tensor, gates: Tensor | None = None) -> Tensor:
        """log_gains [B, 2, S, FILTER_BINS], excitation [B, 3, S * SUB_HOP], gates [B, S] -> audio [B, S * SUB_HOP].

        excitation   pulses, noise, and the noise times the cosine of the glottal phase; see synth.codec.excitation
        """
        n_samples = excitation.shape[-1]
        pad = SUB_HOP // 2
        frames = nn.functional.pad(excitation, (pad, pad)).unfold(-1, FILTER_WINDOW, SUB_HOP) * self.window
        breath = frames[:, 1] if gates is None else torch.addcmul(frames[:, 1], frames[:, 2], gates.unsqueeze(-1))
        pulses = torch.fft.rfft(frames[:, 0], n=FILTER_FFT) * minimum_phase(log_gains[:, 0])
        # Zero phase would spread before the window's start: delay by rolling the window into the transform's middle.
        noise = torch.fft.rfft(breath, n=FILTER_FFT) * torch.exp(log_gains[:, 1])
        shift = (FILTER_FFT - FILTER_WINDOW) // 2
        noise_frames = torch.fft.irfft(noise, n=FILTER_FFT).roll(shift, dims=-1)
        pulse_frames = torch.fft.irfft(pulses, n=FILTER_FFT)
        early = shift
        joined = nn.functional.pad(noise_frames, (0, shift)) + nn.functional.pad(pulse_frames, (early, 0))
        return _overlap_add(joined, SUB_HOP, pad + early, n_samples)

    def forward(self, latents: Tensor, log_f0: Tensor, excitation: Tensor) -> Tensor:
        """latents [B, T, C], log_f0 [B, T], excitation [B, 3, T * HOP_SAMPLES] -> audio [B, T * HOP_SAMPLES]."""
        log_gains, gates = self.controls(latents, log_f0)
        return self.synthesise(log_gains, excitation, gates)


def _overlap_add(frames: Tensor, hop: int, skip: int, n_samples: int) -> Tensor:
    """frames [B, S, L] placed every `hop` samples and summed -> [B, n_samples] from offset `skip`."""
    length = frames.shape[-1]
    n_hops = -(-length // hop)
    pieces = nn.functional.pad(frames, (0, n_hops * hop - length)).unflatten(-1, (n_hops, hop))
    # Each frame's k-th hop lands k hops later: a few large additions instead of many small ones.
    landed = [nn.functional.pad(pieces[:, :, k], (0, 0, k, n_hops - 1 - k)) for k in range(n_hops)]
    summed = torch.stack(landed).sum(0).flatten(1)
    return nn.functional.pad(summed, (0, max(0, skip + n_samples - summed.shape[1])))[:, skip : skip + n_samples]


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
