"""Taking recordings into a folder of voices: sound files, their line in catalog.csv, and the split they keep for ever.

Importing the same set again changes nothing; importing more of it deals splits to what is new and moves nothing else.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, cast

from synth.atomic import write_atomically
from synth.corpus.importers.layouts import Found, Terms
from synth.corpus.manifest import SPLITS, Split, agreed_splits, split_families
from synth.corpus.pool import finished, worker_pool
from synth.corpus.real import CATALOGUE_NAME, Source, is_writable_name
from synth.corpus.recording_check import recording_findings
from synth.corpus.survey import Survey, survey_recording
from synth.errors import UserError

COLUMNS: Final = (
    "file", "technique", "licence", "consent", "attribution", "collection", "family", "split", "singer",
    "duration_s", "sample_rate_hz", "bandwidth_hz", "sha256",
)  # fmt: skip
_MANY_FAMILIES: Final = 4
_HASH_BLOCK_BYTES: Final = 1 << 20

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, by names of recordings in the catalogue; `refused` and `warnings` are lines to show."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    refused: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    rows: dict[str, Row]
    name_of_sound: dict[str, str] = field(default_factory=dict)  # sha256 of a file -> its name
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def import_recordings(
    found: Sequence[Found],
    into: Path,
    collection: str,
    terms: Terms,
    *,
    in_place: bool = False,
    n_workers: int = 2,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Imported:
    """Copy recordings to `into`/`collection`, check each, and enter them into `into`/catalog.csv, all or nothing.

    in_place     leave the sound files where they are; the catalogue holds their absolute paths
    on_progress  called with how many recordings were looked at, of how many
    Broken and silent recordings and copies of others are refused with a line each; the others are taken.
    """
    if not terms.licence.strip() or not terms.consent.strip():
        raise UserError("Recordings need a licence and the singer's consent.", remedy="State both in words.")
    if not collection or "/" in collection or collection.startswith("."):
        raise UserError(f"{collection!r} cannot name a collection.", remedy="Use letters, digits and hyphens.")
    header, rows = read_rows(into)
    work = _Work(rows, {row["sha256"]: name for name, row in rows.items() if row.get("sha256")})
    fresh = [entry for entry in found if _is_new(entry, work, into, collection, terms, in_place)]
    outcomes: dict[str, Future[Survey]] = {}
    with worker_pool(n_workers) as pool:
        for entry, outcome in finished(_survey, fresh, pool, n_workers):
            outcomes[entry.name] = outcome
            on_progress(len(outcomes), len(fresh))
    for entry in fresh:
        try:
            _take(entry, outcomes[entry.name].result(), work, into, collection, terms, in_place)
        except UserError as trouble:
            work.refused.append(f"{entry.name}: {trouble.message.removeprefix(f'{entry.path} ')}")
        except OSError as fault:
            work.refused.append(f"{entry.name}: cannot be taken in: {fault.strerror}.")
    work.warnings += _deal_splits(rows, collection)
    _write_rows(into, header, rows)
    outcome = (work.added, work.changed, work.unchanged, work.refused, work.warnings)
    added, changed, unchanged, refused, warnings = (tuple(sorted(lines)) for lines in outcome)
    return Imported(added, changed, unchanged, refused, warnings)


def read_rows(folder: Path) -> tuple[list[str], dict[str, Row]]:
    """The catalogue's columns, and its lines by file name; empty where there is none yet."""
    path = folder / CATALOGUE_NAME
    if not path.is_file():
        return list(COLUMNS), {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets begin with a byte order mark
            reader = csv.DictReader(file)
            lines = [{key: value or "" for key, value in row.items() if key} for row in reader]
    except (OSError, ValueError, csv.Error) as fault:
        raise UserError(f"{path} cannot be read: {fault}.", remedy="Save it as CSV in UTF-8.") from fault
    header = list(reader.fieldnames or ())
    if "file" not in header:
        raise UserError(f"{path} has no column file.", remedy="Mend or remove it.")
    rows: dict[str, Row] = {}
    for number, row in enumerate(lines, start=2):
        if row["file"] in rows:
            raise UserError(f"{path}, line {number}: {row['file']} is named twice.", remedy="Mend the catalogue.")
        if row.get("split") and row["split"] not in SPLITS:
            remedy = f"Use one of {', '.join(SPLITS)}."
            raise UserError(f"{path}, line {number}: unknown split {row['split']!r}.", remedy=remedy)
        rows[row["file"]] = row
    return [*header, *(name for name in COLUMNS if name not in header)], rows


def _write_rows(folder: Path, header: Sequence[str], rows: dict[str, Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    write_atomically(folder / CATALOGUE_NAME, text.getvalue().encode())


def _target_name(entry: Found, collection: str, in_place: bool) -> str:
    return entry.path.resolve().as_posix() if in_place else f"{collection}/{entry.name}"


def _wanted(entry: Found, terms: Terms) -> Row:
    """What the catalogue says of a recording that somebody may change their mind about."""
    return {
        "technique": entry.label, "licence": terms.licence, "consent": terms.consent,
        "attribution": terms.attribution, "singer": entry.singer,
    }  # fmt: skip


def _is_new(entry: Found, work: _Work, into: Path, collection: str, terms: Terms, in_place: bool) -> bool:
    """False where the catalogue has this very sound already; its line is brought up to date then."""
    name = _target_name(entry, collection, in_place)
    if not is_writable_name(name):  # the folder's own name, where the file stays in place
        work.refused.append(f"{entry.name}: the name of its folder cannot be written down in UTF-8.")
        return False
    if not in_place and entry.path.resolve().is_relative_to(into.resolve()):
        work.refused.append(f"{entry.name}: lies in the folder of voices it would be copied to.")
        return False
    try:
        digest = _file_sha256(entry.path)
    except OSError as fault:
        work.refused.append(f"{entry.name}: cannot be read: {fault.strerror}.")
        return False
    holder = work.name_of_sound.setdefault(digest, name)
    row = work.rows.get(holder)
    if holder != name:
        work.refused.append(f"{entry.name}: the same file as {holder}.")
        return False
    if row is None or row.get("sha256") != digest or not (into / name).is_file():
        return True
    wanted = _wanted(entry, terms)
    (work.unchanged if all(row.get(key, "") == value for key, value in wanted.items()) else work.changed).append(name)
    row |= wanted
    return False


def _take(entry: Found, survey: Survey, work: _Work, into: Path, collection: str, terms: Terms, in_place: bool) -> None:
    findings = recording_findings(survey)
    fatal = [finding for finding in findings if finding.severity == "error"]
    if fatal:
        work.refused += [f"{entry.name}: {finding.message}." for finding in fatal]
        return
    name = _target_name(entry, collection, in_place)
    if not in_place:
        _copy(entry.path, into / name)
    work.warnings += [f"{name}: {finding.message}." for finding in findings]
    (work.changed if name in work.rows else work.added).append(name)
    work.rows[name] = work.rows.get(name, {}) | _wanted(entry, terms) | {
        "file": name, "collection": collection, "family": entry.family,
        "duration_s": f"{survey.duration_s:.3f}", "sample_rate_hz": str(survey.sample_rate_hz),
        "bandwidth_hz": f"{survey.bandwidth_hz:.0f}", "sha256": _file_sha256(entry.path),
    }  # fmt: skip


def _deal_splits(rows: dict[str, Row], collection: str) -> list[str]:
    """Record a split for every line of `collection`; those that have one keep it. -> what is to be said of it"""
    members = {name: row for name, row in rows.items() if row.get("collection") == collection}
    sources = {
        name: Source(Path(), name, collection, row.get("technique", ""), "", "", "", row.get("family", ""))
        for name, row in members.items()
    }
    known = agreed_splits(
        (sources[name].family, name, cast("Split", row["split"])) for name, row in members.items() if row.get("split")
    )
    durations = [(source.family, source.group, _seconds(members[name])) for name, source in sorted(sources.items())]
    split_of = split_families(durations, known)
    families: dict[str, set[str]] = defaultdict(set)
    for name, row in members.items():
        row["split"] = split_of[sources[name].family]
        families[sources[name].label].add(sources[name].family)
    counts = Counter(source.label for source in sources.values())
    doubts = (_doubts(label, names, counts[label], split_of) for label, names in sorted(families.items()))
    return list(chain.from_iterable(doubts))


def _doubts(label: str, families: set[str], n_recordings: int, split_of: Mapping[str, Split]) -> Iterator[str]:
    """What is odd about how a label was shared out."""
    if len(families) == 1 < n_recordings:
        yield (
            f"{label}: by their names all {n_recordings} recordings are takes of one source, so none is held out. "
            "Name them apart, or fill in the column family."
        )
    learnt = [family for family in families if split_of[family] == "train"]
    if len(learnt) == 1 and len(families) >= _MANY_FAMILIES:
        yield (
            f"{label}: {learnt[0]} outlasts all others together, so it alone is learnt from and {len(families) - 1} "
            "are held out. Cut it into the takes it is made of."
        )


def _seconds(row: Row) -> float:
    """How long a line of the catalogue says its recording is; 0 where somebody wrote something else there."""
    try:
        duration_s = float(row.get("duration_s") or 0.0)
    except ValueError:
        return 0.0
    return duration_s if 0.0 <= duration_s < math.inf else 0.0


def _survey(entry: Found) -> Survey:
    return survey_recording(entry.path)


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _copy(path: Path, target: Path) -> None:
    """All or nothing, a block at a time."""
    if target.exists() and target.samefile(path):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as to, path.open("rb") as source:
            shutil.copyfileobj(source, to, _HASH_BLOCK_BYTES)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
