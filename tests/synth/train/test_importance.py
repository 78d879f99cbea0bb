"""Channels count in a loss by what the decoder makes of them."""

from __future__ import annotations

import numpy as np
import torch

from synth.codec.layout import EXPLICIT
from synth.codec.model import Codec
from synth.train.importance import channel_deviation_db, channel_weights
from tests.tiny_weights import TINY_CODEC


def _codec() -> Codec:
    torch.manual_seed(0)
    return Codec(TINY_CODEC).eval().requires_grad_(False)


def _voice(codec: Codec, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randn((n, 20, codec.config.latent_dim), generator=random), torch.full((n, 20), 180.0)


def test_a_channel_that_moves_filters_twice_as_far_counts_twice() -> None:
    codec = _codec()
    latents, f0_hz = _voice(codec)
    std = np.ones(codec.config.latent_dim, dtype=np.float32)
    plain = channel_deviation_db(codec, latents, f0_hz, std)
    assert plain.shape == (codec.config.learned_dim,)
    assert (plain > 0).all()
    wide = std.copy()
    wide[3] = 2.0
    twice = channel_deviation_db(codec, latents, f0_hz, wide)
    np.testing.assert_allclose(twice[3] / plain[3], 2.0, rtol=0.1)
    np.testing.assert_allclose(np.delete(twice, 3), np.delete(plain, 3))


def test_a_channel_nobody_hears_counts_nothing() -> None:
    codec = _codec()
    with torch.no_grad():
        codec.decoder.enter.weight[:, 2] = 0.0
        if codec.decoder.skip is not None:
            codec.decoder.skip.weight[:, 2] = 0.0
    weights = channel_weights(codec, *_voice(codec), np.ones(codec.config.latent_dim, dtype=np.float32))
    assert weights[2] == 0.0
    assert abs(float(weights.mean()) - 1.0) < 1e-5
    explicit = weights[-len(EXPLICIT) :]
    np.testing.assert_allclose(explicit, 2.0 * weights[: -len(EXPLICIT)].mean(), rtol=1e-4)
