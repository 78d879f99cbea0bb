"""`stridor distill`."""

from __future__ import annotations

from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import show
from app.commands.training import FOLDER, Training, report_line, report_values, training


@stridor_command(
    "distill", example="stridor distill --corpus runs/corpus --weights runs/model --run runs/distilled --minutes 20"
)
@click.option("--weights", type=FOLDER, required=True, help="Folder with codec.safetensors and denoiser.safetensors.")
@training(20.0, without=("bf16",))
def command(wanted: Training, *, weights: Path, as_json: bool) -> None:
    """Teach a denoiser to take fewer steps: 16 become 8, 4, 2 and 1. Leaves denoiser.safetensors in the run folder."""
    from synth.engine import DENOISER_FILE
    from synth.train.distill import BATCH_SIZE, distill, distill_config
    from synth.train.processes import join_processes

    config = distill_config(wanted.minutes, batch_size=wanted.batch or BATCH_SIZE, seed=wanted.seed)
    _, reports = distill(wanted.corpus, weights, wanted.run, config, wanted.device)
    if not join_processes().is_first:
        return
    student = wanted.run / DENOISER_FILE
    result = {"weights": student, "stages": {name: report_values(report) for name, report in reports.items()}}
    lines = [f"{name}: {report_line(report)}" for name, report in reports.items()]
    show(result, [*lines, str(student)], as_json=as_json)
