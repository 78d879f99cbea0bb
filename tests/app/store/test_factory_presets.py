"""The factory's whole collection: what it covers, and that no two of it are told alike to the model."""

from __future__ import annotations

import itertools

import numpy as np

from app.state.passage import Note, Passage, Voice
from app.state.resolve import resolve
from app.store.preset_index import SHOWCASE
from app.store.presets import FACTORY_COLLECTION, FACTORY_FOLDER, list_presets
from synth.spec.lanes import LANES, TECHNIQUES

COLLECTION = list_presets([FACTORY_FOLDER, FACTORY_COLLECTION])


def test_the_factory_covers_every_technique_and_passages_between_them() -> None:
    assert len(COLLECTION) >= 40
    strongest = {max(preset.technique, key=lambda name: preset.technique[name]) for preset in COLLECTION}
    assert strongest == set(TECHNIQUES)
    assert sum(any(lane_id.startswith("technique.") for lane_id in p.gestures) for p in COLLECTION) >= 8
    assert sum(SHOWCASE in preset.tags for preset in COLLECTION) == 10
    assert len({preset.name for preset in COLLECTION}) == len(COLLECTION)


def test_the_whole_collection_differs_in_what_the_model_is_told() -> None:
    told = []
    for preset in COLLECTION:
        passage = Passage(2.0, voices=(Voice(notes=(Note(0.0, 2.0, 57),)),))
        values = resolve(passage, passage.voices[0], preset, 0, 200).values
        lanes = [(values[s.id][20:180:20] - s.minimum) / (s.maximum - s.minimum) for s in LANES]
        told.append(np.concatenate(lanes))
    for one, other in itertools.combinations(told, 2):
        assert np.abs(one - other).max() > 0.15
