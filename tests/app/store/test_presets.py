"""Preset files, and the factory's own."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from app.state.passage import Note, Passage, Voice
from app.state.preset import NEUTRAL_PRESET, Preset
from app.state.resolve import resolve
from app.store.presets import (
    FACTORY_FOLDER,
    MAX_PRESET_BYTES,
    PRESET_REVISION,
    list_presets,
    load_preset,
    preset_from_document,
    preset_to_document,
    read_shelf,
    save_preset,
)
from synth.errors import UserError
from synth.spec.lanes import LANES

FIXTURES = Path(__file__).parents[2] / "fixtures" / "presets"
ADAPTER = {"id": "orc", "sha256": "ab" * 32, "strengths": {"late": 1.0}}
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
        ({"revision": 3}, "revision: 3 is newer"),
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
        ({"revision": 1, "level_db": 1.0}, "level_db: unknown in revision 1"),
        ({"edition": 0}, "edition: 0 is below 1"),
        ({"edition": 1.5}, "edition: 1.5 where a whole number"),
        ({"model": {"name": "x"}}, "model.hash: missing"),
        ({"model": {"name": "x", "hash": "xyz"}}, "model.hash: not a hash"),
        ({"adapters": [{"id": "a", "sha256": "no", "strengths": {}}]}, "adapters[0].sha256: not a SHA-256"),
        ({"adapters": [ADAPTER, ADAPTER]}, "adapters: 'orc' stands there twice"),
        ({"adapters": [{**ADAPTER, "strengths": {"left": 1}}]}, "adapters[0].strengths.left: unknown region"),
        ({"adapters": [{**ADAPTER, "strengths": {"late": 1e9}}]}, "adapters[0].strengths.late: 1e+09 is above"),
        ({"lane_ranges": {"fry": [0.5, 0.5]}}, "lane_ranges.fry: 0.5 is not below 0.5"),
        ({"lane_ranges": {"fry": [0, 1, 2]}}, "lane_ranges.fry[0]"),
        ({"playing": "duo"}, "playing: 'duo' is not known"),
        ({"level_db": math.inf}, "not a number a file may hold"),
        ({"level_db": 10**400}, "is not a finite number"),
        ({"gestures": {"pitch": [[0, 1]]}}, "gestures.pitch: a gesture cannot move"),
        ({"gestures": {"fry": []}}, "gestures.fry: 0 points"),
        ({"gestures": {"fry": [[1, 0], [1, 0]]}}, "gestures.fry[1][0]: time 1 s is not after"),
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


def test_every_revision_keeps_loading_and_means_the_same() -> None:
    first, second = (load_preset(f"revision_{number}", [FIXTURES]) for number in (1, 2))
    assert first.edition == 1
    assert first.adapters == ()
    assert first.level_db == 0.0
    told = json.loads((FIXTURES / "revision_1.json").read_text())
    for key in told.keys() - {"revision", "id", "tags", "timbre"}:
        assert getattr(first, key) == told[key]
        assert getattr(second, key) == told[key]
    assert second.adapter_strengths() == {"adapter.orc.early": 0.5, "adapter.orc.late": 1.0}
    assert second.gestures["roughness"] == ((0.0, -0.4), (0.5, 0.0))
    assert (second.playing, second.midi_map, second.level_db, second.edition) == ("legato", "Seaboard", -3.0, 3)
    assert second.model is not None
    assert second.model.name == "first voice"


@pytest.mark.parametrize("number", [1, 2])
def test_a_fixture_of_each_revision_is_written_anew_without_loss(number: int, tmp_path: Path) -> None:
    preset = load_preset(f"revision_{number}", [FIXTURES])
    written = save_preset(preset, tmp_path)
    assert json.loads(written.read_text())["revision"] == PRESET_REVISION
    assert load_preset(preset.id, [tmp_path]) == preset


def test_half_a_character_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    document = {**preset_to_document(Preset(id="odd", name="Odd")), "name": "\ud800"}
    (tmp_path / "odd.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="half a character"):
        load_preset("odd", [tmp_path])
    (tmp_path / "odd.json").write_bytes(b" " * (MAX_PRESET_BYTES + 1))
    with pytest.raises(UserError, match="too large"):
        load_preset("odd", [tmp_path])
