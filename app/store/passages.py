"""Passage files (`.stridor`): JSON, strict, versioned, saved atomically. Described in docs/passage-format.md.

Revisions:
1  the first: duration_s, tempo, voices (name, preset, seed, notes, lanes, takes, gain_db, pan), extensions; one voice
   may stand at the top level.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from app.state.passage import Lane, Note, Passage, Take, Tempo, Voice
from app.state.places import PlacedError, at
from app.store.atomic import write_atomically
from app.store.documents import Document, Fields, Migration, format_document, migrate, pairs, read_document
from synth.errors import UserError

PASSAGE_REVISION: Final = 1
PASSAGE_SUFFIX: Final = ".stridor"
SCHEMA_PATH: Final = Path(__file__).parent / "schema" / f"passage-{PASSAGE_REVISION}.json"
MIGRATIONS: Final[Mapping[int, Migration]] = {}  # revision -> what turns it into the next one

_VOICE_SHORTHAND: Final = ("preset", "seed", "notes", "lanes")


def load_passage(path: Path) -> Passage:
    """The passage in `path`. Raises UserError that names file, key and place; never repairs anything silently."""
    path = Path(path)
    document = read_document(path, what="passage")
    try:
        return passage_from_document(document)
    except PlacedError as fault:
        raise UserError(f"{path.name}: {fault.message}", remedy=fault.remedy) from fault


def save_passage(passage: Passage, path: Path) -> None:
    """Replace `path` by the passage; the version before it stays beside it as `name.stridor~`.

    Raises UserError on a read-only or full disk; the old file is then untouched.
    """
    text = format_document(passage_to_document(passage)) + "\n"
    write_atomically(Path(path), text.encode("utf-8"), keep_backup=True)


def passage_from_document(document: Document) -> Passage:
    """A passage from parsed JSON of any known revision. Raises PlacedError."""
    fields = Fields(migrate(document, PASSAGE_REVISION, MIGRATIONS, what="passage"), "")
    fields.take("revision")
    duration_s = fields.number("duration_s")
    with at("tempo"):
        tempo = _tempo(fields.take("tempo", None))
    if fields.has("voices"):
        voices = tuple(_voice(entry, index) for index, entry in enumerate(fields.items("voices")))
        _refuse_both_forms(fields)
    else:
        shorthand = {key: fields.take(key) for key in _VOICE_SHORTHAND if fields.has(key)}
        if not shorthand.keys() & {"notes", "lanes"}:
            fields.take("voices", None)
            fields.take("extensions", None)
            fields.finish()
            raise PlacedError("", "the passage has no voices, notes or lanes.", remedy="Add notes or lanes.")
        voices = (_voice(shorthand, 0, place=""),)
    extensions = fields.object("extensions", {})
    for key in _VOICE_SHORTHAND:
        fields.take(key, None)
    fields.finish()
    return Passage(duration_s, tempo, voices, extensions)


def passage_to_document(passage: Passage) -> Document:
    """The passage as JSON values; `passage_from_document` gives an equal passage back."""
    document: Document = {"revision": PASSAGE_REVISION, "duration_s": passage.duration_s}
    if passage.tempo != Tempo():
        document["tempo"] = {"points": _lists(passage.tempo.points), "metre": _lists(passage.tempo.metre)}
    document["voices"] = [_voice_document(voice) for voice in passage.voices]
    if passage.extensions:
        document["extensions"] = dict(passage.extensions)
    return document


def _refuse_both_forms(fields: Fields) -> None:
    for key in _VOICE_SHORTHAND:
        if fields.has(key):
            raise PlacedError(key, "stands beside voices.", remedy="Move it into one of the voices.")


def _tempo(value: object) -> Tempo:
    if value is None:
        return Tempo()
    fields = Fields(value, "")
    points = pairs(fields.take("points", [[0.0, 120.0]]), 2, "points")
    metre = pairs(fields.take("metre", [[0.0, 4, 4]]), 3, "metre")
    fields.finish()
    for index, (_, beats, unit) in enumerate(metre):
        if not (isinstance(beats, int) and isinstance(unit, int)):
            raise PlacedError(f"metre[{index}]", "beats and unit are whole numbers.")
    return Tempo(tuple((t_s, bpm) for t_s, bpm in points), tuple((t_s, beats, unit) for t_s, beats, unit in metre))


def _voice(value: object, index: int, *, place: str | None = None) -> Voice:
    with at(f"voices[{index}]" if place is None else place):
        fields = Fields(value, "")
        name = fields.text("name", f"Voice {index + 1}")
        preset = fields.text_or_none("preset")
        seed = fields.integer("seed", 0)
        notes = tuple(_note(entry, f"notes[{number}]") for number, entry in enumerate(fields.items("notes", [])))
        lanes = {lane_id: _lane(entry, f"lanes.{lane_id}") for lane_id, entry in fields.object("lanes", {}).items()}
        takes = tuple(_take(entry, f"takes[{number}]") for number, entry in enumerate(fields.items("takes", [])))
        gain_db, pan = fields.number("gain_db", 0.0), fields.number("pan", 0.0)
        fields.finish()
        return Voice(name, preset, seed, notes, lanes, takes, gain_db, pan)


def _note(value: object, place: str) -> Note:
    with at(place):
        fields = Fields(value, "")
        note = Note(
            fields.number("start_s"),
            fields.number("duration_s"),
            fields.number("note"),
            fields.integer("velocity", 96),
            fields.text_or_none("technique"),
        )
        fields.finish()
        return note


def _lane(value: object, place: str) -> Lane:
    with at(place):
        if not isinstance(value, dict):
            return Lane(_points(value))
        fields = Fields(value, "")
        interpolation: Any = fields.text("interpolation", "linear")
        drawn = fields.take("points")
        with at("points"):
            points = _points(drawn)
        fields.finish()
        return Lane(points, interpolation)


def _points(value: object) -> tuple[tuple[float, float], ...]:
    return tuple((t_s, number) for t_s, number in pairs(value, 2, ""))


def _take(value: object, place: str) -> Take:
    with at(place):
        fields = Fields(value, "")
        take = Take(
            fields.text("name"),
            fields.number("start_s"),
            fields.number("duration_s"),
            fields.integer("seed"),
            fields.text("weights"),
            fields.text("quality"),
            fields.text("latents_sha256"),
            fields.text("audio_sha256"),
            fields.integer("audio_exponent", 0),
        )
        fields.finish()
        return take


def _voice_document(voice: Voice) -> Document:
    document: Document = {"name": voice.name, "preset": voice.preset, "seed": voice.seed}
    if voice.notes:
        document["notes"] = [_note_document(note) for note in voice.notes]
    if voice.lanes:
        document["lanes"] = {lane_id: _lane_document(curve) for lane_id, curve in voice.lanes.items()}
    if voice.takes:
        document["takes"] = [{key: getattr(take, key) for key in Take.__dataclass_fields__} for take in voice.takes]
    document["gain_db"], document["pan"] = voice.gain_db, voice.pan
    return document


def _note_document(note: Note) -> Document:
    document: Document = {
        "start_s": note.start_s, "duration_s": note.duration_s, "note": note.note, "velocity": note.velocity
    }  # fmt: skip
    if note.technique is not None:
        document["technique"] = note.technique
    return document


def _lane_document(curve: Lane) -> object:
    if curve.interpolation == "linear":
        return _lists(curve.points)
    return {"interpolation": curve.interpolation, "points": _lists(curve.points)}


def _lists(rows: tuple[tuple[Any, ...], ...]) -> list[list[Any]]:
    return [list(row) for row in rows]
