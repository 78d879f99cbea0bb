"""`stridor corpus import|build|check`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import ProgressLine, columns, show
from synth.errors import UserError

if TYPE_CHECKING:
    from synth.corpus.check import Problem
    from synth.corpus.importers.layouts import SetName
    from synth.corpus.manifest import ClipRecord

_FOLDER = click.Path(path_type=Path, file_okay=False)
_SETS: Final[tuple[SetName, ...]] = ("vocalset", "emvd", "plain")


@click.group("corpus")
def command() -> None:
    """The recordings and gestures a model learns from."""


@stridor_command("import", example="stridor corpus import ~/VocalSet --into voices")
@click.argument("folder", type=_FOLDER)
@click.option("--into", type=_FOLDER, required=True, help="Folder of voices, with its catalog.csv, to take them into.")
@click.option("--set", "set_name", type=click.Choice(("auto", *_SETS)), default="auto", show_default=True)
@click.option("--technique", default="", help="Label of a plain folder, where no sub-folder is named after one.")
@click.option("--licence", default="", help="On what terms the recordings may be used, such as CC-BY-4.0.")
@click.option("--consent", default="", help="How the singer agreed, in words, such as 'my own voice'.")
@click.option("--author", default="", help="Whom to name where the licence asks for it.")
@click.option("--collection", default="", help="What to call the set; by default as its folder.")
@click.option("--skip-label", multiple=True, help="Leave recordings of this label out; may be given several times.")
@click.option("--in-place", is_flag=True, help="Leave the sound files where they are and refer to them.")
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Processes; 0 works in one.")
def import_set(
    folder: Path,
    into: Path,
    set_name: str,
    technique: str,
    licence: str,
    consent: str,
    author: str,
    collection: str,
    skip_label: tuple[str, ...],
    in_place: bool,
    workers: int,
    as_json: bool,
) -> None:
    """Take the recordings of VocalSet, of EMVD or of a plain FOLDER in, with licence, consent and a split each."""
    from synth.corpus.importers.catalogue import import_recordings  # heavy: only when importing
    from synth.corpus.importers.layouts import TERMS, Terms, guess_set, read_layout
    from synth.corpus.labels import LABEL_MEANINGS

    kind: SetName = guess_set(folder) if set_name == "auto" else _SETS[[*_SETS].index(set_name)]
    unknown = [label for label in skip_label if label not in LABEL_MEANINGS]
    if unknown:
        raise UserError(f"Unknown label {unknown[0]!r}.", remedy=f"Use one of {', '.join(LABEL_MEANINGS)}.")
    layout = read_layout(folder, kind, technique)
    chosen = [found for found in layout.found if found.label not in skip_label]
    known = TERMS.get(kind, Terms("", "", ""))
    terms = Terms(licence or known.licence, consent or known.consent, author or known.attribution)
    named = collection or (kind if kind in TERMS else folder.resolve().name)
    with ProgressLine("Importing", quiet=as_json) as line:
        done = import_recordings(
            chosen, into, named, terms, in_place=in_place, n_workers=workers,
            on_progress=lambda count, total: line.update(count, total, f"{count}/{total} recordings"),
        )  # fmt: skip
    labels = Counter(found.label for found in chosen)
    show(
        {
            "set": kind, "collection": named, "labels": dict(sorted(labels.items())), "added": done.added,
            "changed": done.changed, "unchanged": len(done.unchanged), "refused": done.refused,
            "warnings": done.warnings, "passed_over": layout.passed_over,
        },
        [
            *(f"passed over: {said}" for said in layout.passed_over),
            *(f"refused: {said}" for said in done.refused),
            *(f"warning: {said}" for said in done.warnings),
            *columns([[label, str(count)] for label, count in sorted(labels.items())]),
            f"{len(done.added)} recordings added to {into}, {len(done.changed)} changed, {len(done.unchanged)} there "
            f"already, {len(done.refused)} refused, {len(layout.passed_over)} passed over",
        ],
        as_json=as_json,
    )  # fmt: skip
    if not (done.added or done.changed or done.unchanged):
        raise UserError(f"Nothing could be imported from {folder}.", remedy="The lines above say why.")


@stridor_command("build", example="stridor corpus build runs/corpus --voices shared/data/voices --simulated-minutes 60")
@click.argument("folder", type=_FOLDER)
@click.option("--voices", type=_FOLDER, multiple=True, help="Folder of voices; may be given several times.")
@click.option("--simulated-minutes", type=click.FloatRange(min=0.0), default=0.0, help="Minutes of simulated voice.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first gesture.")
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Processes; 0 works in one.")
@click.option(
    "--variants",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Augmented versions of each training recording.",
)
@click.option("--refresh-features", is_flag=True, help="Measure the clips that are there again, and nothing else.")
def build(
    folder: Path,
    voices: tuple[Path, ...],
    simulated_minutes: float,
    seed: int,
    workers: int,
    variants: int,
    refresh_features: bool,
    as_json: bool,
) -> None:
    """Build a corpus in FOLDER, or go on building it: real recordings, simulated gestures, and every lane measured."""
    from synth.corpus.build import BuildProgress, build_corpus  # heavy: only when building
    from synth.corpus.build import refresh_features as refresh
    from synth.corpus.manifest import Corpus
    from synth.corpus.real import read_catalogue

    before = _clips_in(folder)
    with ProgressLine("Building", quiet=as_json) as line:

        def on_progress(progress: BuildProgress) -> None:
            note = f"{progress.done_clips}/{progress.total_clips} clips, {progress.done_audio_s / 60.0:.1f} min"
            line.update(progress.done_clips, progress.total_clips, note)

        if refresh_features:
            corpus = refresh(Corpus.open(folder), workers, on_progress)
        else:
            sources = [source for voices_dir in voices for source in read_catalogue(voices_dir)]
            corpus = build_corpus(
                folder, None, simulated_minutes, seed, workers, on_progress,
                extra_sources=sources, n_variants=variants,
            )  # fmt: skip
    minutes = sum(record.duration_s for record in corpus.records) / 60.0
    gone = sorted(before - {record.id for record in corpus.records})
    forgotten = (
        f"{len(gone)} clips of the earlier build are no part of it any more, the first {gone[0]}: "
        "to keep them, build with their folders of voices and their simulated minutes again"
        if gone
        else ""
    )
    show(
        {
            "folder": folder,
            "clips": len(corpus.records),
            "minutes": minutes,
            "recordings_sha256": corpus.recordings_sha256(),
            "left_out": gone,
        },
        [*filter(None, [forgotten]), f"{len(corpus.records)} clips, {minutes:.1f} min, in {folder}"],
        as_json=as_json,
    )


def _clips_in(folder: Path) -> set[str]:
    """The clips of a corpus that is there already; none where it cannot be read."""
    from synth.corpus.manifest import Corpus

    try:
        return {record.id for record in Corpus.open(folder).records}
    except UserError:
        return set()


@stridor_command("check", example="stridor corpus check runs/corpus")
@click.argument("folder", type=_FOLDER)
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Processes; 0 works in one.")
def check(folder: Path, workers: int, as_json: bool) -> None:
    """Look a corpus or a folder of voices over: levels, noise, bandwidth, copies, labels, splits, licence, consent."""
    from synth.corpus.manifest import MANIFEST_NAME
    from synth.corpus.real import CATALOGUE_NAME

    if (folder / CATALOGUE_NAME).is_file() and not (folder / MANIFEST_NAME).is_file():
        what, summary, lines, problems = _look_over_voices(folder, workers)
    else:
        what, summary, lines, problems = _look_over_corpus(folder)
    errors = [problem for problem in problems if problem.severity == "error"]
    found = [
        {"clip": problem.clip_id, "severity": problem.severity, "message": problem.message} for problem in problems
    ]
    show(
        summary | {"problems": found},
        [*lines, *map(str, problems), f"{what}: {len(errors)} errors, {len(problems) - len(errors)} warnings"],
        as_json=as_json,
    )
    if errors:
        raise UserError(
            f"{len(errors)} errors: what has one must not be trained on.", remedy="Mend or remove it and build again."
        )


_Look = tuple[str, dict[str, Any], list[str], "list[Problem]"]


def _look_over_corpus(folder: Path) -> _Look:
    from synth.corpus.check import check_corpus  # heavy: only when checking
    from synth.corpus.manifest import Corpus

    corpus = Corpus.open(folder)
    minutes = _minutes(corpus.records)
    rows = [[" ".join(key), f"{value:.1f} min"] for key, value in minutes.items()]
    summary = {
        "clips": len(corpus.records),
        "minutes": {".".join(key): value for key, value in minutes.items()},
        "recordings_sha256": corpus.recordings_sha256(),
    }
    return f"{len(corpus.records)} clips", summary, columns(rows), check_corpus(corpus)


def _minutes(records: tuple[ClipRecord, ...]) -> dict[tuple[str, str], float]:
    minutes: dict[tuple[str, str], float] = {}
    for record in records:
        key = ("augmented" if record.variant else record.kind, record.split)
        minutes[key] = minutes.get(key, 0.0) + record.duration_s / 60.0
    return dict(sorted(minutes.items()))


def _look_over_voices(folder: Path, workers: int) -> _Look:
    from synth.corpus.build import survey_all  # heavy: only when checking
    from synth.corpus.check import Problem, check_voices
    from synth.corpus.pool import worker_pool
    from synth.corpus.real import read_catalogue

    sources = read_catalogue(folder)
    with worker_pool(workers) as pool:
        surveyed, unread = survey_all(sources, pool, workers)
    problems = [Problem("recording", "error", said) for said in unread] + check_voices(surveyed)
    minutes: dict[str, float] = {}
    for source, survey in surveyed:
        minutes[source.group] = minutes.get(source.group, 0.0) + survey.duration_s / 60.0
    rows = [[group, f"{value:.1f} min"] for group, value in sorted(minutes.items())]
    return f"{len(sources)} recordings", {"recordings": len(sources), "minutes": minutes}, columns(rows), problems


command.add_command(import_set)
command.add_command(build)
command.add_command(check)
