"""`stridor evaluate` and `stridor evaluate steps`: every figure in one page."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate.options import FOLDER, PATH, EngineChoice, with_corpus, with_engine
from app.commands.terminal import ProgressLine, show
from app.store.atomic import write_atomically
from synth.errors import UserError
from synth.spec import TECHNIQUES

if TYPE_CHECKING:
    from synth.evaluate.report import Report, Sizes, Workbench

HTML_NAME, JSON_NAME = "evaluation.html", "evaluation.json"


@stridor_command("report", example="stridor evaluate report --corpus runs/corpus -o runs/evaluation")
@with_corpus(required=False)
@click.option(
    "-o", "--output", type=FOLDER, default=Path("runs/evaluation"), show_default=True, help="evaluation.html and .json."
)
@click.option("--parts", help="Only these, such as pitch,lanes,kernel; all when not given. `--parts list` names them.")
@click.option("--without", default="", help="All but these.")
@click.option("--quick", is_flag=True, help="A look in under three minutes: few of everything, intervals wide.")
@click.option("--segments", type=click.IntRange(min=3), help="Constant segments of each lane.  [default: 200]")
@click.option("--recordings", type=click.IntRange(min=4), help="Held-out recordings; all when not given.")
@click.option("--technique", type=click.Choice(["none", *TECHNIQUES]), help="Of the lanes' segments.  [default: modal]")
@click.option("--minutes", type=click.FloatRange(min=0.5), help="For all parts together; what is not reached is left.")
@click.option("--encoder", "encoders", type=PATH, multiple=True, help="Hugging Face folder or our own encoder's file.")
@click.option("--teacher", type=FOLDER, help="Weights that the numbers of steps are compared with.")
@click.option("--baseline", type=FOLDER, help="A run of the waveform baseline, measured in the model's place.")
@click.option("--baseline-steps", type=click.IntRange(min=1), default=50, show_default=True)
@with_engine()
def report(
    corpus: Path | None,
    output: Path,
    parts: str | None,
    without: str,
    quick: bool,
    segments: int | None,
    recordings: int | None,
    technique: str | None,
    minutes: float | None,
    encoders: tuple[Path, ...],
    teacher: Path | None,
    baseline: Path | None,
    baseline_steps: int,
    choice: EngineChoice,
    as_json: bool,
) -> None:
    """Every figure, with its interval, in one HTML page and one JSON file.

    A part that cannot run (without a corpus, or Praat) says why, and the others go on.
    """
    from synth.evaluate.report import BASELINE_PARTS, DEFAULT_PARTS, FULL, PARTS, QUICK, Workbench

    if parts == "list":
        show({name: part.title for name, part in PARTS.items()}, [f"{n}: {p.title}" for n, p in PARTS.items()],
             as_json=as_json)  # fmt: skip
        return
    names = _names(parts, without, DEFAULT_PARTS if baseline is None else BASELINE_PARTS)
    given = {"segments": segments, "recordings": recordings, "technique": technique}
    sizes = replace(QUICK if quick else FULL, **{name: value for name, value in given.items() if value is not None})
    if minutes is not None:
        known = [PARTS[name].minutes for name in names if name in PARTS]
        sizes = replace(sizes, minutes=minutes / max(sum(known), 1e-9))
    bench = Workbench(
        choice.singer() if baseline is None else choice.baseline(baseline, baseline_steps),
        corpus=corpus,
        weights=choice.weights,
        encoders=encoders,
        teacher=None if teacher is None else replace(choice, weights=teacher).singer(),
        output=output,
        sizes=sizes,
    )
    _run(bench, names, output, as_json=as_json)


def _names(parts: str | None, without: str, every: tuple[str, ...]) -> list[str]:
    left_out = _split(without)
    names = _split(parts) if parts else list(every)
    chosen = [name for name in names if name not in left_out]
    if not chosen:
        raise UserError("No part is left to run.", remedy=f"Use some of {', '.join(every)}.")
    return chosen


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]


def _run(bench: Workbench, names: list[str], output: Path, *, as_json: bool) -> None:
    from synth.evaluate.page import as_html, as_lines
    from synth.evaluate.page import as_json as plain_report
    from synth.evaluate.report import run_report

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"{output} cannot be made: {fault.strerror}.", remedy="Choose another with -o.") from fault

    def keep(so_far: Report) -> None:
        stored = json.dumps(plain_report(so_far), indent=1, allow_nan=False) + "\n"
        write_atomically(output / JSON_NAME, stored.encode())
        write_atomically(output / HTML_NAME, as_html(so_far).encode())

    with ProgressLine("Evaluating", quiet=as_json) as line:

        def told(title: str, number: int, total: int, share: float) -> None:
            line.update(number + share, total, title)

        words = shlex.join(["stridor", *sys.argv[1:]])
        found = run_report(bench, names, command=words, on_part=keep, on_progress=told)
    written = f"{output / HTML_NAME}, {output / JSON_NAME}"
    show(plain_report(found), [*as_lines(found), "", written], as_json=as_json)


@stridor_command("steps", example="stridor evaluate steps --corpus runs/corpus --teacher runs/teacher -o runs/steps")
@with_corpus()
@click.option("-o", "--output", type=FOLDER, default=Path("runs/steps"), show_default=True)
@click.option("--recordings", type=click.IntRange(min=2), default=24, show_default=True)
@click.option("--segments", type=click.IntRange(min=1), default=24, show_default=True, help="Of each lane.")
@click.option("--teacher", type=FOLDER, help="Other weights to compare with; else these at 16 steps.")
@with_engine()
def steps(
    corpus: Path,
    output: Path,
    recordings: int,
    segments: int,
    teacher: Path | None,
    choice: EngineChoice,
    as_json: bool,
) -> None:
    """Quality at 16, 8, 4, 2 and 1 steps, paired with the teacher's."""
    from synth.evaluate.report import FULL, Workbench

    sizes: Sizes = replace(FULL, step_recordings=recordings, step_segments=segments, minutes=10.0)
    bench = Workbench(
        choice.singer(),
        corpus=corpus,
        weights=choice.weights,
        teacher=None if teacher is None else replace(choice, weights=teacher).singer(),
        sizes=sizes,
    )
    _run(bench, ["steps"], output, as_json=as_json)
