"""What a browser shows of every preset, and searching it: quick with ten thousand of them.

Reading a preset whole takes a fifth of a millisecond, so what the browser shows is kept in one file beside the user's
caches. A row is believed while its file's size and time of change are those it was made from. The file is only a
short cut: it is made anew whenever it cannot be used.

Revisions:
1  the first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import platformdirs

from app.state.preset import Preset
from app.store.atomic import write_atomically
from app.store.presets import FACTORY_COLLECTION, PRESET_SUFFIX, load_preset_file, preset_folders
from synth.errors import UserError

_logger = logging.getLogger(__name__)

INDEX_REVISION: Final = 1
SHOWCASE: Final = "showcase"  # the factory's presets with this tag come first: they tell what the instrument is
_SHOWCASE_FOLDER: Final = str(FACTORY_COLLECTION)
_STAMP_FIELDS: Final = 2


class Row(NamedTuple):
    """One preset as the browser shows it. blend: its techniques, strongest first; file: where it lies.

    A tuple, because ten thousand of them are made when a browser opens.
    """

    id: str
    name: str
    author: str
    licence: str
    description: str
    tags: Sequence[str]
    blend: Sequence[str]
    adapted: bool
    file: str

    @property
    def technique(self) -> str:
        """The strongest technique."""
        return self.blend[0]

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.file)


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

    @cached_property
    def _names(self) -> list[str]:
        return [row.name.casefold() for row in self.rows]

    @cached_property
    def _texts(self) -> list[str]:
        """What words are looked for in; made with the first word."""
        return [_searched(row) for row in self.rows]

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
        return _counted(row.blend[0] for row in self.rows)

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
    weights = preset.technique
    blend = sorted((name for name, weight in weights.items() if weight > 0.0), key=lambda name: -weights[name])
    texts = (preset.id, preset.name, preset.author, preset.licence, preset.description)
    return Row(*texts, list(preset.tags), blend, bool(preset.adapters), str(path))


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
        for path, size, changed_ns in _files(folder):
            entry = kept.get(path)
            if entry is None or entry[0] != size or entry[1] != changed_ns:
                has_news = True
                entry = _read_entry(path, [size, changed_ns], faults)
                if entry is None:
                    continue
            entries[path] = entry
            row = Row._make((*entry[_STAMP_FIELDS:], path))
            rows.setdefault(row.id, row)
    if has_news or len(entries) != len(kept):
        _write_cache(cache, entries)
    return PresetIndex(rows.values(), faults)


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """(path, size, time of change in ns) of the presets in a folder, by name."""
    found: list[tuple[str, int, int]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(PRESET_SUFFIX) and entry.is_file():
                    state = entry.stat()
                    found.append((entry.path, state.st_size, state.st_mtime_ns))
    except OSError:
        return []
    return sorted(found)


def _read_entry(path: str, stamp: list[int], faults: list[UserError]) -> list[Any] | None:
    """Size, time of change, and the row's fields but the last."""
    try:
        row = row_of(load_preset_file(Path(path)), Path(path))
    except UserError as fault:
        faults.append(fault)
        return None
    return [*stamp, *row[:-1]]


def _read_cache(cache: Path) -> dict[str, list[Any]]:
    """What `_write_cache` wrote, untouched since; nothing where it was not, or was by another revision."""
    try:
        digest, _, content = cache.read_bytes().partition(b"\n")
        if _digest(content) != digest:
            return {}
        document = json.loads(content)
        return document["rows"] if document["revision"] == INDEX_REVISION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_cache(cache: Path, entries: dict[str, list[Any]]) -> None:
    content = json.dumps({"revision": INDEX_REVISION, "rows": entries}).encode("utf-8")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, _digest(content) + b"\n" + content)
    except (OSError, UserError) as fault:
        _logger.info("The list of presets was not kept: %s", fault)


def _digest(content: bytes) -> bytes:
    """Against damage, not against anybody: who can write here is the user."""
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode("ascii")


def _place(row: Row) -> tuple[bool, str, str]:
    is_first = SHOWCASE in row.tags and row.file.startswith(_SHOWCASE_FOLDER)
    return not is_first, row.name.casefold(), row.id


def _searched(row: Row) -> str:
    return " ".join((row.name, row.id, row.author, *row.tags, *row.blend, row.description)).casefold()


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))
