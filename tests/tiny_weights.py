"""A whole engine in a few hundred kilobytes: randomly initialised, for tests of everything but the sound."""

from __future__ import annotations

from pathlib import Path

import torch

from synth.codec.model import Codec, CodecConfig
from synth.codec.weights import save_weights
from synth.diffusion.conditioning import TIMBRE_DIM
from synth.diffusion.unet import Denoiser, DenoiserConfig
from synth.engine import CODEC_FILE, DENOISER_FILE, Engine

TINY_CODEC = CodecConfig(encoder_dim=16, encoder_blocks=1, decoder_dim=16, decoder_blocks=2, n_bands=32)
TINY_DENOISER = DenoiserConfig(
    TINY_CODEC.latent_dim, widths=(16, 16), blocks_per_level=1, middle_blocks=2, pathway_dim=8, film_dim=16, heads=2
)


def save_tiny_weights(folder: Path, *, seed: int = 0, latent_std: float = 0.3) -> Path:
    """Write codec and denoiser files that Engine.load reads -> `folder`. Modules that start at zero are stirred, so
    that conditions, latents and attention do reach the output."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codec, denoiser = Codec(TINY_CODEC), Denoiser(TINY_DENOISER)
        with torch.no_grad():
            for parameter in (*codec.decoder.parameters(), *denoiser.parameters()):
                parameter.add_(0.1 * torch.randn_like(parameter))
            codec.decoder.leave.bias.fill_(-1.0)
    save_weights(folder / CODEC_FILE, codec, "codec", {"codec": TINY_CODEC.as_dict()})
    config = {"denoiser": TINY_DENOISER.as_dict()}
    config |= {"latent_mean": [0.0] * TINY_CODEC.latent_dim, "latent_std": [latent_std] * TINY_CODEC.latent_dim}
    config |= {"timbre_mean": [0.0] * TIMBRE_DIM, "timbre_std": [1.0] * TIMBRE_DIM}
    save_weights(folder / DENOISER_FILE, denoiser, "denoiser", config)
    return folder


def tiny_engine(folder: Path, *, seed: int = 0) -> Engine:
    """An engine over tiny weights written to `folder`."""
    return Engine.load(save_tiny_weights(folder, seed=seed), device="cpu", n_threads=1)
