"""`stridor evaluate curve`: quality against minutes of training."""

from __future__ import annotations

from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate.options import FOLDER, EngineChoice, finish, with_corpus, with_engine
from app.commands.terminal import ProgressLine
from app.store.atomic import write_atomically
from synth.errors import UserError

OURS, BASELINE = "ours", "waveform baseline"


@stridor_command(
    "curve",
    example="stridor evaluate curve 10=runs/at10 20=runs/at20 60=runs/diffusion --corpus runs/corpus -o runs/curve",
)
@click.argument("points", nargs=-1, required=True, metavar="MINUTES=FOLDER...")
@with_corpus()
@click.option("--baseline", "others", multiple=True, metavar="MINUTES=FOLDER", help="Runs of the waveform baseline.")
@click.option("--baseline-steps", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--recordings", type=click.IntRange(min=4), default=14, show_default=True)
@click.option("--segments", type=click.IntRange(min=1), default=8, show_default=True, help="Of each lane.")
@click.option("-o", "--output", type=FOLDER, default=Path("runs/curve"), show_default=True)
@with_engine()
def curve(
    points: tuple[str, ...],
    corpus: Path,
    others: tuple[str, ...],
    baseline_steps: int,
    recordings: int,
    segments: int,
    output: Path,
    choice: EngineChoice,
    as_json: bool,
) -> None:
    """Weights of several ages on the same recordings and lanes: curve.svg, curve.json, and how fast errors fall.

    A point that was measured before is not measured again.
    """
    from dataclasses import replace

    from synth.codec.weights import content_hash
    from synth.evaluate.curve import curve_report, curve_segments, kept_point, measure_point
    from synth.evaluate.figures import curve_figure
    from synth.evaluate.resung import labelled_recordings
    from synth.evaluate.singing import Singer

    asked = [(OURS, *_dated(words)) for words in points] + [(BASELINE, *_dated(words)) for words in others]
    chosen = labelled_recordings(corpus, recordings)
    drawn = curve_segments(segments)
    found = []
    with ProgressLine("Singing", quiet=as_json) as line:
        for number, (voice, minutes, folder) in enumerate(asked):

            def singer(voice: str = voice, folder: Path = folder) -> Singer:
                if voice == BASELINE:
                    return choice.baseline(folder, baseline_steps)
                return replace(choice, weights=folder).singer()

            def told(done: float, total: float, number: int = number) -> None:
                line.update(number + done / max(total, 1), len(asked))

            files = sorted(folder.glob("*.safetensors"))
            if not files:
                raise UserError(f"{folder} holds no weights.", remedy="Name folders of trained weights.")
            quality = choice.quality if voice == OURS else f"{baseline_steps} steps"
            words = [voice, f"{minutes:g}", quality, f"{recordings}", f"{segments}", content_hash(*files)]
            words += [recording.id for recording, _ in chosen]
            found.append(
                kept_point(
                    output / "points",
                    words,
                    lambda singer=singer, voice=voice, minutes=minutes, told=told: measure_point(
                        singer(), voice, minutes, chosen, drawn, told
                    ),
                )
            )
    report = curve_report(found, len(chosen), len(drawn))
    write_atomically(output / "curve.svg", curve_figure(report).encode())
    finish(report, [*report.lines(), str(output / "curve.svg")], output / "curve.json", as_json=as_json)


def _dated(words: str) -> tuple[float, Path]:
    minutes, equals, folder = words.partition("=")
    try:
        if equals and folder and float(minutes) > 0.0:
            return float(minutes), Path(folder)
    except ValueError:
        pass
    raise UserError(f"{words} names no minutes and folder.", remedy="Write MINUTES=FOLDER, such as 20=runs/diffusion.")
