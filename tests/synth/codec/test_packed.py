"""The packed decoder is the decoder, and cells decoded by it join as they do without packing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth.codec.blocks import ConvNeXtBlock
from synth.codec.decoding import DECODE_FRAMES, decode_cells
from synth.codec.model import Codec, CodecConfig
from synth.codec.packed import PackedBlock, PackedDepthwise, PackedLinear
from synth.codec.packed_decoder import PackedCodec, packed_codec
from synth.spec.audio import CELL_FRAMES

SMALL = CodecConfig(encoder_dim=16, encoder_blocks=1, decoder_dim=24, n_bands=48)


def lively(config: CodecConfig) -> Codec:
    """Random, with nothing left at zero or one, and filters that differ from frame to frame."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = Codec(config).eval().requires_grad_(False)
        for parameter in codec.decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        torch.nn.init.normal_(codec.decoder.leave.weight, std=0.1)
    return codec


def sung(codec: Codec | PackedCodec, n_cells: int = 1, first_cell: int = 0) -> np.ndarray:
    """Cells `first_cell` and on of a passage of lively latents and pitch."""
    rng = np.random.default_rng(1)
    n_frames = 4 * CELL_FRAMES
    latents = rng.standard_normal((codec.config.latent_dim, n_frames + DECODE_FRAMES)).astype(np.float32)
    note = (55.0 + 6.0 * np.sin(np.arange(n_frames + 2 * CELL_FRAMES) / 11.0)).astype(np.float32)
    start = first_cell * CELL_FRAMES
    return decode_cells(
        codec,
        latents[:, start : start + (n_cells - 1) * CELL_FRAMES + DECODE_FRAMES],
        note[start : start + (n_cells + 2) * CELL_FRAMES],
        seed=4,
        cell_index=5 + first_cell,
        pitch_drift=0.7,
    )


def distance_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(one - other).max() / np.sqrt(np.mean(other**2))))


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, decoder_skip=False),
        replace(SMALL, decoder_blocks=2, decoder_expansion=4),
        replace(SMALL, decoder_future=0),
    ],
)
def test_packing_changes_rounding_only(config: CodecConfig) -> None:
    codec = lively(config)
    packed = packed_codec(codec)
    assert packed is not None
    plain = sung(codec)
    assert np.sqrt(np.mean(plain**2)) > 1e-3
    assert distance_db(sung(packed), plain) < -90.0


def test_cells_decoded_one_by_one_are_the_passage_decoded_in_one_go() -> None:
    packed = packed_codec(lively(SMALL))
    assert packed is not None
    cells = np.concatenate([sung(packed, first_cell=cell) for cell in range(3)])
    assert distance_db(cells, sung(packed, n_cells=3)) < -100.0


def test_the_same_cell_gives_the_same_samples_to_the_bit() -> None:
    packed = packed_codec(lively(SMALL))
    assert packed is not None
    first = sung(packed)
    sung(packed, first_cell=2)
    assert np.array_equal(sung(packed), first)


def test_a_decoder_that_hears_further_than_a_cells_frames_is_left_as_it_is() -> None:
    assert packed_codec(lively(replace(SMALL, decoder_future=2))) is None
    assert packed_codec(lively(replace(SMALL, decoder_blocks=7))) is None


def test_a_layer_takes_any_number_of_rows() -> None:
    weight, bias = torch.randn(20, 12), torch.randn(20)
    layer = PackedLinear(weight, bias, n_rows=8)
    for n_rows in (1, 8, 33):
        x, other = torch.randn(n_rows, 12), torch.randn(n_rows, 20)
        expected = torch.nn.functional.linear(x, weight, bias)
        torch.testing.assert_close(layer(x), expected)
        torch.testing.assert_close(layer.gelu(x), torch.nn.functional.gelu(expected))
        torch.testing.assert_close(layer.plus(x, other), expected + other)


def test_half_the_precision_costs_a_hundredth_of_the_size() -> None:
    weight, x = torch.randn(20, 64), torch.randn(30, 64)
    layer = PackedLinear(weight, None, n_rows=30, precision=torch.bfloat16)
    expected = x @ weight.T
    error = (layer(x.bfloat16()).float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert 1e-4 < error < 1e-2


def test_a_block_without_padding_gives_the_inner_frames() -> None:
    block = ConvNeXtBlock(16, 2, 2, 1).requires_grad_(False)
    torch.nn.init.normal_(block.norm.bias)
    x = torch.randn(1, 30, 16)
    torch.testing.assert_close(PackedBlock(block, 30, padded=False)(x), block(x)[:, 2:-1])


def test_several_rows_of_a_batch_are_mixed_apart() -> None:
    conv = ConvNeXtBlock(16, 2, 3, 3).requires_grad_(False).mix
    x = torch.randn(3, 14, 16)
    torch.testing.assert_close(PackedDepthwise(conv, 14)(x), conv(x))


def test_unequal_reaches_cannot_be_padded_alike() -> None:
    with pytest.raises(ValueError, match="padded"):
        PackedDepthwise(ConvNeXtBlock(16, 2, 2, 1).mix, 14)
