"""`python -m synth.evaluate.voice_in fit CORPUS`: fit the network of listening anew; minutes on one core."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from synth.atomic import write_atomically
from synth.corpus.manifest import Corpus
from synth.evaluate.voice_in.agreement import lane_agreements, technique_agreements
from synth.evaluate.voice_in.fitting import (
    LANES_BEHIND_S,
    N_HIDDEN,
    TECHNIQUE_BEHIND_S,
    VOICED_BEHIND_S,
    fit,
    rows_of,
)
from synth.evaluate.voice_in.material import blank_reading, chosen_records, hear_clips
from synth.listening.heard import READ_LANES
from synth.listening.reading import SHIPPED_READING

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """The network that reads lanes and techniques from what listening hears."""


@main.command("fit")
@click.argument("corpus_folder", type=_FOLDER)
@click.option("--clips", "n_clips", type=click.IntRange(min=8), default=320, show_default=True)
@click.option("--held-out", "n_held_out", type=click.IntRange(min=8), default=60, show_default=True)
@click.option("--iterations", type=click.IntRange(min=1), default=250, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=SHIPPED_READING)
def fit_command(corpus_folder: Path, n_clips: int, n_held_out: int, iterations: int, seed: int, output: Path) -> None:
    """Fit to clips of the training split, tell how well it does on the validation split, and write the file."""
    corpus = Corpus.open(corpus_folder)
    records = chosen_records(corpus, "train", n_clips, seed)
    rows = rows_of(hear_clips(corpus, records, blank_reading(), colour_seed=seed + 1))
    reading = fit(rows, n_iterations=iterations, seed=seed)
    held_out = list(hear_clips(corpus, chosen_records(corpus, "validation", n_held_out, seed), reading))
    notes = {
        "command": "python -m synth.evaluate.voice_in fit CORPUS",
        "fitted_on": {"split": "train", "clips": len(records), "frames": len(rows.numbers), "seed": seed},
        "recipe": {
            "hidden": N_HIDDEN,
            "iterations": iterations,
            "lanes_behind_s": LANES_BEHIND_S,
            "voiced_behind_s": VOICED_BEHIND_S,
            "technique_behind_s": TECHNIQUE_BEHIND_S,
        },
        "validation": {
            "lanes": [_short(asdict(found)) for found in lane_agreements(held_out, READ_LANES)],
            "techniques": [_short(asdict(found)) for found in technique_agreements(held_out)],
        },
    }
    document = replace(reading, notes=notes).to_json()
    write_atomically(output, (json.dumps(document, separators=(",", ":")) + "\n").encode())
    output.chmod(0o644)
    click.echo(json.dumps(notes, indent=1))


def _short(values: dict[str, object]) -> dict[str, object]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


if __name__ == "__main__":
    main()
