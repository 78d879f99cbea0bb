"""Preset files, and the factory's own."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from app.state.passage import Note, Passage, Voice
from app.state.preset import NEUTRAL_PRESET, Preset
from app.state.resolve import resolve
from app.store.presets import (
    FACTORY_FOLDER,
    list_presets,
    load_preset,
    preset_from_document,
    preset_to_document,
    read_shelf,
    save_preset,
)
from synth.errors import UserError
from synth.spec.lanes import LANES

FACTORY = sorted(FACTORY_FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", FACTORY, ids=lambda path: path.stem)
def test_factory_preset_loads_says_whose_it_is_and_resolves(path: Path) -> None:
    preset = load_preset(path.stem, [FACTORY_FOLDER])
    assert preset.author
    assert preset.licence
    assert preset.consent
    assert preset.tags
    assert preset.description
    passage = Passage(2.0, voices=(Voice(preset=preset.id, notes=(Note(0.5, 1.0, 57),)),))
    frames = resolve(passage, passage.voices[0], preset, 0, 200)
    assert frames.values["presence"].max() == 1


def test_factory_presets_differ_from_each_other_in_what_the_model_is_told() -> None:
    assert len(FACTORY) >= 8
    told = []
    for path in FACTORY:
        passage = Passage(1.0, voices=(Voice(notes=(Note(0.0, 1.0, 57),)),))
        values = resolve(passage, passage.voices[0], load_preset(path.stem, [FACTORY_FOLDER]), 50, 1).values
        told.append([(values[s.id][0] - s.minimum) / (s.maximum - s.minimum) for s in LANES])
    for one, other in itertools.combinations(np.array(told), 2):
        assert np.abs(one - other).max() > 0.15


def test_round_trip_and_precedence_of_the_users_folder(tmp_path: Path) -> None:
    preset = Preset(id="growl", name="My growl", timbre=tuple(range(16)), technique={"growl": 1.0}, tags=("a",))
    save_preset(preset, tmp_path / "presets")
    assert load_preset("growl", [tmp_path / "presets", FACTORY_FOLDER]) == preset
    assert read_shelf([tmp_path / "presets", FACTORY_FOLDER]).presets["growl"] == preset
    assert preset_from_document(json.loads(json.dumps(preset_to_document(preset)))) == preset


def test_unknown_presets_name_their_neighbours() -> None:
    with pytest.raises(UserError, match=r"no preset 'growll'.*growl"):
        load_preset("growll", [FACTORY_FOLDER])
    with pytest.raises(UserError, match="There is no preset"):
        load_preset("../../etc/passwd", [FACTORY_FOLDER])
    assert load_preset(None) is NEUTRAL_PRESET


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "colour: unknown key"),
        ({"revision": 2}, "revision: 2 is newer"),
        ({"lane_defaults": {"grit": 1}}, "lane_defaults.grit: unknown lane"),
        ({"lane_defaults": {"tension": "much"}}, "lane_defaults.tension: 'much' where a number"),
        ({"lane_defaults": {"technique.fry": 1}}, "technique weights stand under"),
        ({"technique": {"yodel": 1}}, "technique.yodel: unknown technique"),
        ({"technique": {}}, "technique: the weights sum to 0"),
        ({"timbre": [1, 2]}, "timbre: 2 numbers where 16"),
        ({"timbre": "warm"}, "timbre: not a list"),
        ({"tags": [1]}, "tags[0]"),
        ({"author": None}, "author: null where text"),
        ({"id": "other"}, "differs from the file's name"),
    ],
)
def test_faults_are_named_and_do_not_hide_the_other_presets(change: dict, message: str, tmp_path: Path) -> None:
    document = {**preset_to_document(Preset(id="odd", name="Odd")), **change}
    (tmp_path / "odd.json").write_text(json.dumps(document))
    save_preset(Preset(id="good", name="Good"), tmp_path)
    with pytest.raises(UserError) as fault:
        load_preset("odd", [tmp_path])
    assert message in str(fault.value)
    assert "odd.json" in str(fault.value)
    shelf = read_shelf([tmp_path])
    assert list(shelf.presets) == ["good"]
    assert len(shelf.faults) == 1


@pytest.mark.expects_log("Preset left out")
def test_a_broken_preset_is_reported_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text("{")
    assert list_presets([tmp_path]) == []
