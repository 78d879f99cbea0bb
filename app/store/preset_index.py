"""What a browser shows of every preset, and searching it: quick with ten thousand of them.

Reading a preset whole takes a fifth of a millisecond, so what the browser shows is kept in one file beside the user's
caches. A row is believed while its file's size and time of change are those it was made from. The file is only a
short cut: it is made anew whenever it cannot be used.

Revisions:
1  the first.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from app.state.preset import Preset
from app.store.atomic import write_atomically
from app.store.presets import FACTORY_COLLECTION, PRESET_SUFFIX, load_preset_file, preset_folders
from synth.errors import UserError

_logger = logging.getLogger(__name__)

INDEX_REVISION: Final = 1
SHOWCASE: Final = "showcase"  # the factory's presets with this tag come first: they tell what the instrument is
_N_FIELDS: Final = 9


@dataclass(frozen=True, slots=True)
class Row:
    """One preset as the browser shows it. `technique`: its strongest one; `blend`: all of them, strongest first."""

    id: str
    name: str
    author: str
    licence: str
    description: str
    tags: tuple[str, ...]
    blend: tuple[str, ...]
    path: Path
    adapted: bool = False

    @property
    def technique(self) -> str:
        return self.blend[0]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; empty fields ask for nothing.

    text         words that must all occur in name, tags, techniques, author or description; `tag:x` and `by:x` ask
                 for a tag or an author alone
    technique    the strongest technique;  ids: only these, such as favourites
    """

    text: str = ""
    technique: str = ""
    ids: frozenset[str] | None = None


class PresetIndex:
    """Rows of every readable preset, the factory's showcase first, then by name; and what was wrong with the others."""

    def __init__(self, rows: Iterable[Row], faults: Sequence[UserError] = ()) -> None:
        self.rows = tuple(sorted(rows, key=_place))
        self.faults = tuple(faults)
        self._by_id = {row.id: index for index, row in enumerate(self.rows)}
        self._names = [row.name.casefold() for row in self.rows]
        self._texts = [_searched(row) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, preset_id: str) -> Row | None:
        """The row of a preset."""
        index = self._by_id.get(preset_id)
        return None if index is None else self.rows[index]

    def search(self, query: Query) -> list[int]:
        """Indices into `rows`: names that begin with the first word, then names that hold it, then the others."""
        found: Sequence[int] = range(len(self.rows))
        if query.ids is not None:
            found = sorted(self._by_id[preset_id] for preset_id in query.ids if preset_id in self._by_id)
        if query.technique:
            found = [index for index in found if self.rows[index].blend[0] == query.technique]
        words = query.text.casefold().split()
        for word in words:
            found = [index for index in found if self._holds(index, word)]
        if words and ":" not in words[0]:
            first, names = words[0], self._names
            ranks = {
                index: 0 if names[index].startswith(first) else 1 if first in names[index] else 2 for index in found
            }
            return sorted(found, key=ranks.__getitem__)
        return list(found)

    def techniques(self) -> dict[str, int]:
        """Strongest technique -> how many presets."""
        return _counted(row.technique for row in self.rows)

    def tags(self) -> dict[str, int]:
        """Tag -> how many presets, the most frequent first."""
        return _counted(tag for row in self.rows for tag in row.tags)

    def authors(self) -> dict[str, int]:
        """Author -> how many presets, the most frequent first."""
        return _counted(row.author for row in self.rows if row.author)

    def _holds(self, index: int, word: str) -> bool:
        kind, colon, wanted = word.partition(":")
        if colon and kind == "tag":
            return any(wanted in tag.casefold() for tag in self.rows[index].tags)
        if colon and kind == "by":
            return wanted in self.rows[index].author.casefold()
        return word in self._texts[index]


def row_of(preset: Preset, path: Path) -> Row:
    """What the browser shows of a preset."""
    blend = sorted((name for name, weight in preset.technique.items() if weight > 0.0), key=_by_weight(preset))
    texts = (preset.id, preset.name, preset.author, preset.licence, preset.description)
    return Row(*texts, preset.tags, tuple(blend), path, bool(preset.adapters))


def index_path() -> Path:
    """Where the rows are kept between starts."""
    return platformdirs.user_cache_path("stridor", appauthor=False) / "preset-index.json"


def read_index(folders: Sequence[Path] | None = None, cache: Path | None = None) -> PresetIndex:
    """Rows of every preset in `folders` (default: all of the installed), of one id the first.

    Files that have not changed since they were last read are not read again.
    """
    cache = index_path() if cache is None else cache
    kept = _read_cache(cache)
    rows: dict[str, Row] = {}
    faults: list[UserError] = []
    entries: dict[str, list[Any]] = {}
    has_news = False
    for folder in preset_folders() if folders is None else folders:
        for path, stamp in _files(folder):
            entry = kept.get(path)
            if entry is None or entry[0] != stamp:
                has_news = True
                entry = _read_entry(path, stamp, faults)
                if entry is None:
                    continue
            entries[path] = entry
            if entry[1] not in rows:
                rows[entry[1]] = _row(path, entry)
    if has_news or len(entries) != len(kept):
        _write_cache(cache, entries)
    return PresetIndex(rows.values(), faults)


def _files(folder: Path) -> list[tuple[str, list[int]]]:
    """(path, [size, time of change]) of the presets in a folder, by name."""
    found: list[tuple[str, list[int]]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(PRESET_SUFFIX) and entry.is_file():
                    state = entry.stat()
                    found.append((entry.path, [state.st_size, state.st_mtime_ns]))
    except OSError:
        return []
    return sorted(found)


def _read_entry(path: str, stamp: list[int], faults: list[UserError]) -> list[Any] | None:
    try:
        row = row_of(load_preset_file(Path(path)), Path(path))
    except UserError as fault:
        faults.append(fault)
        return None
    texts = [row.id, row.name, row.author, row.licence, row.description]
    return [stamp, *texts, list(row.tags), list(row.blend), row.adapted]


def _row(path: str, entry: list[Any]) -> Row:
    _stamp, preset_id, name, author, licence, description, tags, blend, adapted = entry
    return Row(preset_id, name, author, licence, description, tuple(tags), tuple(blend), Path(path), adapted)


def _read_cache(cache: Path) -> dict[str, list[Any]]:
    try:
        document = json.loads(cache.read_bytes())
        rows = document["rows"] if document["revision"] == INDEX_REVISION else {}
        return rows if all(_is_entry(entry) for entry in rows.values()) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _is_entry(entry: Any) -> bool:
    """As `_read_entry` makes them: the cache is a file like any other."""
    return (
        isinstance(entry, list)
        and len(entry) == _N_FIELDS
        and all(isinstance(text, str) for text in entry[1:6])
        and all(isinstance(words, list) and all(isinstance(word, str) for word in words) for words in entry[6:8])
        and bool(entry[7])
    )


def _write_cache(cache: Path, entries: dict[str, list[Any]]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps({"revision": INDEX_REVISION, "rows": entries}).encode("utf-8"))
    except (OSError, UserError) as fault:
        _logger.info("The list of presets was not kept: %s", fault)


def _place(row: Row) -> tuple[bool, str, str]:
    is_first = SHOWCASE in row.tags and row.path.parent == FACTORY_COLLECTION
    return not is_first, row.name.casefold(), row.id


def _searched(row: Row) -> str:
    return " ".join((row.name, row.id, row.author, *row.tags, *row.blend, row.description)).casefold()


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by_weight(preset: Preset) -> Callable[[str], float]:
    return lambda name: -preset.technique[name]
