"""A voice goes on from what has been heard, alone or in company, and never stands still."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.codec.noise import Stream, normal_frames
from synth.diffusion.conditioning import CONDITION_DIM, condition_array
from synth.diffusion.sampler import SamplingPlan, sample_window
from synth.engine import Engine
from synth.spec.lanes import LANE_IDS
from synth.streaming.graphs import GraphedDraws
from synth.streaming.sampler import BlockRequest, StreamingSampler, held
from tests.tiny_weights import tiny_engine

Float32Array = NDArray[np.float32]
BLOCK = 8
# Networks round differently in batches of different sizes; normalised latents are about 1.
ROUNDING = 1e-4


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


def sampler_of(engine: Engine, n_voices: int = 4, *, pad_batch_to: int = 1) -> StreamingSampler:
    n = engine.latent_dim
    return StreamingSampler(
        engine.denoiser,
        np.full(n, 0.25, np.float32),
        np.full(n, 0.5, np.float32),
        n_voices,
        context_frames=16,
        pad_batch_to=pad_batch_to,
    )


def controls(engine: Engine, **asked: float) -> Float32Array:
    """Conditions of one frame, [CONDITION_DIM]."""
    lanes = {lane_id: np.full(1, np.nan, dtype=np.float32) for lane_id in LANE_IDS}
    lanes["presence"][:] = 1.0
    for name, value in asked.items():
        lanes[name][:] = value
    return condition_array(lanes, None, engine.timbre_scale)[0]


def sung(
    sampler: StreamingSampler, voice: int, condition: Float32Array, n_blocks: int, n_steps: int = 1
) -> Float32Array:
    request = BlockRequest(voice, held(condition, BLOCK))
    return np.concatenate([sampler.draw([request], n_steps)[0] for _ in range(n_blocks)])


def test_the_same_seed_sings_the_same_and_another_something_else(engine: Engine) -> None:
    sampler, condition = sampler_of(engine), controls(engine, pitch=60.0)
    for voice, seed in enumerate((5, 5, 6)):
        sampler.begin(voice, seed)
    first, same, other = (sung(sampler, voice, condition, 4) for voice in range(3))
    assert first.shape == (4 * BLOCK, engine.latent_dim)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).mean() > 0.05


@pytest.mark.parametrize("pad_batch_to", [1, 4])
def test_company_does_not_change_what_a_voice_sings(engine: Engine, pad_batch_to: int) -> None:
    alone, together = (sampler_of(engine, pad_batch_to=pad_batch_to) for _ in range(2))
    mine, other = controls(engine, pitch=60.0), controls(engine, pitch=47.0, roughness=0.9)
    for sampler in (alone, together):
        for voice in range(3):
            sampler.begin(voice, 11 + voice)
    together.draw([BlockRequest(2, held(other, BLOCK))], 2)  # further on than the others: another shape
    for _ in range(4):
        expected = alone.draw([BlockRequest(0, held(mine, BLOCK))], 2)[0]
        found = together.draw(
            [BlockRequest(voice, held(mine if voice == 0 else other, BLOCK)) for voice in (1, 0, 2)], 2
        )
        tolerance = ROUNDING if pad_batch_to == 1 else 0.0
        assert np.abs(found[1] - expected).max() <= tolerance


def test_a_block_goes_on_from_what_has_been_heard(engine: Engine) -> None:
    sampler, condition = sampler_of(engine), controls(engine, pitch=60.0)
    for voice in range(2):
        sampler.begin(voice, 3)
    heard = sung(sampler, 0, condition, 2)
    sampler.adopt(1, 3, heard + 1.0, np.repeat(condition[None], 2 * BLOCK, axis=0))
    onward, elsewhere = (sung(sampler, voice, condition, 1) for voice in range(2))
    assert np.abs(onward - elsewhere).max() > 0.01
    sampler.adopt(1, 3, heard, np.repeat(condition[None], 2 * BLOCK, axis=0))
    assert np.abs(sung(sampler, 1, condition, 1) - onward).max() < ROUNDING


def test_going_back_draws_again_by_newer_controls(engine: Engine) -> None:
    sampler = sampler_of(engine)
    calm, rough = controls(engine, pitch=60.0, roughness=0.0), controls(engine, pitch=60.0, roughness=1.0)
    sampler.begin(0, 3)
    first = sung(sampler, 0, calm, 4)
    sampler.rewind(0, 2 * BLOCK)
    assert sampler.drawn(0) == 2 * BLOCK
    again = sung(sampler, 0, rough, 1)
    assert np.abs(again - first[2 * BLOCK : 3 * BLOCK]).max() > 0.01
    sampler.rewind(0, 2 * BLOCK)
    np.testing.assert_array_equal(sung(sampler, 0, calm, 2), first[2 * BLOCK :])
    with pytest.raises(ValueError, match="gone back"):
        sampler.rewind(0, 5 * BLOCK)


def test_a_held_note_neither_loops_nor_freezes_in_30_s(engine: Engine) -> None:
    sampler, condition = sampler_of(engine), controls(engine, pitch=52.0)
    sampler.begin(0, 9)
    blocks = sung(sampler, 0, condition, 3_000 // BLOCK).reshape(-1, BLOCK * engine.latent_dim)
    later = blocks[4:] - blocks[4:].mean(axis=0)
    unit = later / np.linalg.norm(later, axis=1, keepdims=True)
    likeness = unit @ unit.T - 2.0 * np.eye(len(unit))
    spread = later.std()
    assert spread > 0.05  # a frozen voice has none
    assert likeness.max() < 0.9  # a looping one repeats a block
    # Its life does not die away: the last third moves as much as the first.
    third = len(later) // 3
    assert later[-third:].std() > 0.7 * later[:third].std()


def test_a_held_note_obeys_to_the_end(engine: Engine) -> None:
    sampler = sampler_of(engine)
    calm, rough = controls(engine, pitch=52.0, roughness=0.0), controls(engine, pitch=52.0, roughness=1.0)
    for voice in range(2):
        sampler.begin(voice, 9)
        sung(sampler, voice, calm, 200)
    obeyed = np.abs(sung(sampler, 0, rough, 1) - sung(sampler, 1, calm, 1)).mean()
    for voice in range(2):
        sampler.begin(voice, 9)
        sung(sampler, voice, calm, 4)
    early = np.abs(sung(sampler, 0, rough, 1) - sung(sampler, 1, calm, 1)).mean()
    assert obeyed > 0.3 * early > 0.0


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_without_context_a_block_is_what_the_engine_draws(engine: Engine, n_steps: int) -> None:
    sampler, condition = sampler_of(engine), held(controls(engine, pitch=60.0), 32)
    sampler.begin(0, 4)
    found = sampler.draw([BlockRequest(0, condition)], n_steps)[0]
    noise = np.ascontiguousarray(normal_frames(4, Stream.LATENT, 0, 32, engine.latent_dim).T)
    expected = sample_window(engine.denoiser, condition, noise, SamplingPlan(n_steps)) * 0.5 + 0.25
    assert np.abs(found - expected).max() < ROUNDING


def test_what_cannot_be_done_is_said(engine: Engine) -> None:
    sampler = sampler_of(engine)
    with pytest.raises(ValueError, match="multiple"):
        sampler.draw([BlockRequest(0, np.zeros((3, CONDITION_DIM), np.float32))], 1)
    twice = BlockRequest(0, np.zeros((BLOCK, CONDITION_DIM), np.float32))
    with pytest.raises(ValueError, match="one block"):
        sampler.draw([twice, twice], 1)


def drained(drawing: Generator[None, None, list[Float32Array | None]]) -> list[Float32Array | None]:
    """What comes of the rest of it."""

    def rest() -> Generator[None, None, None]:
        blocks.extend((yield from drawing))

    blocks: list[Float32Array | None] = []
    for _ in rest():
        pass
    return blocks


def test_a_draw_in_pieces_is_the_draw_and_others_may_come_between(engine: Engine) -> None:
    alone, between = sampler_of(engine), sampler_of(engine)
    condition = held(controls(engine, pitch=60.0), BLOCK)
    for sampler in (alone, between):
        for voice in range(2):
            sampler.begin(voice, 3 + voice)
    expected = [alone.draw([BlockRequest(voice, condition)], 4)[0] for voice in range(2)]
    drawing = between.drawing([BlockRequest(0, condition)], 4)
    next(drawing)
    np.testing.assert_array_equal(between.draw([BlockRequest(1, condition)], 4)[0], expected[1])
    (found,) = drained(drawing)
    assert found is not None
    np.testing.assert_array_equal(found, expected[0])


@pytest.mark.parametrize("change", ["begin", "rewind"])
def test_what_becomes_of_a_voice_meanwhile_is_not_undone_by_a_draw(engine: Engine, change: str) -> None:
    sampler = sampler_of(engine)
    condition = held(controls(engine, pitch=60.0), BLOCK)
    sampler.begin(0, 3)
    sampler.draw([BlockRequest(0, condition)], 1)
    drawing = sampler.drawing([BlockRequest(0, condition)], 4)
    next(drawing)
    if change == "begin":
        sampler.begin(0, 4)
    else:
        sampler.rewind(0, 4)
        sampler.draw([BlockRequest(0, condition[:4])], 1)  # as many as before, but others
    drawn = sampler.drawn(0)
    assert drained(drawing) == [None]
    assert sampler.drawn(0) == drawn


def test_few_at_once_sing_what_all_at_once_sing(engine: Engine) -> None:
    condition = held(controls(engine, pitch=60.0), BLOCK)
    found = []
    for most in (0, 2):
        sampler = sampler_of(engine)
        sampler._most = most
        for voice in range(4):
            sampler.begin(voice, voice)
        found.append(np.stack(sampler.draw([BlockRequest(voice, condition) for voice in range(4)], 2)))
    assert np.abs(found[0] - found[1]).max() < ROUNDING


def test_what_was_sung_can_be_read_again(engine: Engine) -> None:
    sampler = sampler_of(engine)
    sampler.begin(0, 3)
    blocks = sung(sampler, 0, controls(engine, pitch=60.0), 3)
    np.testing.assert_allclose(sampler.sung(0, 5, 20), blocks[5:20], atol=1e-5)
    with pytest.raises(ValueError, match="not those kept"):
        sampler.sung(0, 5, 3 * BLOCK + 1)


def test_warming_changes_nothing(engine: Engine) -> None:
    cold, warm = sampler_of(engine), sampler_of(engine)
    for frames in (8, 16, 24):
        warm.warm(2, frames, 2)
    condition = controls(engine, pitch=60.0)
    for sampler in (cold, warm):
        sampler.begin(0, 3)
    np.testing.assert_array_equal(sung(cold, 0, condition, 2), sung(warm, 0, condition, 2))


def test_draws_by_shape_are_the_draws_where_nothing_can_be_captured(engine: Engine) -> None:
    plain, shaped = sampler_of(engine), sampler_of(engine)
    shaped._graphs = GraphedDraws(shaped._base_draw)  # as on CUDA, but without a capture
    condition = held(controls(engine, pitch=60.0), BLOCK)
    for voice in range(3):
        for sampler in (plain, shaped):
            sampler.begin(voice, voice)
    for n_voices, n_steps in ((3, 1), (3, 1), (1, 2), (3, 1)):
        requests = [BlockRequest(voice, condition) for voice in range(n_voices)]
        for mine, theirs in zip(shaped.draw(requests, n_steps), plain.draw(requests, n_steps), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    # Contexts of 0, 8 and 16 frames for three voices at 1 jump, of 16 for one at 2: equal shapes are kept once.
    assert shaped._graphs.n_shapes == 4
