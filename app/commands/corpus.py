"""`stridor corpus build|check`."""

from __future__ import annotations

from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import ProgressLine, columns, show
from synth.errors import UserError

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group("corpus")
def command() -> None:
    """The recordings and gestures a model learns from."""


@stridor_command("build", example="stridor corpus build runs/corpus --voices shared/data/voices --simulated-minutes 60")
@click.argument("folder", type=_FOLDER)
@click.option("--voices", type=_FOLDER, help="Folder of recordings with its catalog.csv.")
@click.option("--simulated-minutes", type=click.FloatRange(min=0.0), default=0.0, help="Minutes of simulated voice.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first simulated gesture.")
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
    voices: Path | None,
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

    with ProgressLine("Building", quiet=as_json) as line:

        def on_progress(progress: BuildProgress) -> None:
            note = f"{progress.done_clips}/{progress.total_clips} clips, {progress.done_audio_s / 60.0:.1f} min"
            line.update(progress.done_clips, progress.total_clips, note)

        if refresh_features:
            corpus = refresh(Corpus.open(folder), workers, on_progress)
        else:
            corpus = build_corpus(folder, voices, simulated_minutes, seed, workers, on_progress, n_variants=variants)
    minutes = sum(record.duration_s for record in corpus.records) / 60.0
    show(
        {"folder": folder, "clips": len(corpus.records), "minutes": minutes},
        [f"{len(corpus.records)} clips, {minutes:.1f} min, in {folder}"],
        as_json=as_json,
    )


@stridor_command("check", example="stridor corpus check runs/corpus")
@click.argument("folder", type=_FOLDER)
def check(folder: Path, as_json: bool) -> None:
    """Look FOLDER's corpus over: levels, clipping, noise, bandwidth, duplicates, splits, licences and consent."""
    from synth.corpus.check import check_corpus  # heavy: only when checking
    from synth.corpus.manifest import Corpus

    corpus = Corpus.open(folder)
    problems = check_corpus(corpus)
    minutes: dict[tuple[str, str], float] = {}
    for record in corpus.records:
        key = (record.kind, record.split)
        minutes[key] = minutes.get(key, 0.0) + record.duration_s / 60.0
    errors = [problem for problem in problems if problem.severity == "error"]
    show(
        {
            "clips": len(corpus.records),
            "minutes": {f"{kind}.{split}": value for (kind, split), value in sorted(minutes.items())},
            "problems": [
                {"clip": problem.clip_id, "severity": problem.severity, "message": problem.message}
                for problem in problems
            ],
        },
        [
            *columns([[f"{kind} {split}", f"{value:.1f} min"] for (kind, split), value in sorted(minutes.items())]),
            *map(str, problems),
            f"{len(corpus.records)} clips: {len(errors)} errors, {len(problems) - len(errors)} warnings",
        ],
        as_json=as_json,
    )
    if errors:
        raise UserError(f"{len(errors)} clips must not be trained on.", remedy="Mend or remove them and build again.")


command.add_command(build)
command.add_command(check)
