"""Preset files: strict JSON, one preset each, named by their id. Described in docs/presets.md.

Revisions:
1  the first: the keys of app.state.preset.Preset.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from app.state.places import PlacedError
from app.state.preset import NEUTRAL_PRESET, Preset
from app.store.atomic import write_atomically
from app.store.documents import Document, Fields, Migration, format_document, migrate, read_document
from synth.errors import UserError

_logger = logging.getLogger(__name__)

PRESET_REVISION: Final = 1
PRESET_SUFFIX: Final = ".json"
MIGRATIONS: Final[Mapping[int, Migration]] = {}
FACTORY_FOLDER: Final = Path(__file__).parents[2] / "presets"
DEMO_FOLDER: Final = FACTORY_FOLDER / "demo"


@dataclass(frozen=True, slots=True)
class PresetShelf:
    """What the preset folders hold: good presets by id (first folder wins), and what was wrong with the others."""

    presets: Mapping[str, Preset]
    faults: tuple[UserError, ...]


def user_preset_folder() -> Path:
    """Where this user's own presets live; it need not exist."""
    return platformdirs.user_data_path("stridor", appauthor=False) / "presets"


def preset_folders() -> tuple[Path, ...]:
    """The user's folder, then the factory's: a user's preset stands before a factory preset of the same id."""
    return user_preset_folder(), FACTORY_FOLDER


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
    document = read_document(path, what="preset")
    try:
        preset = preset_from_document(document)
        if preset.id != path.stem:
            raise PlacedError("id", f"{preset.id!r} differs from the file's name.", remedy="Rename one of them.")
    except PlacedError as fault:
        raise UserError(f"{path.name}: {fault.message}", remedy=fault.remedy) from fault
    return preset


def save_preset(preset: Preset, folder: Path | None = None) -> Path:
    """Write `<id>.json` to `folder` (default: the user's own, made where needed). -> its path"""
    folder = user_preset_folder() if folder is None else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"{folder} cannot be made: {fault.strerror or fault}.", remedy="Check its parent.") from fault
    path = folder / f"{preset.id}{PRESET_SUFFIX}"
    write_atomically(path, (format_document(preset_to_document(preset)) + "\n").encode("utf-8"))
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
    )
    fields.finish()
    return preset


def preset_to_document(preset: Preset) -> Document:
    """The preset as JSON values; `preset_from_document` gives an equal preset back."""
    document: Document = {"revision": PRESET_REVISION}
    for key in Preset.__dataclass_fields__:
        value = getattr(preset, key)
        if key == "timbre" and value is None:
            continue
        document[key] = (
            dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
        )
    return document


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
    return tuple(float(number) for number in value)
