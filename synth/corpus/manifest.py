"""What the corpus holds: one record a clip, in `manifest.json`, and which split each belongs to.

`splits.json` beside it remembers the split of every recording that was ever built into the folder, also of those that
a later build leaves out: what was held out once does not come back as training material.

Format revisions
1  first: id, kind, collection, technique, label, split, family, licence, consent, attribution, duration_s, seed,
   sources, gains_db, sha256 (of the int16 audio)
2  clips also have variant ("" in revision 1); the manifest also has recordings_sha256, one hash a split
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from synth.atomic import write_atomically
from synth.corpus.clip_file import Clip, audio_sha256, clip_from_arrays, read_arrays
from synth.errors import UserError
from synth.spec import CALIBRATION_REVISION, TECHNIQUES

Kind = Literal["real", "simulated"]
Split = Literal["train", "validation", "test"]

FORMAT: Final = "stridor-corpus"
REVISION: Final = 2
MANIFEST_NAME: Final = "manifest.json"
SPLITS_NAME: Final = "splits.json"
SPLITS_FORMAT: Final = "stridor-splits"
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
REAL_SHARES: Final[Mapping[Split, float]] = {"test": 0.12, "validation": 0.08}  # the rest is for training
SIMULATED_SHARES: Final[Mapping[Split, float]] = {"test": 0.02, "validation": 0.02}

_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")
# Endings that number the takes of one source: "_rr3", "-2", "-5-instable", "-ko" (a failed take).
_TAKE_ENDING: Final = re.compile(r"(?:[-_ ](?:rr|take)?\d+|[-_ ](?:ko|instable))+$", re.IGNORECASE)
# A running number in front of words ("---031---Tonight") is a catalogue number: the same words may return later.
_CATALOGUE_NUMBER: Final = re.compile(r"---\d+---(?=[A-Za-z])")
_TAKE_BEFORE_KEY: Final = re.compile(r"(?<=[A-Za-z])-\d+(?=---)")


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One line of the manifest.

    technique  name of synth.spec.TECHNIQUES -> weight 0..1; what is left out is 0
    sources    file names inside the voices folder, several when short files were joined; empty for simulated clips
    gains_db   what was applied to each source's samples; a single one for a simulated clip
    sha256     of the clip's int16 audio, little endian
    variant    how the clip differs from what was recorded (synth.corpus.variants); "" where it does not
    """

    id: str
    kind: Kind
    collection: str
    technique: Mapping[str, float]
    label: str
    split: Split
    family: str
    licence: str
    consent: str
    attribution: str
    duration_s: float
    seed: int | None
    sources: tuple[str, ...]
    gains_db: tuple[float, ...]
    sha256: str
    variant: str = ""

    def __post_init__(self) -> None:
        if not _ID_PATTERN.fullmatch(self.id):
            raise UserError(f"The clip id {self.id!r} is not usable as a file name.", remedy="Build the corpus again.")
        if self.kind not in ("real", "simulated") or self.split not in SPLITS:
            raise UserError(
                f"Clip {self.id} has kind {self.kind!r} and split {self.split!r}.", remedy="Build the corpus again."
            )
        unknown = [name for name in self.technique if name not in TECHNIQUES]
        if unknown:
            raise UserError(
                f"Clip {self.id} names unknown techniques: {', '.join(unknown)}.",
                remedy=f"Known are {', '.join(TECHNIQUES)}.",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        values = dataclasses.asdict(self)
        lists = {"sources": list(self.sources), "gains_db": list(self.gains_db)}
        return values | lists | {"technique": dict(self.technique)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ClipRecord:
        """Raises UserError for unknown or missing keys. Without a variant, as in revision 1, it is the recording."""
        values = {"variant": "", **values}
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) != names:
            wrong = ", ".join(sorted(set(values) ^ names))
            raise UserError(
                f"Clip {values.get('id', '?')} has unknown or missing keys: {wrong}.", remedy="Build the corpus again."
            )
        tuples = {"sources": tuple(values["sources"]), "gains_db": tuple(values["gains_db"])}
        return cls(**{**values, **tuples, "technique": dict(values["technique"])})


class Corpus:
    """A corpus folder that has been built. Records are in manifest order; nothing is read before it is asked for."""

    def __init__(self, folder: Path, records: Iterable[ClipRecord]) -> None:
        self.folder = folder
        self.records: tuple[ClipRecord, ...] = tuple(records)
        ids = [record.id for record in self.records]
        if len(set(ids)) != len(ids):
            twice = sorted({clip_id for clip_id in ids if ids.count(clip_id) > 1})
            raise UserError(f"The corpus {folder} names clips twice: {', '.join(twice[:5])}.", remedy="Build it again.")

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """Read `folder`/manifest.json. Raises UserError when it is missing, damaged or from another revision."""
        path = folder / MANIFEST_NAME
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as fault:
            raise UserError(f"There is no corpus in {folder}.", remedy="Run `stridor corpus build` first.") from fault
        except (OSError, ValueError) as fault:
            raise UserError(f"The manifest {path} cannot be read.", remedy="Build the corpus again.") from fault
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise UserError(f"{path} is not a corpus manifest.", remedy="Name a folder that was built as a corpus.")
        if (stored.get("revision"), stored.get("calibration_revision")) not in (
            (1, CALIBRATION_REVISION),
            (REVISION, CALIBRATION_REVISION),
        ):
            raise UserError(f"The corpus {folder} is of another revision.", remedy="Build the corpus again.")
        is_first = stored["revision"] == 1
        keys = {"format", "revision", "calibration_revision", "clips"} | (set() if is_first else {"recordings_sha256"})
        if set(stored) != keys:
            raise UserError(f"The manifest {path} has unknown or missing keys.", remedy="Build the corpus again.")
        try:
            corpus = cls(folder, (ClipRecord.from_json(values) for values in stored["clips"]))
        except (TypeError, ValueError, AttributeError) as fault:
            raise UserError(f"The manifest {path} is damaged.", remedy="Build the corpus again.") from fault
        if not is_first and stored["recordings_sha256"] != corpus.recordings_sha256():
            raise UserError(f"The splits in {path} are not those it was built with.", remedy="Build the corpus again.")
        return corpus

    def save(self) -> None:
        """Write the manifest, all or nothing."""
        stored = {
            "format": FORMAT,
            "revision": REVISION,
            "calibration_revision": CALIBRATION_REVISION,
            "recordings_sha256": self.recordings_sha256(),
            "clips": [record.to_json() for record in self.records],
        }
        write_atomically(self.folder / MANIFEST_NAME, (json.dumps(stored, indent=1) + "\n").encode())

    def recordings_sha256(self) -> dict[str, str]:
        """What each split holds of recorded voice, as one hash: names of the recordings and the sound of the clips.

        Simulated clips do not count, for a seed has one split for ever. Two corpora with the same hash of "test" hold
        the same recordings back.
        """
        result = {}
        for split in SPLITS:
            lines = sorted(
                f"{record.sha256} {' '.join(record.sources)}"
                for record in self.records
                if record.kind == "real" and record.split == split
            )
            result[split] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return result

    def path(self, record: ClipRecord) -> Path:
        """Where the clip lies."""
        return clip_path(self.folder, record.id)

    def load(self, record: ClipRecord) -> Clip:
        """Read one clip. Raises UserError when it is missing, damaged or not the sound the manifest speaks of."""
        _, arrays = read_arrays(self.path(record))
        if audio_sha256(arrays["audio"]) != record.sha256:
            raise UserError(f"The clip {record.id} is not what the manifest says.", remedy="Build the corpus again.")
        return clip_from_arrays(arrays)

    def split(self, split: Split) -> list[ClipRecord]:
        """Records of one split, in manifest order."""
        return [record for record in self.records if record.split == split]


def recorded_splits(folder: Path) -> dict[tuple[str, str], Split]:
    """(collection, name) of every recording that was ever built into `folder`, by whatever revision -> its split.

    Empty where nothing was built yet. Raises UserError where the manifest cannot be read, for then nobody knows any
    more what was held out.
    """
    path = folder / MANIFEST_NAME
    kept = _kept_splits(folder)
    if not path.is_file():
        return kept
    try:
        clips = json.loads(path.read_text(encoding="utf-8"))["clips"]
        return kept | {
            (str(clip["collection"]), str(name)): clip["split"]
            for clip in clips
            if clip["kind"] == "real" and clip["split"] in SPLITS
            for name in clip["sources"]
        }
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UserError(
            f"The manifest {path} cannot be read, so its held-out split is not known.",
            remedy="Restore it, or remove it to deal the splits anew.",
        ) from fault


def keep_splits(folder: Path, splits: Mapping[tuple[str, str], Split]) -> None:
    """Remember the splits of recordings for later builds of `folder`, all or nothing."""
    lines = [[collection, name, split] for (collection, name), split in sorted(splits.items())]
    stored = {"format": SPLITS_FORMAT, "revision": 1, "splits": lines}
    write_atomically(folder / SPLITS_NAME, (json.dumps(stored, indent=1) + "\n").encode())


def _kept_splits(folder: Path) -> dict[tuple[str, str], Split]:
    path = folder / SPLITS_NAME
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if (stored["format"], stored["revision"]) != (SPLITS_FORMAT, 1):
            raise ValueError(stored["format"])
        return {(str(collection), str(name)): split for collection, name, split in stored["splits"] if split in SPLITS}
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise UserError(
            f"{path} cannot be read, so what was held out is not known.",
            remedy="Restore it, or remove it to go by the manifest alone.",
        ) from fault


def clip_path(folder: Path, clip_id: str) -> Path:
    """Where a clip lies in the corpus `folder`."""
    return folder / "clips" / f"{clip_id}.npz"


def family_of(source: str) -> str:
    """The name that all takes of one source share: "x/vowels_a_rr2.flac" and "x/vowels_a_rr3.flac" -> "x/vowels_a"."""
    path = Path(source)
    stem = _TAKE_BEFORE_KEY.sub("", _CATALOGUE_NUMBER.sub("---", path.stem))
    stripped = _TAKE_ENDING.sub("", stem)
    return (path.parent / (stripped or stem)).as_posix().lower()


def unit_hash(text: str) -> float:
    """A stable number in [0, 1) from `text`; the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2.0**64


def agreed_splits(named: Iterable[tuple[str, str, Split]]) -> dict[str, Split]:
    """(family, name of a recording, its split) -> split of each family. UserError where one family has two."""
    first: dict[str, tuple[str, Split]] = {}
    for family, name, split in named:
        other, known = first.setdefault(family, (name, split))
        if known != split:
            raise UserError(
                f"{other} and {name} are takes of one source ({family}), but one is for {known} and one for {split}.",
                remedy="Give both one split in the column split of the catalogue.",
            )
    return {family: split for family, (_, split) in first.items()}


def split_families(
    sources: Sequence[tuple[str, str, float]], known: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Share out real sources, (family, group, duration_s) each, so that no family is torn apart. -> family -> split

    Within each group (a label of a collection) the families stand in the order of their hash and fill test, then
    validation, then training by duration; a family is taken only where at least half of it fits, and a group with one
    family stays in training. Families in `known` keep the split they have: material that comes later fills up what is
    missing and moves nothing.
    """
    duration_s: dict[str, float] = defaultdict(float)
    group_of: dict[str, str] = {}
    for family, group, seconds in sources:
        duration_s[family] += seconds
        group_of.setdefault(family, group)
    by_group: dict[str, list[str]] = defaultdict(list)
    for family, group in group_of.items():
        by_group[group].append(family)
    result: dict[str, Split] = {family: split for family, split in (known or {}).items() if family in group_of}
    for families in by_group.values():
        _fill(sorted(families, key=unit_hash), duration_s, result)
    return result


def _fill(families: list[str], duration_s: Mapping[str, float], result: dict[str, Split]) -> None:
    total_s = sum(duration_s[family] for family in families)
    left_s: dict[Split, float] = {split: share * total_s for split, share in REAL_SHARES.items()}
    for family in families:
        if result.get(family, "train") != "train":
            left_s[result[family]] -= duration_s[family]
    for family in families:
        if family in result:
            continue
        fits: list[Split] = [split for split, seconds in left_s.items() if seconds >= 0.5 * duration_s[family]]
        split: Split = fits[0] if fits and len(families) > 1 else "train"
        if split != "train":
            left_s[split] -= duration_s[family]
        result[family] = split


def split_of_seed(seed: int) -> Split:
    """The split of a simulated clip: 96 % training, 2 % validation, 2 % test."""
    place = unit_hash(f"simulated {seed}")
    if place < SIMULATED_SHARES["test"]:
        return "test"
    return "validation" if place < SIMULATED_SHARES["test"] + SIMULATED_SHARES["validation"] else "train"
