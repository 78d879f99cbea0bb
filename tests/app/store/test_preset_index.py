"""What the browser shows and finds, favourites and programs, and editing with a way back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.state.preset import Preset
from app.store import preset_index
from app.store.preset_desk import PresetDesk, free_id
from app.store.preset_index import PresetIndex, Query, read_index, row_of
from app.store.preset_library import MAX_RECENT, PresetLibrary, library_path, load_library, save_library
from app.store.presets import FACTORY_FOLDER, load_preset, save_preset
from app.store.program_bank import bank_ids, read_bank
from synth.errors import UserError

PRESETS = (
    Preset("growl", "Growl", "Ann", tags=("low", "false folds"), technique={"growl": 0.7, "modal": 0.3}),
    Preset("soft_growl", "Soft growl", "Bob", tags=("soft",), technique={"growl": 0.6, "whisper": 0.4}),
    Preset("sigh", "Sigh", "Ann", tags=("soft",), description="As before a growl.", technique={"sigh": 1.0}),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for preset in PRESETS:
        save_preset(preset, tmp_path / "presets")
    return tmp_path / "presets"


def ids(index: PresetIndex, query: Query) -> list[str]:
    return [index.rows[found].id for found in index.search(query)]


def test_search_finds_words_everywhere_and_names_first(folder: Path, tmp_path: Path) -> None:
    index = read_index([folder], tmp_path / "cache.json")
    assert [row.name for row in index.rows] == ["Growl", "Sigh", "Soft growl"]
    assert ids(index, Query("growl")) == ["growl", "soft_growl", "sigh"]
    assert ids(index, Query("GROW soft")) == ["soft_growl", "sigh"]
    assert ids(index, Query("tag:soft")) == ["sigh", "soft_growl"]
    assert ids(index, Query("by:ann low")) == ["growl"]
    assert ids(index, Query("whisper")) == ["soft_growl"]
    assert ids(index, Query(technique="growl")) == ["growl", "soft_growl"]
    assert ids(index, Query("soft", ids=frozenset({"sigh", "gone"}))) == ["sigh"]
    assert ids(index, Query("nothing like it")) == []
    assert index.tags() == {"soft": 2, "false folds": 1, "low": 1}
    assert index.techniques() == {"growl": 2, "sigh": 1}
    assert index.authors() == {"Ann": 2, "Bob": 1}


def test_files_are_read_again_only_when_they_change(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = preset_index.load_preset_file

    def counting(path: Path) -> Preset:
        read.append(path.stem)
        return load(path)

    monkeypatch.setattr(preset_index, "load_preset_file", counting)
    cache = tmp_path / "cache.json"
    first = read_index([folder], cache)
    assert len(read) == 3
    assert read_index([folder], cache).rows == first.rows
    assert len(read) == 3
    save_preset(replace(PRESETS[2], name="Deep sigh"), folder)
    (folder / "growl.json").unlink()
    again = read_index([folder], cache)
    assert read[3:] == ["sigh"]
    assert [row.name for row in again.rows] == ["Deep sigh", "Soft growl"]


def test_a_change_in_place_of_the_same_size_is_seen(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    read_index([folder], cache)
    path = folder / "growl.json"
    path.write_text(path.read_text().replace('"Growl"', '"Prowl"'))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert "Prowl" in [row.name for row in read_index([folder], cache).rows]


@pytest.mark.parametrize("content", ["", "{", "00\n{}", "null"])
def test_a_cache_that_cannot_be_used_is_made_anew(content: str, folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(content)
    assert len(read_index([folder], cache)) == 3
    again = cache.read_bytes()
    cache.write_bytes(again[:-9] + b"x" + again[-8:])
    assert len(read_index([folder], cache)) == 3, "damage is noticed"
    assert len(json.loads(cache.read_text().partition("\n")[2])["rows"]) == 3


def test_broken_presets_are_told_and_of_one_id_the_first_counts(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.json").write_text("{")
    save_preset(replace(PRESETS[0], name="Mine"), tmp_path / "mine")
    index = read_index([tmp_path / "mine", folder, tmp_path / "missing"], tmp_path / "cache.json")
    found = index.find("growl")
    assert found is not None
    assert found.name == "Mine"
    assert found.path == tmp_path / "mine" / "growl.json"
    assert index.find("gone") is None
    assert [str(fault) for fault in index.faults if "broken" in str(fault)]


def test_rows_tell_the_strongest_technique_first() -> None:
    row = row_of(load_preset("creaky_scream", [FACTORY_FOLDER]), Path("x"))
    assert row.technique == "whisper"
    assert row.blend == ["whisper", "fry", "scream"]


def test_the_library_keeps_favourites_recent_ones_and_programs() -> None:
    library = PresetLibrary().with_favourite("growl", is_one=True).with_favourite("sigh", is_one=True)
    library = library.with_favourite("growl", is_one=False)
    for number in range(MAX_RECENT + 5):
        library = library.with_recent(f"p{number}")
    library = library.with_recent("p10").with_program(3, "growl").with_program(130, "sigh").with_program(4, "growl")
    save_library(library)
    assert load_library() == library
    assert library.favourites == ("sigh",)
    assert library.recent[:2] == ("p10", f"p{MAX_RECENT + 4}")
    assert len(library.recent) == MAX_RECENT
    assert library.preset_for(3) is None, "a preset has one number"
    assert library.preset_for(4) == "growl"
    assert library.preset_for(2, bank=1) == "sigh"
    assert library.program_of("sigh") == 130
    assert library.with_program(4, None).preset_for(4) is None


@pytest.mark.parametrize(
    "content",
    [
        '{"revision": 1, "programs": {"x": "a"}}',
        '{"revision": 1, "programs": {"99999": "a"}}',
        '{"revision": 1, "recent": [1]}',
        '{"revision": 2}',
        '{"revision": 1, "other": 1}',
    ],
)
def test_a_library_that_cannot_be_read_is_told(content: str) -> None:
    library_path().parent.mkdir(parents=True)
    library_path().write_text(content)
    with pytest.raises(UserError, match=r"preset-library\.json"):
        load_library()


def test_editing_can_be_undone_and_done_again(tmp_path: Path) -> None:
    desk = PresetDesk(tmp_path)
    kept = desk.save_as(PRESETS[0], "My Growl!", {"my_growl"})
    assert kept.id == "my_growl_2"
    louder = desk.save(replace(kept, level_db=3.0))
    assert louder.edition == 2
    assert load_preset(kept.id, [tmp_path]) == louder
    desk.undo()
    assert load_preset(kept.id, [tmp_path]) == kept
    desk.redo()
    assert load_preset(kept.id, [tmp_path]) == louder
    desk.delete(kept.id)
    assert not desk.owns(kept.id)
    assert desk.undo_name == f"Delete {kept.id}"
    desk.undo()
    assert desk.owns(kept.id)
    assert desk.redo_name == f"Delete {kept.id}"
    desk.undo()
    desk.undo()
    assert not desk.owns(kept.id)
    assert desk.undo_name is None
    desk.undo()
    with pytest.raises(UserError, match="not one of your own"):
        desk.delete("growl")


@pytest.mark.parametrize(
    ("name", "expected"), [("Growl", "growl"), ("  Ö é !", "preset"), ("A/B..C", "a_b_c"), ("x" * 99, "x" * 48)]
)
def test_ids_are_made_of_names(name: str, expected: str) -> None:
    assert free_id(name, set()) == expected


def test_program_numbers_are_the_users_and_the_others_fill_the_rest(folder: Path, tmp_path: Path) -> None:
    index = read_index([folder], tmp_path / "cache.json")
    assert bank_ids(PresetLibrary(), index) == ["growl", "sigh", "soft_growl"]
    library = PresetLibrary().with_program(0, "sigh").with_program(4, "growl").with_program(2, "gone")
    assert bank_ids(library, index) == ["sigh", "soft_growl", "growl", "growl", "growl"]
    assert bank_ids(library, index, most=1) == ["sigh"]


def test_a_bank_is_read_from_what_is_installed(folder: Path) -> None:
    save_library(PresetLibrary().with_program(1, "scream"))
    bank = read_bank(most=3)
    assert len(bank) == 3
    assert bank[1] == load_preset("scream", [FACTORY_FOLDER])
