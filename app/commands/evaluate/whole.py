"""`stridor evaluate` and `stridor evaluate steps`: every figure in one page."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate.crew import Order, measure
from app.commands.evaluate.options import FOLDER, PATH, EngineChoice, with_corpus, with_engine
from app.commands.terminal import ProgressLine, show
from app.store.atomic import write_atomically
from synth.errors import UserError
from synth.spec import TECHNIQUES

if TYPE_CHECKING:
    from synth.evaluate.report import PartResult, Report
    from synth.evaluate.sizes import Sizes
    from synth.evaluate.workbench import Workbench

HTML_NAME, JSON_NAME, MARKDOWN_NAME = "evaluation.html", "evaluation.json", "evaluation.md"
BASELINE_FOLDER = "baseline"


@dataclass(frozen=True, slots=True)
class _Run:
    """A voice and what is measured of it, in so many seconds."""

    order: Order
    names: list[str]
    limit_s: float | None = None


@stridor_command(
    "report", example="stridor evaluate report --corpus runs/corpus --minutes 20 --jobs 2 -o runs/evaluation"
)
@with_corpus(required=False)
@click.option(
    "-o", "--output", type=FOLDER, default=Path("runs/evaluation"), show_default=True, help="evaluation.html and .json."
)
@click.option("--parts", help="Only these, such as pitch,lanes,kernel; all when not given. `--parts list` names them.")
@click.option("--without", default="", help="All but these.")
@click.option("--quick", is_flag=True, help="A look in some minutes: few of everything, intervals wide.")
@click.option("--segments", type=click.IntRange(min=3), help="Constant segments of each lane.  [default: 200]")
@click.option("--recordings", type=click.IntRange(min=4), help="Held-out recordings; all when not given.")
@click.option("--technique", type=click.Choice(["none", *TECHNIQUES]), help="Of the lanes' segments.  [default: modal]")
@click.option(
    "--minutes", type=click.FloatRange(min=0.5), help="For the model's parts together; what is not reached is left."
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that share the work.")
@click.option("--afresh", is_flag=True, help="Measure again what an earlier run has left in the folder.")
@click.option("--encoder", "encoders", type=PATH, multiple=True, help="Hugging Face folder or our own encoder's file.")
@click.option("--teacher", type=FOLDER, help="Weights that the numbers of steps are compared with.")
@click.option("--baseline", type=FOLDER, help="A run of the waveform baseline, measured beside the model.")
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
    jobs: int,
    afresh: bool,
    encoders: tuple[Path, ...],
    teacher: Path | None,
    baseline: Path | None,
    baseline_steps: int,
    choice: EngineChoice,
    as_json: bool,
) -> None:
    """Every figure, with its interval, in one HTML page and one JSON file.

    A part that cannot run (without a corpus, or Praat) says why, and the others go on. Run again, the same command goes
    on where it was ended.
    """
    from synth.evaluate.parts import BASELINE_PARTS, DEFAULT_PARTS, PARTS
    from synth.evaluate.sizes import FULL, QUICK, beside

    if parts == "list":
        show({name: part.title for name, part in PARTS.items()}, [f"{n}: {p.title}" for n, p in PARTS.items()],
             as_json=as_json)  # fmt: skip
        return
    names = _names(parts, without, DEFAULT_PARTS)
    given = {"segments": segments, "recordings": recordings, "technique": technique}
    sizes = replace(QUICK if quick else FULL, **{name: value for name, value in given.items() if value is not None})
    order = Order(choice, output, sizes, corpus, encoders, teacher, baseline, baseline_steps)
    limit_s = None if minutes is None else 60.0 * minutes
    if baseline is None:
        runs = [_Run(order, names, limit_s)]
    else:
        other = replace(order, is_baseline=True, teacher=None, output=output / BASELINE_FOLDER, sizes=beside(sizes))
        runs = [_Run(order, names, limit_s), _Run(other, [name for name in names if name in BASELINE_PARTS])]
    _evaluate(runs, jobs=jobs, afresh=afresh, as_json=as_json)


def _names(parts: str | None, without: str, every: tuple[str, ...]) -> list[str]:
    left_out = _split(without)
    names = _split(parts) if parts else list(every)
    chosen = [name for name in names if name not in left_out]
    if not chosen:
        raise UserError("No part is left to run.", remedy=f"Use some of {', '.join(every)}.")
    return chosen


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]


def _evaluate(runs: Sequence[_Run], *, jobs: int, afresh: bool, as_json: bool) -> None:
    """Measure the voices in turn; the first one's page, which shows the others beside it, is written again after every
    part."""
    from synth.evaluate.markdown import as_markdown
    from synth.evaluate.page import as_html, as_lines
    from synth.evaluate.page import as_json as plain_report
    from synth.evaluate.report import blank_report, check_names

    output = runs[0].order.output
    command = shlex.join(["stridor", *sys.argv[1:]])
    reports: list[Report] = []

    def write(number: int, so_far: Report) -> Report:
        reports[number:] = [so_far]
        beside = reports[1] if len(reports) > 1 else None
        stored = json.dumps(plain_report(reports[0], beside), indent=1, allow_nan=False) + "\n"
        write_atomically(output / JSON_NAME, stored.encode())
        write_atomically(output / HTML_NAME, as_html(reports[0], beside).encode())
        write_atomically(output / MARKDOWN_NAME, as_markdown(reports[0], beside).encode())
        return so_far

    with ProgressLine("Evaluating", quiet=as_json) as line:
        for number, run in enumerate(runs):
            check_names(run.names)
            _make_folder(run.order.output)
            bench = run.order.workbench()
            blank = blank_report(bench, command)
            kept = {} if afresh else kept_results(run, bench)
            told = partial(_tell, line, len(runs), number)

            def fresh(number: int = number, run: _Run = run, blank: Report = blank, key: str = bench.key) -> None:
                write(number, _assembled(run.order.output, blank, key))

            fresh()
            measure(run.order, bench, run.names, jobs=jobs, limit_s=run.limit_s, kept=kept, on_result=fresh,
                    on_progress=told)  # fmt: skip
            fresh()
    written = f"{output / HTML_NAME}, {output / JSON_NAME}"
    beside = reports[1] if len(reports) > 1 else None
    show(plain_report(reports[0], beside), [*as_lines(reports[0]), "", written], as_json=as_json)


def kept_results(run: _Run, bench: Workbench) -> dict[str, PartResult]:
    """What an earlier run has left that need not be measured again."""
    from synth.evaluate.kept import usable
    from synth.evaluate.parts import PARTS
    from synth.evaluate.report import minutes_of

    scale_s = 60.0 * bench.sizes.minutes
    if run.limit_s is not None:
        scale_s = run.limit_s / max(minutes_of(run.names), 1e-9)
    wanted_s = {name: scale_s * PARTS[name].minutes for name in run.names}
    return usable(run.order.output, run.names, bench, wanted_s)


def _assembled(folder: Path, blank: Report, key: str) -> Report:
    """Everything in the folder that is of the same voice, sizes and corpus, in the order of the parts."""
    from synth.evaluate.kept import load
    from synth.evaluate.parts import PARTS

    found = load(folder, list(PARTS))
    return replace(blank, parts=tuple(found[name] for name in PARTS if name in found and found[name].key == key))


def _tell(line: ProgressLine, n_runs: int, run: int, title: str, number: int, total: int, share: float) -> None:
    line.update((run + (number + share) / max(total, 1)) / n_runs, 1.0, title)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"{folder} cannot be made: {fault.strerror}.", remedy="Choose another with -o.") from fault


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
    from synth.evaluate.sizes import FULL

    sizes: Sizes = replace(FULL, step_recordings=recordings, step_segments=segments, minutes=10.0)
    order = Order(choice, output, sizes, corpus, teacher=teacher)
    _evaluate([_Run(order, ["steps"])], jobs=1, afresh=False, as_json=as_json)
