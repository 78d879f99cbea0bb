"""Preset files: strict JSON, one preset each, named by their id. Described in docs/presets.md.

Revisions:
1  the first.
2  adds notes, edition, model, adapters, lane_ranges, midi_map, playing, level_db and gestures, all of which may be
   left out.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, Final

import platformdirs

from app.state.places import PlacedError, at
from app.state.preset import NEUTRAL_PRESET, Preset
from app.state.preset_parts import AdapterReference, ModelReference
from app.store.atomic import make_folder, read_bytes, write_atomically
from app.store.documents import Document, Fields, Migration, format_document, migrate, pairs, parse_document
from app.store.installed_packs import installed_preset_folders
from synth.errors import UserError

_logger = logging.getLogger(__name__)

PRESET_REVISION: Final = 2
PRESET_SUFFIX: Final = ".json"
MAX_PRESET_BYTES: Final = 256 * 1024
FACTORY_FOLDER: Final = Path(__file__).parents[2] / "presets"
FACTORY_COLLECTION: Final = FACTORY_FOLDER / "factory"
DEMO_FOLDER: Final = FACTORY_FOLDER / "demo"
_LATER_KEYS: Final = frozenset(
    ("notes", "edition", "model", "adapters", "lane_ranges", "midi_map", "playing", "level_db", "gestures")
)


def _from_revision_1(document: Document) -> Document:
    """Nothing was renamed. A key of a later revision was unknown then, and still is an error."""
    for key in document:
        if key in _LATER_KEYS:
            raise PlacedError(key, "unknown in revision 1.", remedy='Write "revision": 2.')
    return document


MIGRATIONS: Final[Mapping[int, Migration]] = {1: _from_revision_1}


@dataclass(frozen=True, slots=True)
class PresetShelf:
    """What the preset folders hold: good presets by id (first folder wins), and what was wrong with the others."""

    presets: Mapping[str, Preset]
    faults: tuple[UserError, ...]


def user_preset_folder() -> Path:
    """Where this user's own presets live; it need not exist."""
    return platformdirs.user_data_path("stridor", appauthor=False) / "presets"


def preset_folders() -> tuple[Path, ...]:
    """The user's folder, the factory's, then those of installed packs: of one id the first stands.

    So a user may put a preset before the factory's, and a pack can hide neither.
    """
    return user_preset_folder(), FACTORY_FOLDER, FACTORY_COLLECTION, *installed_preset_folders()


def read_shelf(folders: Sequence[Path] | None = None) -> PresetShelf:
    """Read every preset. A broken file is a fault on the shelf and does not hide the others."""
    presets: dict[str, Preset] = {}
    faults: list[UserError] = []
    for folder in preset_folders() if folders is None else folders:
        for path in sorted(folder.glob(f"*{PRESET_SUFFIX}")):
            try:
                preset = load_preset_file(path)
            except UserError as fault:
                faults.append(fault)
                continue
            presets.setdefault(preset.id, preset)
    return PresetShelf(dict(sorted(presets.items())), tuple(faults))


def program_order() -> list[str]:
    """Preset ids by the program number of a MIDI file: the first factory presets, so that their numbers stay, then
    all others, each by id."""
    first = {path.stem for path in FACTORY_FOLDER.glob(f"*{PRESET_SUFFIX}")}
    return sorted(read_shelf().presets, key=lambda name: (name not in first, name))


def list_presets(folders: Sequence[Path] | None = None) -> list[Preset]:
    """Every readable preset, sorted by name; unreadable ones are logged."""
    shelf = read_shelf(folders)
    for fault in shelf.faults:
        _logger.warning("Preset left out: %s", fault)
    return sorted(shelf.presets.values(), key=lambda preset: preset.name.casefold())


def load_preset(preset_id: str | None, folders: Sequence[Path] | None = None) -> Preset:
    """The preset called `preset_id`; None is the neutral one. Raises UserError with the nearest known ids."""
    if preset_id is None or preset_id == NEUTRAL_PRESET.id:
        return NEUTRAL_PRESET
    folders = preset_folders() if folders is None else folders
    for folder in folders:
        path = folder / f"{preset_id}{PRESET_SUFFIX}"
        if Path(preset_id).name == preset_id and path.is_file():
            return load_preset_file(path)
    known = sorted(read_shelf(folders).presets)
    near = difflib.get_close_matches(preset_id, known, n=3) or known
    raise UserError(f"There is no preset {preset_id!r}.", remedy=f"Known: {', '.join(near)}.")


def load_preset_file(path: Path) -> Preset:
    """One preset file. Raises UserError that names file, key and place."""
    return parse_preset(read_bytes(path), path.name)


def parse_preset(content: bytes, file_name: str) -> Preset:
    """A preset from a file's bytes; its id is the file's stem. Raises UserError that names file, key and place."""
    if len(content) > MAX_PRESET_BYTES:
        raise UserError(f"{file_name} is too large to be a preset.", remedy="Choose a Stridor preset file.")
    document = parse_document(content, file_name, what="preset")
    try:
        preset = preset_from_document(document)
        if f"{preset.id}{PRESET_SUFFIX}" != file_name:
            raise PlacedError("id", f"{preset.id!r} differs from the file's name.", remedy="Rename one of them.")
    except PlacedError as fault:
        raise UserError(f"{file_name}: {fault.message}", remedy=fault.remedy) from fault
    return preset


def format_preset(preset: Preset) -> bytes:
    """A preset's file."""
    return (format_document(preset_to_document(preset)) + "\n").encode("utf-8")


def save_preset(preset: Preset, folder: Path | None = None) -> Path:
    """Write `<id>.json` to `folder` (default: the user's own, made where needed). -> its path"""
    folder = user_preset_folder() if folder is None else folder
    path = make_folder(folder) / f"{preset.id}{PRESET_SUFFIX}"
    write_atomically(path, format_preset(preset))
    return path


def preset_from_document(document: Document) -> Preset:
    """A preset from parsed JSON of any known revision. Raises PlacedError."""
    fields = Fields(migrate(document, PRESET_REVISION, MIGRATIONS, what="preset"), "")
    fields.take("revision")
    timbre = fields.take("timbre", None)
    preset = Preset(
        id=fields.text("id"),
        name=fields.text("name"),
        author=fields.text("author"),
        licence=fields.text("licence"),
        consent=fields.text("consent"),
        tags=tuple(_texts(fields.items("tags", []), "tags")),
        description=fields.text("description", ""),
        lane_defaults=_numbers(fields.object("lane_defaults", {}), "lane_defaults"),
        technique=_numbers(fields.object("technique", {"modal": 1.0}), "technique"),
        timbre=None if timbre is None else _timbre(timbre),
        pitch_drift=fields.number("pitch_drift", 0.35),
        attack_s=fields.number("attack_s", 0.03),
        release_s=fields.number("release_s", 0.12),
        velocity_to_loudness_db=fields.number("velocity_to_loudness_db", 12.0),
        notes=fields.text("notes", ""),
        edition=fields.integer("edition", 1),
        model=_model(fields.take("model", None)),
        adapters=_adapters(fields.items("adapters", [])),
        lane_ranges=_ranges(fields.object("lane_ranges", {})),
        midi_map=fields.text_or_none("midi_map"),
        playing=fields.text_or_none("playing"),
        level_db=fields.number("level_db", 0.0),
        gestures=_gestures(fields.object("gestures", {})),
    )
    fields.finish()
    return preset


def preset_to_document(preset: Preset) -> Document:
    """The preset as JSON values; `preset_from_document` gives an equal preset back. What says nothing is left out."""
    document: Document = {"revision": PRESET_REVISION}
    for field in fields_of(Preset):
        value = getattr(preset, field.name)
        if field.name in _LATER_KEYS and value == _default_of(field):
            continue
        if field.name == "timbre" and value is None:
            continue
        document[field.name] = _to_json(value)
    return document


def _default_of(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _to_json(value: Any) -> Any:
    if isinstance(value, ModelReference | AdapterReference):
        return {field.name: _to_json(getattr(value, field.name)) for field in fields_of(value)}
    if isinstance(value, Mapping):
        return {key: _to_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_to_json(inner) for inner in value]
    return value


def _model(value: object) -> ModelReference | None:
    if value is None:
        return None
    with at("model"):
        fields = Fields(value, "")
        model = ModelReference(fields.text("name"), fields.text("hash"))
        fields.finish()
    return model


def _adapters(items: list[Any]) -> tuple[AdapterReference, ...]:
    adapters: list[AdapterReference] = []
    for index, item in enumerate(items):
        with at(f"adapters[{index}]"):
            fields = Fields(item, "")
            strengths = _numbers(fields.object("strengths"), "strengths")
            adapters.append(AdapterReference(fields.text("id"), fields.text("sha256"), strengths))
            fields.finish()
    return tuple(adapters)


def _ranges(entries: Document) -> dict[str, tuple[float, float]]:
    ranges: dict[str, tuple[float, float]] = {}
    for lane_id, limits in entries.items():
        ((low, high),) = pairs([limits], 2, f"lane_ranges.{lane_id}")
        ranges[lane_id] = (low, high)
    return ranges


def _gestures(entries: Document) -> dict[str, tuple[tuple[float, float], ...]]:
    return {
        lane_id: tuple((t_s, offset) for t_s, offset in pairs(points, 2, f"gestures.{lane_id}"))
        for lane_id, points in entries.items()
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(entries: Mapping[str, Any], place: str) -> dict[str, float]:
    for key, value in entries.items():
        if not _is_number(value):
            raise PlacedError(f"{place}.{key}", f"{value!r} where a number belongs.")
    return dict(entries)


def _texts(entries: list[Any], place: str) -> list[str]:
    for index, value in enumerate(entries):
        if not isinstance(value, str):
            raise PlacedError(f"{place}[{index}]", f"{value!r} where text belongs.")
    return entries


def _timbre(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(_is_number(number) for number in value):
        raise PlacedError("timbre", "not a list of numbers.")
    return tuple(value)
