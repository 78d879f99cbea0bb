"""What each latent channel is.

The first channels, as many as CodecConfig.learned_dim says, are the encoder's. The others are explicit parameters of
the excitation that the sampler draws like any latent: a frame-rate filter cannot make 30-150 Hz modulation or
sub-harmonics, so the pulses must.
Explicit channels are stored compressed (roughly Gaussian) and expanded to physical units for the excitation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ExplicitChannel:
    """One excitation parameter: log-compressed as log(value + offset)."""

    name: str
    offset: float
    minimum: float
    maximum: float

    def compress(self, physical: Float32Array) -> Float32Array:
        """Physical values (any shape) to latent units; NaN becomes the channel's minimum."""
        clean = np.nan_to_num(physical, nan=self.minimum).clip(self.minimum, self.maximum)
        return np.log(clean + self.offset).astype(np.float32)

    def expand(self, latent: Float32Array) -> Float32Array:
        """Latent units to physical values, clamped to the channel's range."""
        return np.clip(np.exp(np.minimum(latent, 12.0)) - self.offset, self.minimum, self.maximum).astype(np.float32)


EXPLICIT: tuple[ExplicitChannel, ...] = (
    ExplicitChannel("roughness_depth", 0.03, 0.0, 1.2),  # amplitude modulation depth of the false folds
    ExplicitChannel("roughness_rate_hz", 0.0, 25.0, 160.0),  # where that modulation lies
    ExplicitChannel("subharmonic_depth", 0.03, 0.0, 0.95),  # every second pulse has amplitude 1 - depth
    ExplicitChannel("jitter_ratio", 0.004, 0.0, 0.5),  # rms relative difference of successive periods
    ExplicitChannel("drift_cents", 3.0, 0.0, 80.0),  # rms slow deviation of F0 from the asked pitch
)
EXPLICIT_NAMES = tuple(channel.name for channel in EXPLICIT)
N_EXPLICIT = len(EXPLICIT)


def compress_explicit(physical: Mapping[str, Float32Array]) -> Float32Array:
    """Physical parameters by name, each [..., n_frames] -> [..., len(EXPLICIT), n_frames] in latent units."""
    return np.stack([channel.compress(np.asarray(physical[channel.name])) for channel in EXPLICIT], axis=-2)


def expand_explicit(latents: Float32Array) -> dict[str, Float32Array]:
    """The explicit rows [len(EXPLICIT), n_frames] in latent units -> physical parameters by name, each [n_frames]."""
    return {channel.name: channel.expand(latents[i]) for i, channel in enumerate(EXPLICIT)}
