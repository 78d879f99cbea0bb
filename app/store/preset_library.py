"""What one user makes of the presets: favourites, recent ones, program numbers. JSON in the user's data folder.

Revisions:
1  the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import platformdirs

from app.state.places import PlacedError
from app.store.documents import Document, Fields, Migration, migrate, read_document, save_document
from synth.errors import UserError

LIBRARY_REVISION: Final = 1
MIGRATIONS: Final[Mapping[int, Migration]] = {}
MAX_RECENT: Final = 30
N_PROGRAMS: Final = 128
N_BANKS: Final = 128


@dataclass(frozen=True, slots=True)
class PresetLibrary:
    """Favourites and recent presets by id, newest first; programs: bank * 128 + MIDI program 0..127 -> preset id."""

    favourites: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    programs: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in self.programs:
            if not 0 <= number < N_PROGRAMS * N_BANKS:
                raise PlacedError(f"programs.{number}", "no program number.", remedy="Use 0 to 16383.")
        object.__setattr__(self, "programs", MappingProxyType(dict(sorted(self.programs.items()))))

    def with_favourite(self, preset_id: str, *, is_one: bool) -> PresetLibrary:
        """Marked as a favourite, or no longer."""
        others = tuple(other for other in self.favourites if other != preset_id)
        return replace(self, favourites=(preset_id, *others) if is_one else others)

    def with_recent(self, preset_id: str) -> PresetLibrary:
        """Used just now."""
        others = tuple(other for other in self.recent if other != preset_id)
        return replace(self, recent=(preset_id, *others)[:MAX_RECENT])

    def with_program(self, number: int, preset_id: str | None) -> PresetLibrary:
        """Called by a program change of this number, and by no other; None: the number calls nothing."""
        programs = {n: other for n, other in self.programs.items() if n != number and other != preset_id}
        if preset_id is not None:
            programs[number] = preset_id
        return replace(self, programs=programs)

    def program_of(self, preset_id: str) -> int | None:
        """The program number of a preset."""
        return next((number for number, other in self.programs.items() if other == preset_id), None)

    def preset_for(self, program: int, bank: int = 0) -> str | None:
        """The preset that a program change asks for: MIDI program 0..127, bank 0..127."""
        return self.programs.get(bank * N_PROGRAMS + program)


def library_path() -> Path:
    """Where this user's library lies."""
    return platformdirs.user_data_path("stridor", appauthor=False) / "preset-library.json"


def load_library(path: Path | None = None) -> PresetLibrary:
    """The user's library; an empty one where there is none. Raises UserError for one that cannot be read."""
    path = library_path() if path is None else path
    if not path.exists():
        return PresetLibrary()
    try:
        fields = Fields(migrate(read_document(path, what="library"), LIBRARY_REVISION, MIGRATIONS, what="library"), "")
        fields.take("revision")
        favourites, recent = (_ids(fields.items(key, []), key) for key in ("favourites", "recent"))
        programs = _programs(fields.object("programs", {}))
        fields.finish()
        return PresetLibrary(favourites, recent, programs)
    except PlacedError as fault:
        raise UserError(f"{path}: {fault.message}", remedy="Mend it, or remove it to begin anew.") from fault


def save_library(library: PresetLibrary, path: Path | None = None) -> None:
    """Keep the library, atomically. Raises UserError."""
    path = library_path() if path is None else path
    document: Document = {
        "revision": LIBRARY_REVISION,
        "favourites": list(library.favourites),
        "recent": list(library.recent),
        "programs": {str(number): preset_id for number, preset_id in library.programs.items()},
    }
    save_document(path, document)


def _ids(items: list[Any], place: str) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in items):
        raise PlacedError(place, "not a list of ids.")
    return tuple(dict.fromkeys(items))


def _programs(entries: Document) -> dict[int, str]:
    programs: dict[int, str] = {}
    for number, preset_id in entries.items():
        if not (number.isascii() and number.isdigit() and len(number) <= 5) or not isinstance(preset_id, str):
            raise PlacedError(f"programs.{number[:20]}", "not a program number and an id.")
        programs[int(number)] = preset_id
    return programs
