"""Costs are measured of the thing itself, on whatever weights are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.engine import Engine
from synth.streaming.cost import decoder_cost, sampler_cost
from tests.tiny_weights import tiny_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


def test_the_decoder_costs_something_and_less_than_a_second_of_minutes(engine: Engine) -> None:
    cost = decoder_cost(engine.codec, 2, 128, seconds=0.1)
    assert (cost.n_voices, cost.n_samples) == (2, 128)
    assert 0.0 < cost.load < 60.0
    assert 0.0 < cost.median_ms <= cost.worst_ms


def test_more_steps_cost_more(engine: Engine) -> None:
    one, eight = (sampler_cost(engine.denoiser, 1, 16, steps, context_frames=16) for steps in (1, 8))
    assert one.n_samples == 16 * 480
    assert one.load < eight.load
