"""`stridor evaluate controls|pitch|silence|determinism|proof|resynthesis`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate_words import (
    controls_lines,
    determinism_lines,
    pitch_lines,
    proof_lines,
    resynthesis_lines,
    silence_lines,
)
from app.commands.terminal import ProgressLine, plain, show
from app.store.atomic import write_atomically
from synth.errors import UserError
from synth.spec import LANE_IDS, TECHNIQUES

if TYPE_CHECKING:
    from synth.engine import Engine
    from synth.evaluate.recordings import Recording
    from synth.evaluate.singing import Singer

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
_QUALITIES = click.Choice(["live", "draft", "final"])
_VARIED = ("breathiness", "roughness", "fry", "loudness", "tension", "vowel_open", "vowel_front")


@click.group("evaluate")
def command() -> None:
    """Measure how well the model obeys, and how it sounds against real voices."""


def _common(quality: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that every evaluation has."""
    options = [
        click.option("--quality", type=_QUALITIES, default=quality, show_default=True),
        click.option("--weights", type=FOLDER, help="A folder of weights; else the model that is installed."),
        click.option("--threads", type=click.IntRange(min=1), help="Processor threads; all cores when not given."),
        click.option("-o", "--output", type=FILE, help="Also write the result to this JSON file."),
    ]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return wrap


def _finish(report: Any, lines: list[str], output: Path | None, *, as_json: bool) -> None:
    result = plain(asdict(report))
    if output is not None:
        write_atomically(output, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    show(result, lines, as_json=as_json)


def _engine(weights: Path | None, threads: int | None) -> Engine:
    from synth.engine import Engine  # torch: `--help` must not wait for it

    return Engine.load(weights, device="cpu", n_threads=threads)


def _singer(weights: Path | None, threads: int | None, quality: str) -> Singer:
    from synth.evaluate.singing import Singer

    return Singer(_engine(weights, threads), quality)


@stridor_command("controls", example="stridor evaluate controls --segments 200 -o controls.json")
@click.option("--lane", "lanes", multiple=True, type=click.Choice(LANE_IDS), help="Only these lanes.")
@click.option("--segments", type=click.IntRange(min=3), default=200, show_default=True, help="For each lane.")
@click.option("--all-at-once", is_flag=True, help="Every lane random in every segment.")
@click.option("--technique", type=click.Choice(["none", *TECHNIQUES]), default="modal", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_common("draft")
def controls(
    lanes: tuple[str, ...],
    segments: int,
    all_at_once: bool,
    technique: str,
    seed: int,
    quality: str,
    weights: Path | None,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Asked against measured on independent constant segments: rank correlation, slope, error, and cross-talk."""
    from synth.evaluate.controls import RANDOM_LANES, ControlsPlan, evaluate_controls

    unknown = [lane_id for lane_id in lanes if lane_id not in RANDOM_LANES]
    if unknown:
        raise UserError(f"{', '.join(unknown)} cannot be varied here.", remedy=f"Use {', '.join(RANDOM_LANES)}.")
    plan = ControlsPlan(
        lanes=lanes or _VARIED, n_segments=segments, all_at_once=all_at_once, technique=technique, seed=seed
    )
    singer = _singer(weights, threads, quality)
    with ProgressLine("Singing segments", quiet=as_json) as line:
        report = evaluate_controls(singer, plan, line.update)
    _finish(report, controls_lines(report), output, as_json=as_json)


@stridor_command("pitch", example="stridor evaluate pitch --seeds 3 -o pitch.json")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--simulated", type=click.IntRange(min=1), default=8, show_default=True, help="Clips for the trackers.")
@_common("draft")
def pitch(
    seeds: int,
    simulated: int,
    quality: str,
    weights: Path | None,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Glides, steps and vibrato, modal and breathy, judged by Praat and SwiftF0."""
    from synth.evaluate.pitch import evaluate_pitch

    singer = _singer(weights, threads, quality)
    with ProgressLine("Singing", quiet=as_json) as line:
        report = evaluate_pitch(singer, seeds=range(seeds), n_simulated=simulated, on_progress=line.update)
    _finish(report, pitch_lines(report), output, as_json=as_json)


@stridor_command("silence", example="stridor evaluate silence --seeds 3 -o silence.json")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--technique", "techniques", multiple=True, type=click.Choice(TECHNIQUES), help="Only these.")
@_common("draft")
def silence(
    seeds: int,
    techniques: tuple[str, ...],
    quality: str,
    weights: Path | None,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """The level where presence is 0 against the voiced level, straight from the decoder."""
    from synth.evaluate.silence import evaluate_silence

    singer = _singer(weights, threads, quality)
    with ProgressLine("Singing", quiet=as_json) as line:
        report = evaluate_silence(
            singer, seeds=range(seeds), techniques=techniques or TECHNIQUES, on_progress=line.update
        )
    _finish(report, silence_lines(report), output, as_json=as_json)


@stridor_command("determinism", example="stridor evaluate determinism --seconds 60 -o determinism.json")
@click.option("--seconds", type=click.FloatRange(min=8.0, max=600.0), default=60.0, show_default=True)
@click.option("--places", type=click.IntRange(min=1, max=10), default=10, show_default=True, help="Of the 1 s edit.")
@_common("draft")
def determinism(
    seconds: float,
    places: int,
    quality: str,
    weights: Path | None,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Twice, in two processes, edited against from scratch; and what a one-second edit samples again."""
    from app.commands.evaluate_edits import evaluate_determinism, in_another_process

    engine = _engine(weights, threads)
    with ProgressLine("Rendering", quiet=as_json) as line:
        report = evaluate_determinism(
            engine,
            quality,
            elsewhere=in_another_process(weights, threads),
            duration_s=seconds,
            n_places=places,
            on_progress=line.update,
        )
    _finish(report, determinism_lines(report), output, as_json=as_json)


def _recordings(corpus: Path, count: int | None, labels: tuple[str, ...]) -> list[Recording]:
    from synth.evaluate.recordings import held_out

    return held_out(corpus, count, labels)


@stridor_command(
    "proof", example="stridor evaluate proof --corpus runs/corpus --recordings 40 --pairs 20 -o proof.json"
)
@click.option("--corpus", type=FOLDER, required=True, help="A folder made by `stridor corpus build`.")
@click.option("--recordings", type=click.IntRange(min=2), default=40, show_default=True, help="Held-out recordings.")
@click.option("--pairs", type=click.IntRange(min=1), default=20, show_default=True, help="Pairs of real takes.")
@_common("draft")
def proof(
    corpus: Path,
    recordings: int,
    pairs: int,
    quality: str,
    weights: Path | None,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Latents replaced by their time-mean or another recording's must worsen every measure; seeds must differ."""
    from synth.evaluate.proof import evaluate_proof, take_pairs

    found = _recordings(corpus, recordings, ())
    takes = take_pairs(corpus, pairs)
    singer = _singer(weights, threads, quality)
    with ProgressLine("Singing recordings", quiet=as_json) as line:
        report = evaluate_proof(singer, found, takes, line.update)
    _finish(report, proof_lines(report), output, as_json=as_json)


@stridor_command("resynthesis", example="stridor evaluate resynthesis --corpus runs/corpus -o resynthesis.json")
@click.option("--corpus", type=FOLDER, required=True, help="A folder made by `stridor corpus build`.")
@click.option("--recordings", type=click.IntRange(min=1), help="How many held-out recordings; all when not given.")
@click.option("--label", "labels", multiple=True, help="Only recordings of this label, such as growl_phrase.")
@_common("final")
def resynthesis(
    corpus: Path,
    recordings: int | None,
    labels: tuple[str, ...],
    quality: str,
    weights: Path | None,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Held-out recordings extracted and sung again, beside WORLD and the codec's ceiling."""
    from synth.evaluate.resynthesis import evaluate_resynthesis

    found = _recordings(corpus, recordings, labels)
    singer = _singer(weights, threads, quality)
    with ProgressLine("Singing recordings", quiet=as_json) as line:
        report = evaluate_resynthesis(singer, found, line.update)
    _finish(report, resynthesis_lines(report), output, as_json=as_json)


for _evaluation in (controls, pitch, silence, determinism, proof, resynthesis):
    command.add_command(_evaluation)
