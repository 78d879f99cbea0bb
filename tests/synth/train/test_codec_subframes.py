"""Sub-frames that are joined stay joined, and what alternates is told from what only changes."""

from __future__ import annotations

import pytest
import torch

from synth.codec.bands import FILTER_BINS
from synth.codec.model import Codec, CodecConfig, Decoder
from synth.train.codec_subframes import centre_subframes, hold_low_filters_together, make_subframes_alike
from synth.train.losses import alternation_loss

SMALL = CodecConfig(learned_dim=24, encoder_dim=16, encoder_blocks=1, decoder_dim=16, decoder_blocks=1)
FRAMES = 40


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    made = Codec(SMALL).decoder
    for values in made.parameters():
        torch.nn.init.normal_(values, std=0.2)
    return made


def gains(decoder: Decoder) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn((2, FRAMES, SMALL.latent_dim), generator=generator)
    return decoder.controls(latents, torch.zeros(2, FRAMES))[0]


def found_gains(decoder: Decoder) -> torch.Tensor:
    with torch.no_grad():
        return gains(decoder)


def swings(found: torch.Tensor) -> torch.Tensor:
    """How far the sub-frames of each frame are apart -> [FILTER_BINS]."""
    return (found[:, :, 1::2] - found[:, :, 0::2]).abs().amax((0, 1, 2))


def test_alike_sub_frames_do_not_alternate(decoder: Decoder) -> None:
    before = found_gains(decoder)
    make_subframes_alike(decoder)
    after = found_gains(decoder)
    assert float(alternation_loss(before)) > 0.05
    assert float(swings(after).max()) < 1e-5


def test_low_filters_stay_together_while_others_learn(decoder: Decoder) -> None:
    hold_low_filters_together(decoder)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(2)
    wanted = torch.randn((2, 2, 2 * FRAMES, FILTER_BINS), generator=generator)
    for _ in range(5):
        optimiser.zero_grad()
        (gains(decoder) - wanted).square().mean().backward()
        optimiser.step()
    apart = swings(found_gains(decoder))
    assert float(apart[:8].max()) < 1e-4, "0 to 330 Hz"
    assert float(apart[20:].min()) > 1e-2, "from 940 Hz on they are free"


def test_what_alternates_on_average_is_taken_out(decoder: Decoder) -> None:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn((2, FRAMES, SMALL.latent_dim), generator=generator)
    before = found_gains(decoder)
    told_db = centre_subframes(decoder, latents, torch.zeros(2, FRAMES))
    after = found_gains(decoder)

    def mean_swing(found: torch.Tensor) -> torch.Tensor:
        return (found[:, :, 1::2] - found[:, :, 0::2]).mean((0, 2)).abs().max()

    assert told_db > 1.0
    # Limits on gains, which means know nothing of, leave a little.
    assert float(mean_swing(after)) < 0.2 * float(mean_swing(before))
    apart = (after[:, :, 1::2] - after[:, :, 0::2]).std(2)
    torch.testing.assert_close(apart, (before[:, :, 1::2] - before[:, :, 0::2]).std(2), atol=0.3, rtol=0.3)


def test_a_change_is_no_alternation() -> None:
    still = torch.zeros(1, 2, 2 * FRAMES, FILTER_BINS)
    step, slope, alternating = still.clone(), still.clone(), still.clone()
    step[:, :, FRAMES:] = 2.0
    slope += torch.linspace(0.0, 4.0, 2 * FRAMES)[:, None]
    alternating[:, :, ::2] = 1.0
    assert float(alternation_loss(alternating)) == pytest.approx(0.25, rel=1e-5)
    assert float(alternation_loss(slope)) < 1e-8
    assert float(alternation_loss(step)) < 0.02
