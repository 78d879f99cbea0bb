"""Cells decoded one by one are the passage decoded in one go."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.codec.decoding import DECODE_FRAMES, decode_cell, decode_cells
from synth.codec.model import Codec, CodecConfig
from synth.errors import UserError
from synth.spec.audio import CELL_FRAMES, HOP_SAMPLES

SMALL = CodecConfig(encoder_dim=16, encoder_blocks=1, decoder_dim=24)


def lively_codec() -> Codec:
    """Random, but with filters that differ from frame to frame and a noise that the glottal cycle gates."""
    torch.manual_seed(0)
    codec = Codec(SMALL).eval().requires_grad_(False)
    torch.nn.init.normal_(codec.decoder.leave.weight, std=0.1)
    return codec


def test_streaming_is_offline_to_100_db() -> None:
    codec, n_cells = lively_codec(), 3
    rng = np.random.default_rng(1)
    n_frames = n_cells * CELL_FRAMES
    latents = rng.standard_normal((codec.config.latent_dim, n_frames - CELL_FRAMES + DECODE_FRAMES))
    latents = latents.astype(np.float32)
    # A pitch that moves at every cell's edge, where phase, pulses and gate have to join.
    note = (55.0 + 6.0 * np.sin(np.arange(n_frames + 2 * CELL_FRAMES) / 11.0)).astype(np.float32)
    given = {"seed": 4, "pitch_drift": 0.7}
    whole = decode_cells(codec, latents, note, cell_index=5, **given)
    cells = [
        decode_cell(
            codec,
            latents[:, cell * CELL_FRAMES :][:, :DECODE_FRAMES],
            note[cell * CELL_FRAMES :][: 3 * CELL_FRAMES],
            cell_index=5 + cell,
            **given,
        )
        for cell in range(n_cells)
    ]
    assert whole.shape == (n_frames * HOP_SAMPLES,)
    level = float(np.sqrt(np.mean(whole**2)))
    assert level > 1e-3
    assert np.abs(np.concatenate(cells) - whole).max() < 1e-5 * level  # -100 dB


def test_wrong_shapes_are_refused() -> None:
    codec = lively_codec()
    latents = np.zeros((codec.config.latent_dim, DECODE_FRAMES), dtype=np.float32)
    with pytest.raises(ValueError, match="shape"):
        decode_cell(codec, latents, np.zeros(CELL_FRAMES, np.float32), seed=0, cell_index=0, pitch_drift=0.0)


def test_settings_of_older_weights_are_known() -> None:
    stored = {"learned_dim": 32, "encoder_dim": 256, "decoder_future": 2}
    config = CodecConfig.from_stored(stored)
    assert (config.latent_dim, config.encoder_views, config.decoder_skip) == (37, ((1024, 240, 80),), False)
    assert CodecConfig.from_stored(CodecConfig().as_dict()) == CodecConfig()
    with pytest.raises(UserError, match="colour"):
        CodecConfig.from_stored({**stored, "colour": 3})
