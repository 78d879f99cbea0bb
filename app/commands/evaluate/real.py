"""`stridor evaluate proof|resynthesis|sustained|codec`: what is held against recordings."""

from __future__ import annotations

from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.evaluate.options import (
    FOLDER,
    EngineChoice,
    finish,
    held_out_recordings,
    with_corpus,
    with_engine,
    with_output,
)
from app.commands.evaluate_words import codec_lines, proof_lines, resynthesis_lines
from app.commands.terminal import ProgressLine


@stridor_command(
    "proof", example="stridor evaluate proof --corpus runs/corpus --recordings 40 --pairs 20 -o proof.json"
)
@with_corpus()
@click.option("--recordings", type=click.IntRange(min=2), default=40, show_default=True, help="Held-out recordings.")
@click.option("--pairs", type=click.IntRange(min=1), default=20, show_default=True, help="Pairs of real takes.")
@with_engine()
@with_output
def proof(corpus: Path, recordings: int, pairs: int, choice: EngineChoice, output: Path | None, as_json: bool) -> None:
    """Latents replaced by their time-mean or another recording's must worsen every measure; seeds must differ."""
    from synth.evaluate.proof import evaluate_proof, take_pairs

    found = held_out_recordings(corpus, recordings)
    takes = take_pairs(corpus, pairs)
    singer = choice.singer()
    with ProgressLine("Singing recordings", quiet=as_json) as line:
        report = evaluate_proof(singer, found, takes, line.update)
    finish(report, proof_lines(report), output, as_json=as_json)


@stridor_command("resynthesis", example="stridor evaluate resynthesis --corpus runs/corpus -o resynthesis.json")
@with_corpus()
@click.option("--recordings", type=click.IntRange(min=1), help="How many held-out recordings; all when not given.")
@click.option("--label", "labels", multiple=True, help="Only recordings of this label, such as growl_phrase.")
@with_engine("final")
@with_output
def resynthesis(
    corpus: Path,
    recordings: int | None,
    labels: tuple[str, ...],
    choice: EngineChoice,
    output: Path | None,
    as_json: bool,
) -> None:
    """Held-out recordings extracted and sung again, beside WORLD and the codec's ceiling."""
    from synth.evaluate.resynthesis import evaluate_resynthesis

    found = held_out_recordings(corpus, recordings, labels)
    singer = choice.singer()
    with ProgressLine("Singing recordings", quiet=as_json) as line:
        report = evaluate_resynthesis(singer, found, line.update)
    finish(report, resynthesis_lines(report), output, as_json=as_json)


@stridor_command("sustained", example="stridor evaluate sustained --corpus runs/corpus --notes 12 -o sustained.json")
@with_corpus()
@click.option("--notes", type=click.IntRange(min=1), default=12, show_default=True, help="Held for 30 s each.")
@with_engine()
@with_output
def sustained(corpus: Path, notes: int, choice: EngineChoice, output: Path | None, as_json: bool) -> None:
    """Held notes against real ones: do they loop, go deaf to their lanes, or stand too still?"""
    from synth.evaluate.sustained import SustainedPlan, run_sustained

    engine = choice.engine()
    with ProgressLine("Holding notes", quiet=as_json) as line:
        report = run_sustained(
            engine, corpus, quality=choice.quality, plan=SustainedPlan(n_notes=notes), on_progress=line.update
        )
    finish(report, report.lines(), output, as_json=as_json)


@stridor_command("codec", example="stridor evaluate codec --corpus runs/corpus --weights runs/codec -o codec.json")
@with_corpus()
@click.option("--recordings", type=click.IntRange(min=1), help="How many held-out recordings; all when not given.")
@click.option("--weights", type=FOLDER, help="A folder with codec.safetensors; else the model that is installed.")
@click.option("--bends/--no-bends", default=True, help="Also the same latents an octave up and down.")
@with_output
def codec(
    corpus: Path, recordings: int | None, weights: Path | None, bends: bool, output: Path | None, as_json: bool
) -> None:
    """Held-out recordings through the codec, beside WORLD and two realisations of the same noise."""
    from synth.engine import DEFAULT_WEIGHTS_DIR
    from synth.evaluate.codec_fidelity import codec_fidelity

    with ProgressLine("Coding recordings", quiet=as_json) as line:
        report = codec_fidelity(
            weights or DEFAULT_WEIGHTS_DIR, corpus, recordings, with_bends=bends, on_progress=line.update
        )
    finish(report, codec_lines(report), output, as_json=as_json)
