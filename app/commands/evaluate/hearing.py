"""`stridor evaluate listen|answers|sheets`: for ears and eyes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate.options import (
    FILE,
    FOLDER,
    PATH,
    EngineChoice,
    finish,
    with_corpus,
    with_engine,
    with_output,
)
from app.commands.terminal import ProgressLine
from synth.errors import UserError


@stridor_command("listen", example="stridor evaluate listen --corpus runs/corpus -o runs/listening")
@with_corpus()
@click.option("-o", "--output", type=FOLDER, default=Path("runs/listening"), show_default=True)
@click.option("--recordings", type=click.IntRange(min=1), help="How many are rated.")
@click.option("--label", "labels", multiple=True, help="Only recordings of this label, such as growl_phrase.")
@click.option("--other", "others", multiple=True, help="NAME=FOLDER: the same recordings by another program.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the ids; drawn when not given.")
@with_engine("final")
def listen(
    corpus: Path,
    output: Path,
    recordings: int | None,
    labels: tuple[str, ...],
    others: tuple[str, ...],
    seed: int | None,
    choice: EngineChoice,
    as_json: bool,
) -> None:
    """A blind listening test as one page that musicians can be handed, and its key."""
    from synth.evaluate.listening import ListeningPlan, write_listening_test

    plan = ListeningPlan()
    if recordings is not None:
        plan = replace(plan, n_ratings=recordings, n_pairs=min(plan.n_pairs, recordings))
    folders = dict(_named(other) for other in others)
    engine = choice.engine()
    with ProgressLine("Rendering", quiet=as_json) as line:
        test = write_listening_test(
            engine,
            corpus,
            output,
            quality=choice.quality,
            plan=plan,
            others=folders,
            labels=labels,
            seed=seed,
            on_progress=line.update,
        )
    finish(test, test.lines(), None, as_json=as_json)


def _named(words: str) -> tuple[str, Path]:
    name, equals, folder = words.partition("=")
    if not (name and equals and folder):
        raise UserError(f"--other {words} names no folder.", remedy="Write --other NAME=FOLDER.")
    return name, Path(folder)


@stridor_command("answers", example="stridor evaluate answers answers/ --key runs/listening/keep/key.json")
@click.argument("answers", nargs=-1, required=True, type=PATH)
@click.option("--key", type=FILE, required=True, help="The test's keep/key.json.")
@with_output
def analyse(answers: tuple[Path, ...], key: Path, output: Path | None, as_json: bool) -> None:
    """What listeners sent back: screening, scores with intervals, paired tests."""
    from synth.evaluate.listening_answers import analyse_answers

    report = analyse_answers(answers, key)
    finish(report, report.lines(), output, as_json=as_json)


@stridor_command("sheets", example="stridor evaluate sheets --corpus runs/corpus -o runs/sheets")
@with_corpus(required=False)
@click.option("-o", "--output", type=FOLDER, default=Path("runs/sheets"), show_default=True)
@with_engine()
def sheets(corpus: Path | None, output: Path, choice: EngineChoice, as_json: bool) -> None:
    """Spectrograms side by side: five steps of every lane, techniques beside recordings."""
    from synth.evaluate.contact_sheets import write_contact_sheet

    engine = choice.engine()
    with ProgressLine("Drawing", quiet=as_json) as line:
        found = write_contact_sheet(engine, output, corpus_dir=corpus, quality=choice.quality, on_progress=line.update)
    finish(found, found.lines(), None, as_json=as_json)
