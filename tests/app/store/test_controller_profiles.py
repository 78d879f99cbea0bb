"""Controller profiles on disk: one for each name, strict, and never in the way of playing."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from app.state.controller_profile import (
    GLIDES,
    NOTE_SOURCES,
    PLAYING,
    PRIORITIES,
    STEALING,
    TAKEOVERS,
    Binding,
    ControllerProfile,
    default_profile,
)
from app.state.places import PlacedError
from app.state.response import CURVE_KINDS, ResponseCurve
from app.store.controller_profiles import (
    list_profiles,
    load_profile,
    profile_from_document,
    profile_path,
    profile_to_document,
    read_profile_file,
    save_profile,
)
from synth.errors import UserError

FULL = replace(
    default_profile("Ae Modular: Größe/1"),
    bends_pitch=False,
    bend_semitones=12.0,
    mpe_upper_members=7,
    velocity_curve=ResponseCurve("points", points=((0.0, 0.25), (1.0, 1.0))),
    fixed_velocity=99,
    playing="legato",
    glide="approach",
    panic_cc=27,
).with_binding(
    Binding("cc20", "adapter.0f3a.late", 1.5, 0.0, "set", ResponseCurve("s_curve", 2.0), "bipolar", "scale", 0.05)
)


def test_round_trip(tmp_path: Path) -> None:
    path = save_profile(FULL, tmp_path / "deep" / "folder")
    assert read_profile_file(path) == FULL
    assert load_profile(FULL.name, path.parent).profile == FULL
    assert list_profiles(path.parent) == [FULL]


def test_a_controller_without_a_file_gets_the_default_map(tmp_path: Path) -> None:
    loaded = load_profile("Keystep", tmp_path)
    assert loaded.profile == default_profile("Keystep")
    assert loaded.fault is None


def test_every_name_has_a_file_of_its_own(tmp_path: Path) -> None:
    names = ["Keys", "keys", "Keys ", "../../keys", "", "\U0001f3b9", "x" * 300, "nul", "a/b"]
    paths = {profile_path(name, tmp_path) for name in names}
    assert len(paths) == len(names)
    assert all(path.parent == tmp_path and len(path.name) < 80 for path in paths)


def test_a_broken_file_is_kept_aside_and_told(tmp_path: Path) -> None:
    path = profile_path("Keys", tmp_path)
    path.write_text("{", encoding="utf-8")
    loaded = load_profile("Keys", tmp_path)
    assert loaded.profile == default_profile("Keys")
    assert loaded.fault is not None
    assert "Keys" in str(loaded.fault)
    assert path.with_name(f"{path.name}.broken").read_text(encoding="utf-8") == "{"
    assert load_profile("Keys", tmp_path).fault is None


def test_defaults_may_be_left_out() -> None:
    assert profile_from_document({"revision": 1, "name": "x"}) == ControllerProfile("x")
    short = {"revision": 1, "name": "x", "bindings": [{"source": "cc3", "lane": "fry", "low": 0, "high": 1}]}
    assert profile_from_document(short).bindings == (Binding("cc3", "fry", 0, 1),)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"revision": 2}, "revision"),
        ({"colour": 1}, "colour"),
        ({"polyphony": 2.5}, "polyphony"),
        ({"polyphony": True}, "polyphony"),
        ({"fixed_velocity": "loud"}, "fixed_velocity"),
        ({"bends_pitch": 1}, "bends_pitch"),
        ({"glide": 5}, "glide"),
        ({"bindings": [5]}, "bindings[0]"),
        ({"bindings": [{"source": "cc3", "lane": "fry", "low": 0, "high": 2}]}, "bindings[0].high"),
        ({"bindings": [{"source": "cc3", "lane": "fry", "low": 0, "high": 1, "curve": {"kind": "x"}}]},
         "bindings[0].curve.kind"),
        ({"bindings": [{"source": "cc3", "lane": "no", "low": 0, "high": 1}]}, "bindings[0].lane"),
        ({"velocity_curve": {"kind": "points", "points": [[0, 0], [1]]}}, "velocity_curve.points[1]"),
    ],
)  # fmt: skip
def test_faults_name_their_place(change: dict[str, object], place: str) -> None:
    with pytest.raises(PlacedError) as fault:
        profile_from_document({**profile_to_document(FULL), **change})
    assert fault.value.place == place


def test_files_are_readable_and_revisioned(tmp_path: Path) -> None:
    path = save_profile(FULL, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8"))["revision"] == 1
    (tmp_path / "foreign.json").write_text("[]", encoding="utf-8")
    assert list_profiles(tmp_path) == [FULL]
    with pytest.raises(UserError, match=r"foreign\.json"):
        read_profile_file(tmp_path / "foreign.json")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be made"):
        save_profile(FULL, tmp_path / "file" / "folder")


def test_the_document_names_every_key_and_choice() -> None:
    document = (Path(__file__).parents[3] / "docs" / "midi.md").read_text(encoding="utf-8")
    for field in (*fields(ControllerProfile), *fields(Binding), *fields(ResponseCurve)):
        assert field.name in document, field.name
    for choice in (*CURVE_KINDS, *TAKEOVERS, *PLAYING, *PRIORITIES, *STEALING, *GLIDES, *NOTE_SOURCES):
        assert choice in document, choice
