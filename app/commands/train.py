"""`stridor train codec|diffusion`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import show

if TYPE_CHECKING:
    from synth.train.loop import LoopReport

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group("train")
def command() -> None:
    """Train a model on a corpus, within a time box; the same command resumes a run that was stopped."""


@stridor_command("codec", example="stridor train codec --corpus runs/corpus --run runs/codec --minutes 30")
@click.option("--corpus", type=_FOLDER, required=True, help="A folder made by `stridor corpus build`.")
@click.option("--run", "run_folder", type=_FOLDER, required=True, help="Folder of checkpoints and weights.")
@click.option("--minutes", type=click.FloatRange(min=0.0, min_open=True), default=30.0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def codec(corpus: Path, run_folder: Path, minutes: float, threads: int, seed: int, as_json: bool) -> None:
    """Train the codec: voice to latents at 100 Hz and back. Leaves codec.safetensors in the run folder."""
    import torch  # only training waits for it

    from synth.train.codec import train_codec
    from synth.train.loop import LoopConfig

    _tell_how_it_goes()
    torch.set_num_threads(threads)
    _, report = train_codec(corpus, run_folder, LoopConfig(minutes=minutes, seed=seed))
    _show_report(run_folder / "codec.safetensors", report, as_json=as_json)


@stridor_command(
    "diffusion",
    example="stridor train diffusion --corpus runs/corpus --codec runs/codec/codec.safetensors --run runs/diffusion",
)
@click.option("--corpus", type=_FOLDER, required=True, help="A folder made by `stridor corpus build`.")
@click.option("--codec", "codec_file", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--run", "run_folder", type=_FOLDER, required=True, help="Folder of checkpoints and weights.")
@click.option("--minutes", type=click.FloatRange(min=0.0, min_open=True), default=40.0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def diffusion(
    corpus: Path, codec_file: Path, run_folder: Path, minutes: float, threads: int, seed: int, as_json: bool
) -> None:
    """Train the denoiser on a codec's latents. Leaves denoiser.safetensors in the run folder."""
    import torch  # only training waits for it

    from synth.engine import load_codec
    from synth.train.diffusion import diffusion_loop, train_diffusion

    _tell_how_it_goes()
    torch.set_num_threads(threads)
    _, report = train_diffusion(corpus, load_codec(codec_file), run_folder, diffusion_loop(minutes, seed))
    _show_report(run_folder / "denoiser.safetensors", report, as_json=as_json)


def _tell_how_it_goes() -> None:
    """The training loop logs its losses; whoever waits for it wants to see them."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO)
    terminal.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.getLogger("synth.train").addHandler(terminal)


def _show_report(weights: Path, report: LoopReport, *, as_json: bool) -> None:
    result: dict[str, Any] = {"weights": weights, "steps": report.steps, "seconds": report.seconds}
    result |= {"loss": report.loss, "peak_memory_mb": report.peak_memory_mb}
    line = f"{weights}: {report.steps} steps in {report.seconds / 60.0:.1f} min, loss {report.loss:.3f}"
    show(result, [line], as_json=as_json)


command.add_command(codec)
command.add_command(diffusion)
