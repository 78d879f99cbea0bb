"""The decoder filters exactly, sees as far as it says, and follows the excitation's pitch."""

from __future__ import annotations

import pytest
import torch

from synth.codec.model import FILTER_BINS, Codec, band_basis, minimum_phase
from synth.spec.audio import DECODER_FUTURE_FRAMES, DECODER_PAST_FRAMES, HOP_SAMPLES


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    built = Codec().eval().requires_grad_(False)
    torch.nn.init.normal_(built.decoder.leave.weight, std=0.05)
    return built


def test_flat_filters_return_the_excitation(codec: Codec) -> None:
    """Overlap-add of Hann windows is exact: unit gain is the identity for either branch."""
    source = torch.randn(1, 3, 40 * HOP_SAMPLES)
    for branch in (0, 1):
        gains = torch.full((1, 2, 80, FILTER_BINS), -40.0)
        gains[:, branch] = 0.0
        made = codec.decoder.synthesise(gains, source)
        assert torch.allclose(made[:, 400:-400], source[:, branch, 400:-400], atol=1e-5)


def test_minimum_phase_is_causal_and_keeps_magnitude() -> None:
    bins = torch.arange(FILTER_BINS)
    log_magnitude = (-3.0 + 2.0 * torch.exp(-(((bins - 20) / 6.0) ** 2)))[None]
    response = minimum_phase(log_magnitude)
    assert torch.allclose(response.abs(), log_magnitude.exp(), rtol=1e-4)
    impulse = torch.fft.irfft(response)[0]
    assert impulse[512:].square().sum() / impulse.square().sum() < 1e-4


def test_basis_interpolates() -> None:
    basis = band_basis(128)
    assert basis.shape == (128, FILTER_BINS)
    assert torch.allclose(basis.sum(0), torch.ones(FILTER_BINS), atol=1e-5)
    assert (basis >= 0).all()
    assert (basis.sum(1) > 0).all()


@pytest.mark.parametrize("changed", [20, 50, 79])
def test_decoder_sees_no_further_than_it_says(codec: Codec, changed: int) -> None:
    torch.manual_seed(1)
    latents = torch.randn(1, 110, codec.config.latent_dim)
    source = torch.randn(1, 3, 110 * HOP_SAMPLES)
    log_f0 = torch.zeros(1, 110)
    other = latents.clone()
    other[:, changed] += 1.0
    difference = (codec.decoder(latents, log_f0, source) - codec.decoder(other, log_f0, source))[0].abs()
    moved = torch.nonzero(difference > 0).flatten() / HOP_SAMPLES
    assert moved.min() >= changed - DECODER_FUTURE_FRAMES
    assert moved.max() <= changed + DECODER_PAST_FRAMES


def test_latents_hold_no_pitch(codec: Codec) -> None:
    """The same filters under another excitation have the other's period, to the sample."""
    gains = codec.decoder.filters(torch.zeros(1, 60, codec.config.latent_dim), torch.zeros(1, 60))
    # Gentle: responses longer than the transform's spare half would wrap, differently for every pulse of a frame.
    steady = 0.03 * gains[:, :, 60:61].repeat(1, 1, 120, 1)
    for period in (120, 240):  # divisors of the filter hop: then even the framing repeats with the pulses
        source = torch.zeros(1, 3, 60 * HOP_SAMPLES)
        source[:, 0, ::period] = 10.0
        made = codec.decoder.synthesise(steady, source)[0, 9600:-9600]
        tolerance = 1e-3 * float(made.abs().max())
        assert torch.allclose(made[period:], made[:-period], atol=tolerance)
        assert not torch.allclose(made[60:], made[:-60], atol=50 * tolerance)


def test_encoder_shape(codec: Codec) -> None:
    latents = codec.encoder(torch.randn(2, 32 * HOP_SAMPLES), torch.randn(2, 32, 5))
    assert latents.shape == (2, 32, codec.config.learned_dim)
