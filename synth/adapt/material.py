"""From somebody's recordings to what an adapter learns from: imported, looked over, cut, measured, and partly held out.

Nothing is taken in without a licence and the singer's consent in words. Recordings stay where they are; the corpus
that is made of them lies in the run's folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from synth.corpus.build import BuildProgress, build_corpus
from synth.corpus.importers.catalogue import import_recordings
from synth.corpus.importers.layouts import Found, Terms, guess_set, read_layout
from synth.corpus.labels import LABEL_MEANINGS
from synth.corpus.manifest import ClipRecord, Corpus, Split, unit_hash
from synth.corpus.real import AUDIO_SUFFIXES
from synth.errors import UserError
from synth.evaluate.controls import MEASURED_LANES
from synth.features.analysis import Analysis
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES
from synth.train.diffusion import timbre_of

COLLECTION: Final = "own"
LEAST_S: Final = 10.0
LEAST_CLIPS: Final = 4
_HELD_SHARE: Final = 0.2  # where splits have to be dealt by clip: half for choosing, half for the figures
_SUNG: Final = 0.5

Progress = Callable[[str, float], None]  # (what is done, share 0..1)


@dataclass(frozen=True, slots=True)
class Material:
    """What was found.

    corpus       its records' splits are those that count: train, validation (chooses), test (figures)
    held_by      "recording": none was both learnt and held out; "clip": parts of one were
    findings     lines for whoever brought the recordings: problems, what was left out
    lanes        lane id -> (mean, standard deviation) over the frames in which somebody sings
    timbre       mean cepstra of what is learnt, [TIMBRE_DIM]
    """

    corpus: Corpus
    technique: str
    held_by: str
    findings: tuple[str, ...]
    lanes: Mapping[str, tuple[float, float]]
    timbre: Float32Array

    def seconds(self, split: Split) -> float:
        """Of sound in a split."""
        return sum(record.duration_s for record in self.corpus.split(split))

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        splits: tuple[Split, ...] = ("train", "validation", "test")
        return {
            "technique": self.technique,
            "segments": {split: len(self.corpus.split(split)) for split in splits},
            "seconds": {split: round(self.seconds(split), 2) for split in splits},
            "held_out_by": self.held_by,
            "lanes": {name: {"mean": mean, "std": std} for name, (mean, std) in self.lanes.items()},
            "findings": list(self.findings),
            "recordings_sha256": self.corpus.recordings_sha256(),
        }


def find_recordings(paths: Sequence[Path], technique: str) -> tuple[list[Found], list[str]]:
    """Recordings below folders, and files by themselves, that are of `technique` -> (found, what was passed over).

    In a folder of a known layout (VocalSet, EMVD, sub-folders named after techniques) the others are passed over.
    """
    if technique not in TECHNIQUES:
        raise UserError(f"There is no technique {technique!r}.", remedy=f"Use {', '.join(TECHNIQUES)}.")
    found: list[Found] = []
    said: list[str] = []
    others: Counter[str] = Counter()
    for path in paths:
        if path.is_dir():
            layout = read_layout(path, guess_set(path), technique)
            said += layout.passed_over
            for entry in layout.found:
                if _is_of(entry.label, technique):
                    found.append(replace(entry, name=f"{path.resolve().name}/{entry.name}"))
                else:
                    others[entry.label] += 1
        elif path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
            found.append(Found(path, path.name, technique, "", ""))
        else:
            if not path.exists():
                raise UserError(f"{path} is not there.", remedy="Put it back, or name what is there.")
            raise UserError(f"{path} is neither a folder nor a sound file.", remedy="Name folders, WAV or FLAC files.")
    found = _named_apart(found)
    said += [f"{count} recordings of {label} are no {technique}." for label, count in sorted(others.items())]
    if not found:
        why = f" {said[0]}" if said else ""
        raise UserError(f"There is no {technique} in what was named.{why}", remedy="Check --technique.")
    return found, said


def gather_material(
    paths: Sequence[Path],
    technique: str,
    terms: Terms,
    run_dir: Path,
    *,
    most_minutes: float | None = None,
    n_workers: int = 0,
    on_progress: Progress = lambda _what, _share: None,
) -> Material:
    """Import, measure and share out. What an earlier call did in `run_dir` is kept.

    most_minutes  to learn from; what is more is held out
    UserError where licence or consent is missing, or there is too little.
    """
    if not terms.licence.strip() or not terms.consent.strip():
        raise UserError(
            "A voice is only adapted to with a licence and the singer's consent.",
            remedy="State both in words: --licence CC-BY-4.0 --consent 'my own voice'.",
        )
    found, said = find_recordings(paths, technique)
    imported = import_recordings(
        found, run_dir / "voices", COLLECTION, terms, in_place=True, n_workers=n_workers,
        on_progress=lambda done, total: on_progress("importing", done / max(total, 1)),
    )  # fmt: skip
    said += [*imported.refused, *imported.warnings]

    def building(progress: BuildProgress) -> None:
        on_progress("measuring", progress.done_clips / max(progress.total_clips, 1))

    corpus = build_corpus(run_dir / "corpus", run_dir / "voices", 0.0, n_workers=n_workers, on_progress=building)
    dealt, held_by = deal_splits(corpus.records, most_minutes)
    if held_by == "clip":
        said.append("Parts of the same recordings are learnt and held out, which flatters the figures.")
    corpus = Corpus(corpus.folder, dealt)
    lanes, timbre = _measured(corpus)
    return Material(corpus, technique, held_by, tuple(said), lanes, timbre)


def _named_apart(found: Sequence[Found]) -> list[Found]:
    """Files of one name from several folders get their folder's name as well."""
    counts = Counter(entry.name for entry in found)
    return [
        entry if counts[entry.name] == 1 else replace(entry, name=f"{entry.path.resolve().parent}/{entry.name}")
        for entry in found
    ]


def _is_of(label: str, technique: str) -> bool:
    weights = LABEL_MEANINGS[label].technique
    return max(weights, key=lambda name: weights[name]) == technique or weights.get(technique, 0.0) >= 0.5


def deal_splits(records: Sequence[ClipRecord], most_minutes: float | None = None) -> tuple[list[ClipRecord], str]:
    """Train, validation and test of somebody's few clips -> (records, "recording" or "clip": what was kept apart)."""
    total_s = sum(record.duration_s for record in records)
    if total_s < LEAST_S or len(records) < LEAST_CLIPS:
        raise UserError(
            f"{total_s:.0f} s in {len(records)} segments are too little to adapt to.",
            remedy=f"Record at least {LEAST_S:.0f} s, in {LEAST_CLIPS} takes or more; two minutes are good.",
        )
    held_by, dealt = "recording", list(records)
    if any(not [record for record in records if record.split == split] for split in ("train", "validation", "test")):
        held_by, dealt = "clip", _dealt_by_clip(records)
    if most_minutes is not None:
        dealt = _at_most(dealt, 60.0 * most_minutes)
    return dealt, held_by


def _dealt_by_clip(records: Sequence[ClipRecord]) -> list[ClipRecord]:
    """At least one clip each for validation and test, a tenth of the sound each where there is more."""
    total_s = sum(record.duration_s for record in records)
    split_of: dict[str, Split] = {}
    order = sorted(records, key=lambda record: unit_hash(record.id))
    held: tuple[Split, ...] = ("test", "validation")
    for split in held:
        taken_s = 0.0
        for record in order:
            if record.id not in split_of and taken_s < 0.5 * _HELD_SHARE * total_s:
                split_of[record.id] = split
                taken_s += record.duration_s
    return [replace(record, split=split_of.get(record.id, "train")) for record in records]


def _at_most(records: Sequence[ClipRecord], most_s: float) -> list[ClipRecord]:
    """Whole families of takes are learnt from, as many as fit; where none fits, single clips, at least one."""
    families: dict[str, list[ClipRecord]] = {}
    for record in records:
        if record.split == "train":
            families.setdefault(record.family, []).append(record)
    groups = [families[family] for family in sorted(families, key=lambda family: unit_hash(f"learn {family}"))]
    learnt = _fitting(groups, most_s)
    if not learnt:
        clips = sorted((clip for group in groups for clip in group), key=lambda clip: unit_hash(f"learn {clip.id}"))
        learnt = _fitting([[clip] for clip in clips], most_s) or {clips[0].id}
    return [
        replace(record, split="test") if record.split == "train" and record.id not in learnt else record
        for record in records
    ]


def _fitting(groups: Sequence[Sequence[ClipRecord]], most_s: float) -> set[str]:
    """Clips of those groups that fit into `most_s`, taken in turn."""
    left_s, learnt = most_s, set[str]()
    for group in groups:
        seconds = sum(clip.duration_s for clip in group)
        if seconds <= left_s:
            learnt |= {clip.id for clip in group}
            left_s -= seconds
    return learnt


def _measured(corpus: Corpus) -> tuple[dict[str, tuple[float, float]], Float32Array]:
    """Lanes over sung frames of what is learnt, and its mean cepstra."""
    values: dict[str, list[Float32Array]] = {name: [] for name in MEASURED_LANES}
    cepstra: list[Float32Array] = []
    weights: list[float] = []
    for record in corpus.split("train"):
        clip = corpus.load(record)
        sung = np.nan_to_num(clip.lanes["presence"]) > _SUNG
        if not sung.any():
            continue
        for name, found in values.items():
            found.append(clip.lanes[name][sung])
        cepstra.append(timbre_of(clip.mfcc.astype(np.float32), clip.lanes["presence"]))
        weights.append(float(sung.sum()))
    if not cepstra:
        raise UserError("Nobody sings in the recordings.", remedy="Listen to them; raise their level.")
    joined = {name: np.concatenate(found) for name, found in values.items()}
    known = {name: all_values[np.isfinite(all_values)] for name, all_values in joined.items()}
    lanes = {name: (float(v.mean()), float(v.std())) for name, v in known.items() if len(v)}
    return lanes, np.average(np.stack(cepstra), axis=0, weights=weights).astype(np.float32)


def sings(analysis: Analysis) -> bool:
    """Whether there is anything to judge in a sound."""
    return bool((analysis.lanes["presence"] > _SUNG).any())
