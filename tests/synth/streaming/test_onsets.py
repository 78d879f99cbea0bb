"""Onsets are found by what they are, kept within a budget, and played without a seam."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.render.cache import CellCache
from synth.diffusion.conditioning import CONDITION_DIM, condition_array
from synth.engine import Engine
from synth.spec.lanes import LANE_IDS
from synth.streaming.decoder import StreamingDecoder
from synth.streaming.onsets import (
    Onset,
    OnsetCache,
    OnsetRecipe,
    Variations,
    draw_onset,
    layer_of,
    region_of,
    sound_onset,
    start_note,
)
from synth.streaming.sampler import BlockRequest, StreamingSampler, held
from tests.tiny_weights import tiny_engine

Float32Array = NDArray[np.float32]
RECIPE = OnsetRecipe(
    weights_hash="abc",
    n_steps=2,
    lanes={"loudness": -20.0, "breathiness": 0.3},
    technique={"modal": 1.0},
    timbre=(0.5,) * 16,
    pitch_drift=0.35,
    attack_s=0.03,
    note=61.0,
    velocity=96,
)


def onset_of(value: float, n_frames: int = 32) -> Onset:
    return Onset(np.full((n_frames, 8), value, np.float32), np.full((n_frames, CONDITION_DIM), -value, np.float32))


class Shelf:
    """A spill in memory."""

    def __init__(self) -> None:
        self.arrays: dict[bytes, Float32Array] = {}

    def get(self, key: bytes, /) -> Float32Array | None:
        return self.arrays.get(key)

    def put(self, key: bytes, array: Float32Array, /) -> None:
        self.arrays[key] = array.copy()


CHANGES = [
    {"weights_hash": "abd"}, {"n_steps": 4}, {"lanes": {"loudness": -20.0, "breathiness": 0.31}},
    {"lanes": {"loudness": -20.0}}, {"technique": {"growl": 1.0}}, {"timbre": None}, {"timbre": (0.5,) * 15 + (0.6,)},
    {"pitch_drift": 0.4}, {"attack_s": 0.02}, {"note": 64.0}, {"velocity": 64}, {"variation": 1}, {"n_frames": 48},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_change_that_matters_asks_for_another_onset(change: dict[str, Any]) -> None:
    cache = OnsetCache()
    cache.put(RECIPE, onset_of(1.0))
    changed = replace(RECIPE, **change)
    assert cache.find(changed) is None
    assert cache.missing([RECIPE, changed]) == [changed]
    assert cache.find(RECIPE) is not None
    assert (cache.hits, cache.misses) == (1, 1)


def test_every_part_of_a_recipe_is_changed_above() -> None:
    assert {name for change in CHANGES for name in change} == set(OnsetRecipe.__dataclass_fields__)


def test_the_same_recipe_in_other_words_is_the_same() -> None:
    assert replace(RECIPE, lanes={"breathiness": 0.3, "loudness": -20.0}).key == RECIPE.key
    assert replace(RECIPE, weights_hash="other", n_steps=1).seed == RECIPE.seed
    assert replace(RECIPE, variation=1).seed != RECIPE.seed


def test_the_least_recently_used_is_forgotten_within_the_budget() -> None:
    one = onset_of(1.0).n_bytes
    cache = OnsetCache(budget_bytes=2 * one)
    a, b, c = (replace(RECIPE, variation=n) for n in range(3))
    cache.put(a, onset_of(1.0))
    cache.put(b, onset_of(2.0))
    assert cache.find(a) is not None
    cache.put(c, onset_of(3.0))
    assert cache.missing([a, b, c]) == [b]
    assert cache.used_bytes == 2 * one
    cache.put(c, onset_of(4.0))
    assert cache.used_bytes == 2 * one
    cache.clear()
    assert (cache.used_bytes, cache.missing([a])) == (0, [a])


def test_what_memory_forgets_comes_back_from_the_spill(tmp_path: Path) -> None:
    for spill in (Shelf(), CellCache(tmp_path)):
        cache = OnsetCache(budget_bytes=1, spill=spill)
        cache.put(RECIPE, onset_of(0.7))
        assert cache.used_bytes == 0
        found = cache.find(RECIPE)
        assert found is not None
        np.testing.assert_array_equal(found.latents, onset_of(0.7).latents)
        np.testing.assert_array_equal(found.condition, onset_of(0.7).condition)


def test_a_damaged_spill_is_a_miss() -> None:
    shelf = Shelf()
    shelf.arrays[RECIPE.key] = np.zeros((5, 3), np.float32)
    assert OnsetCache(spill=shelf).find(RECIPE) is None
    with pytest.raises(ValueError, match="do not fit"):
        OnsetCache().put(RECIPE, Onset(np.zeros((4, 8), np.float32), np.zeros((5, CONDITION_DIM), np.float32)))


def test_variations_go_round_for_every_key_unless_locked() -> None:
    turns = Variations(3)
    assert [turns.take(60), turns.take(60), turns.take(62), turns.take(60), turns.take(60)] == [0, 1, 0, 2, 0]
    turns.locked = 2
    assert [turns.take(60), turns.take(60)] == [2, 2]


def test_regions_and_layers_hold_their_own() -> None:
    for note in range(24, 97):
        assert abs(region_of(note) - note) <= 1.0
    assert len({region_of(note) for note in range(24, 96)}) == 24
    assert [layer_of(velocity) for velocity in (1, 60, 81, 127)] == [32, 64, 96, 120]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


def condition_of(engine: Engine) -> Float32Array:
    lanes = {lane_id: np.full(1, np.nan, dtype=np.float32) for lane_id in LANE_IDS}
    lanes["presence"][:], lanes["pitch"][:] = 1.0, 61.0
    return held(condition_array(lanes, None, engine.timbre_scale)[0], RECIPE.n_frames)


@pytest.mark.parametrize("n_samples", [0, 1_000])
def test_a_note_goes_on_from_its_cached_onset_without_a_seam(engine: Engine, n_samples: int) -> None:
    scale = np.full(engine.latent_dim, 0.3, np.float32)
    sampler = StreamingSampler(engine.denoiser, 0 * scale, scale, 2)
    condition = condition_of(engine)
    onset = draw_onset(sampler, 1, RECIPE, condition)
    sound = sound_onset(StreamingDecoder(engine.codec, 1), 0, RECIPE, onset, 62.0, n_samples)
    hz = 440.0 * 2.0 ** ((62.0 - 69.0) / 12.0)
    played = []
    for chosen in (None, sound):
        decoder = StreamingDecoder(engine.codec, 2)
        start_note(decoder, sampler, 0, RECIPE, onset, sound=chosen, hz=hz, delay_samples=10)
        assert sampler.drawn(0) == RECIPE.n_frames
        decoder.push(0, sampler.draw([BlockRequest(0, condition[:16])], 1)[0])
        out = np.empty((2, 480), dtype=np.float32)
        heard = []
        for _ in range(44):
            decoder.process(np.full((2, 480), hz), out)
            heard.append(out[0].copy())
        assert decoder.frames.held_frames[0] == 0
        played.append(np.concatenate(heard))
    if n_samples:
        played[1][10 : 10 + n_samples] = sound.audio
    assert np.abs(played[0][:10]).max() == 0.0
    level = np.sqrt(np.mean(np.square(played[0])))
    assert level > 1e-4
    assert np.abs(played[1] - played[0]).max() < 1e-4 * level


def test_a_cached_onset_sounds_in_its_first_block(engine: Engine) -> None:
    scale = np.full(engine.latent_dim, 0.3, np.float32)
    sampler = StreamingSampler(engine.denoiser, 0 * scale, scale, 1)
    onset = draw_onset(sampler, 0, RECIPE, condition_of(engine))
    decoder = StreamingDecoder(engine.codec, 1)
    sound = sound_onset(StreamingDecoder(engine.codec, 1), 0, RECIPE, onset, 62.0)
    start_note(decoder, sampler, 0, RECIPE, onset, sound=sound, hz=0.0, delay_samples=40)
    ready = decoder.frames.ready[0]
    out = np.empty((1, 128), dtype=np.float32)
    decoder.process(np.full((1, 128), 200.0), out)
    assert decoder.frames.ready[0] == ready  # the network had nothing left to do
    assert np.abs(out[0, :40]).max() == 0.0
    assert np.abs(out[0, 40:]).max() > 0.0
