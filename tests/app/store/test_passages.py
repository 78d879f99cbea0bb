"""The passage file: what loads, what is refused and how, and what saving guarantees."""

from __future__ import annotations

import copy
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from app.state.passage import Lane, Note, Passage, Voice
from app.store.atomic import backup_path
from app.store.documents import format_document, migrate
from app.store.passages import (
    PASSAGE_REVISION,
    SCHEMA_PATH,
    load_passage,
    passage_from_document,
    passage_to_document,
    save_passage,
)
from app.store.presets import DEMO_FOLDER, load_preset
from synth.errors import UserError
from tests.app.state.strategies import passages

FIXTURES = Path(__file__).parents[2] / "fixtures" / "passages"
SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_PATH.read_text()))
WHOLE = json.loads((FIXTURES / "revision_1.stridor").read_text())
Edit = Callable[[dict[str, Any]], object]

# Good and bad files: a change to the whole sample, the message (None: loads), whether the schema sees the fault too.
TABLE: list[tuple[str, Edit, str | None, bool]] = [
    ("untouched", lambda d: None, None, True),
    ("no tempo", lambda d: d.pop("tempo"), None, True),
    ("null preset", lambda d: d["voices"][0].update(preset=None), None, True),
    ("empty voice", lambda d: d["voices"][1].clear(), None, True),
    ("whole floats", lambda d: d.update(duration_s=7), None, True),
    ("unknown top key", lambda d: d.update(titel="x"), "titel: unknown key", True),
    ("near miss", lambda d: d["voices"][0].update(note=[]), "voices[0].note: unknown key. Did you mean notes?", True),
    ("unknown note key", lambda d: d["voices"][0]["notes"][1].update(len=1), "voices[0].notes[1].len", True),
    ("unknown lane", lambda d: d["voices"][0]["lanes"].update(grit=[[0, 1]]), "voices[0].lanes.grit: unknown", True),
    ("adapter region", lambda d: d["voices"][0]["lanes"].update({"adapter.a.mid": [[0, 1]]}), "adapter.a.mid", True),
    ("no revision", lambda d: d.pop("revision"), "revision: missing", True),
    ("newer revision", lambda d: d.update(revision=2), "revision: 2 is newer than this Stridor knows", True),
    ("revision 0", lambda d: d.update(revision=0), "revision: 0 is no revision", True),
    ("revision text", lambda d: d.update(revision="1"), "revision: '1' is no revision", True),
    ("no duration", lambda d: d.pop("duration_s"), "duration_s: missing", True),
    ("zero length", lambda d: d.update(duration_s=0), "duration_s: a passage lasts at least", True),
    ("negative length", lambda d: d.update(duration_s=-4), "duration_s: -4 is below 0", True),
    ("five hours", lambda d: d.update(duration_s=18000), "duration_s: 18000 is above 14400", True),
    ("duration text", lambda d: d.update(duration_s="4"), 'duration_s: "4" where a number belongs', True),
    ("duration true", lambda d: d.update(duration_s=True), "duration_s: true where a number", True),
    ("no voices", lambda d: d.update(voices=[]), "voices: a passage needs at least one voice", True),
    ("nothing at all", lambda d: d.pop("voices"), "no voices, notes or lanes", True),
    ("both forms", lambda d: d.update(notes=[]), "notes: stands beside voices", True),
    ("voices object", lambda d: d.update(voices={}), "voices: {} where a list", True),
    (
        "high pitch",
        lambda d: d["voices"][0]["lanes"]["pitch"].append([3, 130]),
        "lanes.pitch[2]: 130 is above 96",
        True,
    ),
    ("no points", lambda d: d["voices"][0]["lanes"].update(pitch=[]), "lanes.pitch: a lane needs at least", True),
    ("lone number", lambda d: d["voices"][0]["lanes"].update(pitch=[1]), "lanes.pitch[0]: 1 where a list of 2", True),
    ("triple", lambda d: d["voices"][0]["lanes"].update(pitch=[[0, 60, 1]]), "voices[0].lanes.pitch[0]", True),
    ("text value", lambda d: d["voices"][0]["lanes"].update(pitch=[[0, "C"]]), "voices[0].lanes.pitch[0]", True),
    ("null value", lambda d: d["voices"][0]["lanes"].update(pitch=[[0, None]]), "voices[0].lanes.pitch[0]", True),
    (
        "interpolation",
        lambda d: d["voices"][0]["lanes"].update(fry={"points": [[0, 0]], "interpolation": "cubic"}),
        "voices[0].lanes.fry.interpolation: unknown interpolation 'cubic'",
        True,
    ),
    ("curve key", lambda d: d["voices"][0]["lanes"].update(fry={"point": [[0, 0]]}), "lanes.fry.points: missing", True),
    ("negative time", lambda d: d["voices"][0]["lanes"]["pitch"].insert(0, [-1, 60]), "lanes.pitch[0]: time -1", True),
    ("note length", lambda d: d["voices"][0]["notes"][0].update(duration_s=0), "notes[0].duration_s: a note", True),
    ("note before", lambda d: d["voices"][0]["notes"][0].update(start_s=-1), "notes[0].start_s: -1 is below 0", True),
    ("velocity", lambda d: d["voices"][0]["notes"][0].update(velocity=128), "notes[0].velocity: 128 is above", True),
    ("soft velocity", lambda d: d["voices"][0]["notes"][0].update(velocity=1.5), "velocity: 1.5 where a whole", True),
    ("technique", lambda d: d["voices"][0]["notes"][0].update(technique="yodel"), "notes[0].technique", True),
    ("seed", lambda d: d["voices"][0].update(seed=-1), "voices[0].seed: -1", True),
    ("pan", lambda d: d["voices"][0].update(pan=1.5), "voices[0].pan: 1.5 is above 1", True),
    ("no name", lambda d: d["voices"][0].update(name=" "), "voices[0].name: a voice needs a name", True),
    ("take hash", lambda d: d["voices"][0]["takes"][0].update(audio_sha256="../x"), "takes[0].audio_sha256", True),
    ("tempo 0", lambda d: d["tempo"].update(points=[[0, 0]]), "tempo.points[0]: 0 is below 5", True),
    ("metre", lambda d: d["tempo"].update(metre=[[0, 3, 5]]), "tempo.metre[0]: 5 is not a note value", True),
    ("extensions list", lambda d: d.update(extensions=[]), "extensions: [] where an object", True),
    # What a schema cannot say.
    ("unsorted", lambda d: d["voices"][0]["lanes"]["pitch"].reverse(), "pitch[1]: time 0.25 s is not after", False),
    ("same time", lambda d: d["voices"][0]["lanes"]["pitch"].append([1.5, 48]), "pitch[2]: time 1.5 s is not", False),
    ("late point", lambda d: d["voices"][0]["lanes"]["pitch"].append([7, 48]), "pitch[2]: time 7 s is after", False),
    ("late note", lambda d: d["voices"][0]["notes"][1].update(duration_s=9), "notes[1]: ends at 11 s", False),
    ("tempo late", lambda d: d["tempo"].update(points=[[1, 90]]), "tempo.points: must begin at 0 s", False),
]


@pytest.mark.parametrize(("edit", "message", "schema_sees"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_loader_and_schema_agree(edit: Edit, message: str | None, schema_sees: bool, tmp_path: Path) -> None:
    document = copy.deepcopy(WHOLE)
    edit(document)
    path = tmp_path / "piece.stridor"
    path.write_text(json.dumps(document))
    assert SCHEMA.is_valid(document) == (message is None or not schema_sees)
    if message is None:
        load_passage(path)
        return
    with pytest.raises(UserError) as fault:
        load_passage(path)
    assert message in str(fault.value)
    assert "piece.stridor" in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"   \n", "is empty"),
        (b'{"revision": 1, "duration_s": 4, "no', "is not a whole passage"),
        (b"RIFF\x00\x00\x00\x00WAVE\xff\xfe", "is not text"),
        (b"[1, 2]", "holds no JSON object"),
        (b'{"revision": 1, "duration_s": NaN, "notes": []}', "NaN is not a number"),
        (b'{"revision": 1, "duration_s": 1e999, "notes": []}', "duration_s: inf is not a finite number"),
        (b'{"revision": 1, "seed": 1, "seed": 2}', "seed: stands twice"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b'{"revision": ' + b"9" * 10_000 + b"}", "is not a passage"),
    ],
)
def test_broken_truncated_and_foreign_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.stridor"
    path.write_bytes(content)
    with pytest.raises(UserError) as fault:
        load_passage(path)
    assert message in str(fault.value)
    assert len(str(fault.value)) < 300


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_passage(tmp_path / "nowhere.stridor")
    with pytest.raises(UserError, match="cannot be read"):
        load_passage(tmp_path)


def test_the_frozen_sample_of_revision_1_means_what_it_meant() -> None:
    passage = load_passage(FIXTURES / "revision_1.stridor")
    voice, other = passage.voices
    assert passage.duration_s == 6.5
    assert passage.tempo.points == ((0, 96), (3.25, 60.5))
    assert passage.tempo.metre == ((0, 3, 4), (2.5, 7, 8))
    assert (voice.name, voice.preset, voice.seed) == ("Stimme ä", "growl", 2**63 - 1)
    assert voice.notes == (Note(0.5, 1.25, 45.5, 127, "scream"), Note(2, 1, 40))
    assert voice.lanes["pitch"] == Lane(((0.25, 45.0), (1.5, 47.125)))
    assert voice.lanes["roughness"] == Lane(((0.0, 0.0), (6.5, 1.0)), "smooth")
    assert voice.lanes["adapter.9f86d081.late"].points == ((0.0, 1.5),)
    assert voice.takes[0].name == "second try"
    assert voice.takes[0].audio_exponent == 1
    assert (voice.gain_db, voice.pan) == (-3.5, -0.25)
    assert (other.name, other.preset, other.seed, other.notes) == ("Voice 2", None, 0, ())
    assert passage.extensions == {"org.example.score": {"page": 3, "marks": ["f", None, True]}}


def test_files_written_by_hand() -> None:
    lanes = load_passage(FIXTURES / "by_hand_lanes.stridor")
    assert lanes.voices[0].seed == 3
    assert lanes.voices[0].name == "Voice 1"
    assert "pitch" in lanes.voices[0].lanes
    notes = load_passage(FIXTURES / "by_hand_notes.stridor")
    assert notes.voices[0].notes[1].note == 60.5
    assert notes.voices[0].notes[0].velocity == 96


@pytest.mark.parametrize("path", sorted(DEMO_FOLDER.glob("*.stridor")), ids=lambda path: path.stem)
def test_demos_load_and_their_presets_exist(path: Path) -> None:
    passage = load_passage(path)
    assert SCHEMA.is_valid(json.loads(path.read_text()))
    for voice in passage.voices:
        assert voice.preset is not None
        assert load_preset(voice.preset).id == voice.preset


@settings(max_examples=60, deadline=None)
@given(passages())
def test_round_trip(passage: Passage) -> None:
    text = format_document(passage_to_document(passage))
    document = json.loads(text)
    assert passage_from_document(document) == passage
    assert SCHEMA.is_valid(document)
    assert max(len(line) for line in text.splitlines()) < 400


def test_saving_keeps_the_version_before_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.stridor"
    first, second = Passage(1.0), Passage(2.0)
    save_passage(first, path)
    assert not backup_path(path).exists()
    path.chmod(0o640)
    save_passage(second, path)
    assert load_passage(path) == second
    assert path.stat().st_mode & 0o777 == 0o640
    assert load_passage(backup_path(path)) == first
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.stridor", "a.stridor~"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_leaves_the_old_file(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.stridor"
    save_passage(Passage(1.0), path)
    before = path.read_bytes()

    def fail(_handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="was not written") as fault:
        save_passage(Passage(2.0), path)
    assert fault.value.remedy
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.stridor"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Choose a folder that exists"):
        save_passage(Passage(1.0), tmp_path / "no" / "a.stridor")


def test_migrations_run_one_revision_at_a_time_and_leave_the_original() -> None:
    chain = {1: lambda d: {**d, "steps": [*d["steps"], "1 to 2"]}, 2: lambda d: {**d, "steps": [*d["steps"], "2 to 3"]}}
    old = {"revision": 1, "steps": []}
    assert migrate(old, 3, chain, what="passage") == {"revision": 3, "steps": ["1 to 2", "2 to 3"]}
    assert old == {"revision": 1, "steps": []}


def test_every_revision_has_a_frozen_sample() -> None:
    for revision in range(1, PASSAGE_REVISION + 1):
        assert (FIXTURES / f"revision_{revision}.stridor").exists()


def test_long_lists_are_packed_and_short_objects_stay_on_a_line() -> None:
    voice = Voice(notes=(Note(0, 1, 60),), lanes={"fry": Lane(tuple((t / 10, 0.5) for t in range(100)))})
    lines = format_document(passage_to_document(Passage(10.0, voices=(voice,)))).splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 112
