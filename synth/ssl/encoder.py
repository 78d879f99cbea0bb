"""The protocol of audio encoders, our own small encoder, and the trivial encoder that studies compare with.

Ours is a convolution over pairs of log-mel frames followed by a transformer, about 1.4 M parameters. It is trained to
predict what an average of its own past says of frames it cannot see (synth.train.ssl).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from synth.codec.weights import load_weights, read_config
from synth.errors import UserError
from synth.ssl.log_mel import N_BANDS, LogMel

KIND = "ssl"


class AudioEncoder(Protocol):
    """A frozen encoder. `hears_mel` tells whether embed_mel is enough; others need the audio itself."""

    hears_mel: bool

    def embed(self, audio: Tensor) -> Tensor:
        """Audio [B, n] at 48 kHz -> embeddings [B, T, D], T at the encoder's own rate; differentiable."""
        ...

    def embed_mel(self, mel: Tensor) -> Tensor:
        """Log-mel frames of synth.ssl.log_mel [B, T, N_BANDS] -> [B, T', D]. TypeError where not hears_mel."""
        ...


@dataclass(frozen=True, slots=True)
class SslConfig:
    """Everything needed to build the encoder; stored with its weights. `patch`: log-mel frames a token."""

    dim: int = 160
    layers: int = 4
    heads: int = 4
    expansion: int = 4
    patch: int = 2
    position_taps: int = 31
    seed: int = 0
    target: str = "latent"

    def as_dict(self) -> dict[str, int | str]:
        """Plain values for metadata."""
        return asdict(self)


class Block(nn.Module):
    """Pre-norm transformer block: self-attention, then two pointwise layers."""

    def __init__(self, config: SslConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(config.dim)
        self.query_key_value = nn.Linear(config.dim, 3 * config.dim)
        self.leave = nn.Linear(config.dim, config.dim)
        self.pointwise = nn.Sequential(
            nn.LayerNorm(config.dim),
            nn.Linear(config.dim, config.expansion * config.dim),
            nn.GELU(),
            nn.Linear(config.expansion * config.dim, config.dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, dim] -> [B, T, dim]."""
        parts = self.query_key_value(self.norm(x)).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2)
        query, key, value = parts.chunk(3, dim=1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.leave(mixed.transpose(1, 2).flatten(2))
        return x + self.pointwise(x)


class SslEncoder(nn.Module):
    """Log-mel frames to embeddings at 50 Hz. Position enters by a convolution, so any length will do
    (Baevski et al. 2020, section 2)."""

    hears_mel = True

    def __init__(self, config: SslConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SslConfig()
        self.log_mel = LogMel()
        self.enter = nn.Linear(config.patch * N_BANDS, config.dim)
        self.masked = nn.Parameter(0.1 * torch.randn(config.dim))
        half = config.position_taps // 2
        self.position = nn.Conv1d(config.dim, config.dim, config.position_taps, padding=half, groups=16)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def layer_outputs(self, mel: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """mel [B, T, N_BANDS], T a multiple of `patch`; mask bool [B, T / patch], true where nothing may be seen.

        -> the blocks' outputs [B, T / patch, dim], first block first.
        """
        x = self.enter(mel.unflatten(1, (-1, self.config.patch)).flatten(2))
        if mask is not None:
            x = torch.where(mask[..., None], self.masked.to(x.dtype), x)
        x = x + nn.functional.gelu(self.position(x.transpose(1, 2)).transpose(1, 2))
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def embed_mel(self, mel: Tensor) -> Tensor:
        """[B, T, N_BANDS] -> [B, T // patch, dim]: the mean of the blocks' normalised outputs."""
        whole = mel.shape[1] // self.config.patch * self.config.patch
        return mean_of_layers(self.layer_outputs(mel[:, :whole]))

    def embed(self, audio: Tensor) -> Tensor:
        """[B, n] at 48 kHz -> [B, n // 960, dim]."""
        return self.embed_mel(self.log_mel(audio))

    @classmethod
    def load(cls, path: Path) -> SslEncoder:
        """Frozen, from the file that training wrote. UserError when missing, damaged, foreign or newer."""
        config = read_config(path, KIND)
        try:
            encoder = cls(SslConfig(**config["encoder"]))
        except (KeyError, TypeError) as fault:
            raise UserError(
                f"{path.name} lacks a readable configuration: {fault}.", remedy="Train it again."
            ) from fault
        load_weights(path, encoder)
        return encoder.eval().requires_grad_(False)


def mean_of_layers(outputs: list[Tensor]) -> Tensor:
    """Each layer normalised over its channels, then averaged -> [B, T, dim]."""
    return torch.stack([nn.functional.layer_norm(x, x.shape[-1:]) for x in outputs]).mean(0)


class LogMelEncoder:
    """The log-mel spectrum as its own embedding: what an encoder that learnt nothing would say."""

    hears_mel = True

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._log_mel = LogMel().to(device)

    def embed_mel(self, mel: Tensor) -> Tensor:
        """[B, T, N_BANDS] -> the same."""
        return mel

    def embed(self, audio: Tensor) -> Tensor:
        """[B, n] at 48 kHz -> [B, n // HOP_SAMPLES, N_BANDS]."""
        return self._log_mel(audio)


def random_encoder(seed: int, like: SslConfig | None = None) -> SslEncoder:
    """Ours, of the size of `like`, without any training: random features, for studies of how much training matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = replace(like or SslConfig(), seed=seed, target="none")
        return SslEncoder(config).eval().requires_grad_(False)
