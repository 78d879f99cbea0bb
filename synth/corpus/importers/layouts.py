"""What lies where: the folders of VocalSet and EMVD as their makers publish them, and plain folders.

Reading a layout touches no sound. What has no technique is not guessed at: it is passed over, with a line that says so.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from synth.corpus.labels import EMVD, LABEL_MEANINGS, VOCALSET
from synth.corpus.real import list_sounds
from synth.errors import UserError

SetName = Literal["vocalset", "emvd", "plain"]

EMVD_METADATA: Final = "metadata_files.csv"
_SINGER_FOLDER: Final = re.compile(r"(female|male)[ _]?(\d+)", re.IGNORECASE)
_CONTEXTS: Final = frozenset({"arpeggios", "excerpts", "long_tones", "scales"})
_EMVD_NAME: Final = re.compile(r"singer(?P<singer>\d+)_(?P<rest>.+)", re.IGNORECASE)
_COPY_ENDING: Final = re.compile(r"(?: ?\(\d+\)| - Copy)$")
# Recordings the makers of EMVD rank lowest and advise against learning from; an earlier table ranks by letters.
_EMVD_POOR: Final = frozenset({"0", "c"})
_EMVD_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "file": ("file_name", "filename", "file", "name_file"),
    "technique": ("name", "technique", "technique_name"),
    "singer": ("singer_id", "singer", "subject"),
    "rank": ("authors_rank", "rank"),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms the recordings of a set may be learnt from."""

    licence: str
    consent: str
    attribution: str


@dataclass(frozen=True, slots=True)
class Found:
    """One recording of a set. `name` is where it lies below the set's root, with forward slashes."""

    path: Path
    name: str
    label: str
    singer: str
    family: str


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds, and one line for each recording that was passed over."""

    found: tuple[Found, ...]
    passed_over: tuple[str, ...]


_PUBLISHED: Final = "recorded for a data set its makers publish under the licence named"
TERMS: Final[Mapping[SetName, Terms]] = {
    "vocalset": Terms(
        "CC-BY-4.0", _PUBLISHED,
        "VocalSet by Julia Wilkins, Prem Seetharaman, Alison Wahl and Bryan Pardo (2018), CC BY 4.0, "
        "doi:10.5281/zenodo.1193957",
    ),
    "emvd": Terms(
        "CC-BY-4.0", _PUBLISHED,
        "EMVD by Modan Tailleur, Julien Pinquier, Laurent Millot, Corsin Vogel and Mathieu Lagrange (2023), CC BY 4.0, "
        "doi:10.5281/zenodo.8406322",
    ),
}  # fmt: skip


def guess_set(folder: Path) -> SetName:
    """Which set a folder looks like. Raises UserError when there is no folder."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.", remedy="Name the folder that holds the recordings.")
    if any(folder.rglob(EMVD_METADATA)):
        return "emvd"
    # Somebody's own "male1" must not go in under the terms of VocalSet: its singers have folders of contexts.
    is_vocalset = any(
        path.name.lower() in _CONTEXTS
        for singer in _vocalset_root(folder).iterdir()
        if singer.is_dir() and _SINGER_FOLDER.fullmatch(singer.name)
        for path in singer.iterdir()
    )
    return "vocalset" if is_vocalset else "plain"


def read_layout(folder: Path, set_name: SetName, technique: str = "") -> Layout:
    """The recordings of `folder`. `technique` is the label of a plain folder without sub-folders that name one."""
    match set_name:
        case "vocalset":
            return read_vocalset(folder)
        case "emvd":
            return read_emvd(folder)
        case "plain":
            return read_plain(folder, technique)


def read_vocalset(folder: Path) -> Layout:
    """FULL/<singer>/<scales|arpeggios|long_tones|excerpts>/<technique>/<name>.wav, beside or below `folder`.

    The same files once more by singer, technique or vowel, as the archive holds them, are not looked at. The singer
    is the folder's: some file names lack it.
    """
    root = _vocalset_root(folder)
    paths, passed_over = list_sounds(root)
    found: list[Found] = []
    for path in paths:
        parts = path.relative_to(root).parts
        singer = next((part.lower() for part in parts if _SINGER_FOLDER.fullmatch(part)), "")
        label = _known_label(parts[:-1], VOCALSET) or _label_within(path.stem, VOCALSET)
        name = Path(*parts).as_posix()
        if not label or not singer:
            what = "technique" if singer else "singer"
            passed_over.append(f"{name}: neither its folders nor its name tell its {what}.")
            continue
        found.append(Found(path, name, label, singer, _family("vocalset", singer, path)))
    return Layout(tuple(found), tuple(passed_over))


def read_emvd(folder: Path) -> Layout:
    """audio/Singer<n>_<technique>_<range>_<vowel>.wav with metadata_files.csv; without it the names and folders tell.

    Recordings that the makers rank lowest, and those that are no technique, are passed over.
    """
    rows = _emvd_rows(folder)
    paths, passed_over = list_sounds(folder)
    found: list[Found] = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        row = rows.get(path.stem.lower(), {})
        label = _known_label((row.get("technique", ""),), EMVD) or _known_label(_emvd_words(path, folder), EMVD)
        matched = _EMVD_NAME.fullmatch(path.stem)
        singer = row.get("singer") or (matched["singer"] if matched else "")
        if not label:
            passed_over.append(f"{name}: no technique that is known here.")
        elif row.get("rank", "").lower() in _EMVD_POOR:
            passed_over.append(f"{name}: ranked lowest by the makers of the set.")
        else:
            found.append(Found(path, name, label, f"singer{singer}", _family("emvd", f"singer{singer}", path)))
    return Layout(tuple(found), tuple(passed_over))


def read_plain(folder: Path, technique: str = "") -> Layout:
    """Every recording below `folder`: the nearest folder above it that names a technique tells it, else `technique`."""
    label = _normal(technique)
    if technique and label not in LABEL_MEANINGS:
        raise UserError(f"Unknown technique {technique!r}.", remedy=f"Use one of {', '.join(LABEL_MEANINGS)}.")
    paths, passed_over = list_sounds(folder)
    found: list[Found] = []
    for path in paths:
        relative = path.relative_to(folder)
        told = _known_label(relative.parts[:-1], LABEL_MEANINGS) or label
        if told:
            found.append(Found(path, relative.as_posix(), told, "", ""))
        else:
            passed_over.append(f"{relative.as_posix()}: no technique; give --technique or name its folder after one.")
    return Layout(tuple(found), tuple(passed_over))


def _vocalset_root(folder: Path) -> Path:
    full = next((path for path in sorted(folder.rglob("FULL")) if path.is_dir()), None)
    return full or folder


def _normal(word: str) -> str:
    """ "BlackShriek", "black shriek" and "Black-Shriek" -> "black_shriek"."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word.strip())
    return re.sub(r"[\s_-]+", "_", apart).strip("_").lower()


def _known_label(words: Sequence[str], labels: Mapping[str, object]) -> str:
    """The last of the words that is a label, or ""."""
    return next((_normal(word) for word in reversed(words) if _normal(word) in labels), "")


def _label_within(stem: str, labels: Mapping[str, object]) -> str:
    """The longest label that a file name holds as whole words, or ""."""
    padded = f"_{_normal(stem)}_"
    return max((label for label in labels if f"_{label}_" in padded), key=len, default="")


def _emvd_words(path: Path, folder: Path) -> tuple[str, ...]:
    return (*path.relative_to(folder).parts[:-1], *path.stem.split("_"))


def _family(collection: str, singer: str, path: Path) -> str:
    return f"{collection}/{singer}/{_COPY_ENDING.sub('', path.stem).lower()}"


def _emvd_rows(folder: Path) -> dict[str, dict[str, str]]:
    """File name without its ending -> what is told of file, technique, singer and rank; "-" means unknown."""
    path = next(iter(sorted(folder.rglob(EMVD_METADATA))), None)
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        reader = csv.DictReader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",")
        columns = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
        chosen = {
            key: next((columns[alias] for alias in aliases if alias in columns), None)
            for key, aliases in _EMVD_COLUMNS.items()
        }
        if chosen["file"] is None:
            raise UserError(f"{path} has no column of file names.", remedy="Restore it from the archive.")
        rows: dict[str, dict[str, str]] = {}
        for row in reader:
            values = {key: (row.get(name) or "").strip() for key, name in chosen.items() if name is not None}
            known = {key: value for key, value in values.items() if value not in ("", "-")}
            if "file" in known:
                rows[Path(known["file"]).stem.lower()] = known
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise UserError(f"{path} cannot be read: {fault}.", remedy="Restore it from the archive.") from fault
    return rows
