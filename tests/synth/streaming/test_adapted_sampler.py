"""Adapters while a voice goes on: strengths move block by block, adapters come and go, and silence is the base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.adapters.mixing import merged_denoiser
from synth.adapters.rack import AdapterRack
from synth.diffusion.packed import packed_denoiser
from synth.diffusion.sampler import Network
from synth.engine import Engine
from synth.streaming.sampler import BlockRequest, StreamingSampler, held
from tests.synth.adapters.tiny_adapters import BASE_HASH, random_adapter
from tests.synth.streaming.test_sampler import BLOCK, ROUNDING, controls, sampler_of
from tests.tiny_weights import tiny_engine

Float32Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


@pytest.fixture
def rack() -> AdapterRack:
    rack = AdapterRack(BASE_HASH)
    rack.add(random_adapter("lora"))
    return rack


def drawn(sampler: StreamingSampler, voice: int, condition: Float32Array, *strengths: float) -> Float32Array:
    told = np.concatenate([condition, np.array(strengths, np.float32)])
    return sampler.draw([BlockRequest(voice, held(told, BLOCK))], 1)[0]


def test_strengths_move_from_block_to_block(engine: Engine, rack: AdapterRack) -> None:
    plain, sampler, condition = sampler_of(engine), sampler_of(engine), controls(engine, pitch=60.0)
    sampler.adapt(rack.adapted(engine.denoiser))
    base = drawn(plain, 0, condition)
    np.testing.assert_array_equal(drawn(sampler, 0, condition, 0.0, 0.0, 0.0), base)  # to the bit
    base = drawn(plain, 0, condition)
    assert np.abs(drawn(sampler, 0, condition, 1.0, 0.0, 0.5) - base).max() > 1e-2
    np.testing.assert_array_equal(drawn(plain, 1, condition), drawn(sampler, 1, condition))  # none told: 0


def test_a_voice_s_strengths_do_not_reach_another_in_the_same_call(engine: Engine, rack: AdapterRack) -> None:
    together, alone, condition = sampler_of(engine), sampler_of(engine), controls(engine, pitch=60.0)
    for sampler in (together, alone):
        sampler.adapt(rack.adapted(engine.denoiser))
        sampler.begin(1, 5)
    told = [np.concatenate([condition, np.full(3, strength, np.float32)]) for strength in (1.0, 0.0)]
    both = together.draw([BlockRequest(voice, held(told[voice], BLOCK)) for voice in (0, 1)], 2)
    one = alone.draw([BlockRequest(1, held(told[1], BLOCK))], 2)[0]
    np.testing.assert_allclose(both[1], one, atol=ROUNDING)


def test_adapters_come_and_go_while_a_voice_sings(engine: Engine, rack: AdapterRack) -> None:
    """What was heard keeps the strength of the adapter that stays, wherever its columns are now."""
    kept, changed, condition = sampler_of(engine), sampler_of(engine), controls(engine, pitch=60.0)
    for sampler in (kept, changed):
        sampler.adapt(rack.adapted(engine.denoiser))
        drawn(sampler, 0, condition, 0.7, 0.2, 0.0)
    more = AdapterRack(BASE_HASH)
    more.add(random_adapter("sara", seed=9))
    more.add(rack.adapters[0])
    changed.adapt(more.adapted(engine.denoiser))
    assert changed.condition_dim == kept.condition_dim + 3
    expected = drawn(kept, 0, condition, 0.7, 0.2, 0.0)
    np.testing.assert_allclose(drawn(changed, 0, condition, 0.0, 0.0, 0.0, 0.7, 0.2, 0.0), expected, atol=ROUNDING)
    changed.adapt(None)
    with pytest.raises(ValueError, match="no multiple"):
        drawn(changed, 0, condition, 1.0, 0.0, 0.0)
    assert np.isfinite(drawn(changed, 0, condition)).all()


def test_a_network_with_strengths_worked_in_sings_what_the_adapted_one_does(engine: Engine, rack: AdapterRack) -> None:
    """And it alone is asked where strengths stand still, the adapted one where they have moved within the window."""
    asked: list[tuple[float, ...]] = []
    adapted = rack.adapted(engine.denoiser)

    def worked_in(strengths: tuple[float, ...]) -> Network | None:
        asked.append(strengths)
        return packed_denoiser(merged_denoiser(engine.denoiser, rack.adapters, strengths))

    mixed, merged, condition = sampler_of(engine), sampler_of(engine), controls(engine, pitch=60.0)
    mixed.adapt(adapted)
    merged.adapt(adapted)
    merged.network_at = worked_in
    base = sampler_of(engine)
    for _ in range(4):
        one, other = (drawn(sampler, 0, condition, 0.5, 0.0, 1.0) for sampler in (mixed, merged))
        effect = one - drawn(base, 0, condition)
        assert np.sqrt(np.mean((one - other) ** 2)) < 0.02 * np.sqrt(np.mean(effect**2))
    assert set(asked) == {(0.5, 0.0, 1.0)}
    n_asked = len(asked)
    drawn(merged, 0, condition, 0.75, 0.0, 1.0)  # what was heard has the strengths of before
    assert len(asked) == n_asked
    drawn(merged, 0, condition, 0.0, 0.0, 0.0)
    assert len(asked) == n_asked
