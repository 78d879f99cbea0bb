"""`stridor evaluate controls|pitch|silence|determinism|contradictions`: what needs no recordings."""

from __future__ import annotations

from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate.options import EngineChoice, finish, with_engine, with_output
from app.commands.evaluate_words import controls_lines, determinism_lines, pitch_lines, silence_lines
from app.commands.terminal import ProgressLine
from synth.errors import UserError
from synth.spec import LANE_IDS, TECHNIQUES

_VARIED = ("breathiness", "roughness", "fry", "loudness", "tension", "vowel_open", "vowel_front")


@stridor_command("controls", example="stridor evaluate controls --segments 200 -o controls.json")
@click.option("--lane", "lanes", multiple=True, type=click.Choice(LANE_IDS), help="Only these lanes.")
@click.option("--segments", type=click.IntRange(min=3), default=200, show_default=True, help="For each lane.")
@click.option("--all-at-once", is_flag=True, help="Every lane random in every segment.")
@click.option("--technique", type=click.Choice(["none", *TECHNIQUES]), default="modal", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@with_engine()
@with_output
def controls(
    lanes: tuple[str, ...],
    segments: int,
    all_at_once: bool,
    technique: str,
    seed: int,
    choice: EngineChoice,
    output: Path | None,
    as_json: bool,
) -> None:
    """Asked against measured, the other lanes at their defaults: rank correlation, slope, error, and cross-talk.

    The report's part `lanes` does it while the other lanes move as well.
    """
    from synth.evaluate.controls import RANDOM_LANES, ControlsPlan, evaluate_controls

    unknown = [lane_id for lane_id in lanes if lane_id not in RANDOM_LANES]
    if unknown:
        raise UserError(f"{', '.join(unknown)} cannot be varied here.", remedy=f"Use {', '.join(RANDOM_LANES)}.")
    plan = ControlsPlan(
        lanes=lanes or _VARIED, n_segments=segments, all_at_once=all_at_once, technique=technique, seed=seed
    )
    singer = choice.singer()
    with ProgressLine("Singing segments", quiet=as_json) as line:
        report = evaluate_controls(singer, plan, line.update)
    finish(report, controls_lines(report), output, as_json=as_json)


@stridor_command("pitch", example="stridor evaluate pitch --seeds 3 -o pitch.json")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--simulated", type=click.IntRange(min=1), default=8, show_default=True, help="Clips for the trackers.")
@with_engine()
@with_output
def pitch(seeds: int, simulated: int, choice: EngineChoice, output: Path | None, as_json: bool) -> None:
    """Glides, steps and vibrato; modal, breathy and tense; judged by Praat and SwiftF0."""
    from synth.evaluate.pitch import evaluate_pitch

    singer = choice.singer()
    with ProgressLine("Singing", quiet=as_json) as line:
        report = evaluate_pitch(singer, seeds=range(seeds), n_simulated=simulated, on_progress=line.update)
    finish(report, pitch_lines(report), output, as_json=as_json)


@stridor_command("silence", example="stridor evaluate silence --seeds 3 -o silence.json")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--technique", "techniques", multiple=True, type=click.Choice(TECHNIQUES), help="Only these.")
@with_engine()
@with_output
def silence(seeds: int, techniques: tuple[str, ...], choice: EngineChoice, output: Path | None, as_json: bool) -> None:
    """The level where presence is 0 against the voiced level, straight from the decoder."""
    from synth.evaluate.silence import evaluate_silence

    singer = choice.singer()
    with ProgressLine("Singing", quiet=as_json) as line:
        report = evaluate_silence(
            singer, seeds=range(seeds), techniques=techniques or TECHNIQUES, on_progress=line.update
        )
    finish(report, silence_lines(report), output, as_json=as_json)


@stridor_command("determinism", example="stridor evaluate determinism --seconds 60 -o determinism.json")
@click.option("--seconds", type=click.FloatRange(min=8.0, max=600.0), default=60.0, show_default=True)
@click.option("--places", type=click.IntRange(min=1, max=10), default=10, show_default=True, help="Of the 1 s edit.")
@with_engine()
@with_output
def determinism(seconds: float, places: int, choice: EngineChoice, output: Path | None, as_json: bool) -> None:
    """Twice, in two processes, edited against from scratch; and what a one-second edit samples again."""
    from app.commands.evaluate_edits import evaluate_determinism, in_another_process

    if choice.device != "cpu":
        raise UserError("Renders are identical on one device: the CPU.", remedy="Leave out --device.")
    engine = choice.engine()
    with ProgressLine("Rendering", quiet=as_json) as line:
        report = evaluate_determinism(
            engine,
            choice.quality,
            elsewhere=in_another_process(choice.weights, choice.threads),
            duration_s=seconds,
            n_places=places,
            on_progress=line.update,
        )
    finish(report, determinism_lines(report), output, as_json=as_json)


@stridor_command("contradictions", example="stridor evaluate contradictions --seeds 5 -o contradictions.json")
@click.option("--seeds", type=click.IntRange(min=2), default=5, show_default=True)
@with_engine()
@with_output
def contradictions(seeds: int, choice: EngineChoice, output: Path | None, as_json: bool) -> None:
    """Whispers with a pitch, fry at 600 Hz: decent sound, moved in the asked direction."""
    from synth.evaluate.contradictions import run_contradictions

    engine = choice.engine()
    with ProgressLine("Singing", quiet=as_json) as line:
        report = run_contradictions(engine, quality=choice.quality, n_seeds=seeds, on_progress=line.update)
    finish(report, report.lines(), output, as_json=as_json)
