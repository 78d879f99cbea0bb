"""Recorded voices, by catalogue or by folder, and the catalogue's columns.

`catalog.csv` has one line a recording. `file` and `technique` (the label) must be there; `licence`, `consent`,
`attribution`, `collection`, `family`, `split` and `singer` are read when they are. Other columns are left alone.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from synth.corpus.labels import LABEL_MEANINGS
from synth.corpus.manifest import SPLITS, Split, family_of
from synth.errors import UserError

CATALOGUE_NAME: Final = "catalog.csv"
AUDIO_SUFFIXES: Final = frozenset({".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3"})
# Sound that is not read: whoever has some wants to know.
_OTHER_SOUND: Final = frozenset({".m4a", ".aac", ".mp4", ".wma", ".opus", ".caf", ".au", ".w64", ".ape", ".wv"})
ATTRIBUTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "merry-orks": "Merry Orks by Karoryfer Samples",
        "producer-space": "vocal packs by Producer Space",
        "vocobox": "Copyright (c) 2014 vocobox (human-voice-dataset, Martin), MIT licence",
    }
)
_PUBLISHED: Final = "published by its makers under the licence named"


@dataclass(frozen=True, slots=True)
class Source:
    """One recording.

    name         its path inside `folder`, with forward slashes
    given_family what the catalogue calls its family; "" where the file name says it
    given_split  the split it was dealt once, which it keeps; None where none is recorded
    """

    folder: Path
    name: str
    collection: str
    label: str
    licence: str
    consent: str
    attribution: str
    given_family: str = ""
    given_split: Split | None = None
    singer: str = ""

    @property
    def path(self) -> Path:
        """Where the sound file lies."""
        return self.folder / self.name

    @property
    def family(self) -> str:
        """Recordings of one family never part between splits.

        The single vowels of vocobox were cut from takes that the folder holds as well: they are one family.
        """
        family = self.given_family or family_of(self.name)
        return "vocobox/martin_voyels" if family.startswith("vocobox/martin_voyels") else family

    @property
    def group(self) -> str:
        """Families of one collection and label are shared out between the splits together."""
        return f"{self.collection}/{self.label}"


def read_catalogue(voices_dir: Path) -> list[Source]:
    """Every recording named in `voices_dir`/catalog.csv. Raises UserError for missing files and unknown labels."""
    path = voices_dir / CATALOGUE_NAME
    if not path.is_file():
        raise UserError(
            f"There is no {CATALOGUE_NAME} in {voices_dir}.", remedy="Import it first: `stridor corpus import`."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets begin with a byte order mark
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as fault:
        raise UserError(f"{path} cannot be read: {fault}.", remedy="Save it as CSV in UTF-8.") from fault
    sources = [_source(voices_dir, row, f"{path}, line {line}") for line, row in enumerate(rows, start=2)]
    refuse_doubles(sources)
    return sources


def refuse_doubles(sources: Sequence[Source]) -> None:
    """Raises UserError where a recording is named twice, or two of one collection bear one name."""
    seen: dict[tuple[str, str], Source] = {}
    for source in sources:
        other = seen.setdefault((source.collection, source.name), source)
        if other is not source:
            same = other.path == source.path
            raise UserError(
                f"{source.path} is named twice." if same else f"{other.path} and {source.path} have one name.",
                remedy="Name each recording once." if same else "Give their folders collections of their own.",
            )


def _source(voices_dir: Path, row: Mapping[str, str | None], place: str) -> Source:
    name, label, licence = row.get("file"), row.get("technique"), row.get("licence")
    if not name or not label:
        raise UserError(f"{place}: file or technique is missing.", remedy="Mend the catalogue.")
    if label not in LABEL_MEANINGS:
        raise UserError(f"{place}: unknown technique {label!r}.", remedy=f"Use one of {', '.join(LABEL_MEANINGS)}.")
    if not (voices_dir / name).is_file():
        raise UserError(f"{place}: there is no file {name}.", remedy="Mend the catalogue.")
    split = row.get("split") or None
    if split is not None and split not in SPLITS:
        raise UserError(f"{place}: unknown split {split!r}.", remedy=f"Use one of {', '.join(SPLITS)}.")
    collection = row.get("collection") or name.split("/")[0]
    return Source(
        voices_dir, name, collection, label, licence or "",
        row.get("consent") or (_PUBLISHED if licence else ""),
        row.get("attribution") or ATTRIBUTIONS.get(collection, ""),
        row.get("family") or "", cast("Split | None", split), row.get("singer") or "",
    )  # fmt: skip


def sound_files(folder: Path) -> list[Path]:
    """Every sound file below `folder`, sorted. Raises UserError when there is none."""
    return list_sounds(folder)[0]


def list_sounds(folder: Path) -> tuple[list[Path], list[str]]:
    """-> (every sound file below `folder`, sorted; one line for each thing that was left out)

    Links are followed, and no folder is read twice. Raises UserError when there is nothing to read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.", remedy="Name the folder that holds the recordings.")
    paths: list[Path] = []
    said: list[str] = []
    others: Counter[str] = Counter()
    seen: set[str] = set()

    def unreadable(fault: OSError) -> None:
        said.append(f"{_shown(Path(fault.filename), folder)}: cannot be read: {fault.strerror}.")

    for place, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        folders.sort()
        real = os.path.realpath(place)
        if real in seen:
            said.append(f"{_shown(Path(place), folder)}: the same folder as one that was read.")
            folders.clear()
            continue
        seen.add(real)
        for path in (Path(place, name) for name in names if not name.startswith("._")):  # the Finder's are not sound
            suffix = path.suffix.lower()
            if suffix in _OTHER_SOUND:
                others[suffix] += 1
            if suffix not in AUDIO_SUFFIXES:
                continue
            if not is_writable_name(path.relative_to(folder).as_posix()):
                said.append(f"{_shown(path, folder)}: its name is no UTF-8, or holds control characters; rename it.")
            elif not path.is_file():
                said.append(f"{_shown(path, folder)}: {'not a file' if path.exists() else 'a link to nothing'}.")
            else:
                paths.append(path)
    said = sorted(said) + [
        f"{count} {'file' if count == 1 else 'files'} ending in {suffix}: convert them to WAV or FLAC."
        for suffix, count in sorted(others.items())
    ]
    if not paths:
        why = f" {said[0]}" if said else ""
        raise UserError(f"There are no sound files in {folder}.{why}", remedy="WAV, FLAC, AIFF, OGG and MP3 are read.")
    return sorted(paths), said


def is_writable_name(name: str) -> bool:
    """Whether a name can stand in a catalogue in UTF-8, on one line."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def _shown(path: Path, folder: Path) -> str:
    """A name below `folder` that can be printed, whatever bytes it is made of."""
    name = path.relative_to(folder).as_posix()
    return name if is_writable_name(name) else name.encode("unicode_escape").decode("ascii")


def read_folder(
    folder: Path, *, label: str, licence: str, consent: str, collection: str = "", attribution: str = ""
) -> list[Source]:
    """Every sound file below `folder`, all with one `label`. Raises UserError when there is none.

    consent  how the singer agreed, in words; a person's voice is not taken in without it
    """
    if label not in LABEL_MEANINGS:
        raise UserError(f"Unknown technique {label!r}.", remedy=f"Use one of {', '.join(LABEL_MEANINGS)}.")
    if not licence.strip() or not consent.strip():
        raise UserError(
            f"The recordings in {folder} need a licence and the singer's consent.", remedy="State both in words."
        )
    named = collection or folder.name
    return [
        Source(folder, path.relative_to(folder).as_posix(), named, label, licence, consent, attribution)
        for path in sound_files(folder)
    ]
