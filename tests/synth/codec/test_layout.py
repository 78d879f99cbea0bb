"""Explicit channels survive the way into latents and back."""

from __future__ import annotations

import numpy as np
import pytest

from synth.codec.layout import EXPLICIT, compress_explicit, expand_explicit


@pytest.mark.parametrize("channel", EXPLICIT, ids=lambda channel: channel.name)
def test_round_trip(channel) -> None:
    values = np.linspace(channel.minimum, channel.maximum, 50, dtype=np.float32)
    assert np.allclose(channel.expand(channel.compress(values)), values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channel", EXPLICIT, ids=lambda channel: channel.name)
def test_any_latent_gives_a_legal_value(channel) -> None:
    wild = np.array([-1e6, -30.0, 0.0, 30.0, 1e6], dtype=np.float32)
    expanded = channel.expand(wild)
    assert np.isfinite(expanded).all()
    assert expanded.min() >= channel.minimum
    assert expanded.max() <= channel.maximum


def test_not_measured_means_none_of_it() -> None:
    physical = {channel.name: np.array([np.nan, channel.maximum], dtype=np.float32) for channel in EXPLICIT}
    expanded = expand_explicit(compress_explicit(physical))
    for channel in EXPLICIT:
        assert expanded[channel.name][0] == pytest.approx(channel.minimum, abs=1e-4)
