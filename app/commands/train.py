"""`stridor train codec|diffusion|control|ssl|technique|baseline|plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import show
from app.commands.training import FILE, FOLDER, Training, show_report, training
from synth.errors import UserError

_WORKERS = click.IntRange(min=1)


@click.group("train")
def command() -> None:
    """Train a model on a corpus, within a time box; the same command resumes a run that was stopped."""


@stridor_command("codec", example="stridor train codec --corpus runs/corpus --run runs/codec --minutes 30")
@click.option("--adversarial/--no-adversarial", default=None, help="A second stage with discriminators.")
@click.option("--workers", type=_WORKERS, default=2, show_default=True, help="Processes that prepare the corpus.")
@click.option("--polish", type=FILE, metavar="FILE", help="Go on with this codec's decoder alone: latents stay.")
@training(30.0)
def codec(wanted: Training, *, adversarial: bool | None, workers: int, polish: Path | None, as_json: bool) -> None:
    """Train the codec: voice to latents at 100 Hz and back. Leaves codec.safetensors in the run folder."""
    from synth.train.codec import codec_loop, polish_codec, train_codec

    loop = codec_loop(wanted.minutes, seed=wanted.seed, device=wanted.device)
    if polish is not None:
        if adversarial:
            raise UserError("A codec is polished without discriminators.", remedy="Leave out --adversarial.")
        _, report = polish_codec(
            wanted.corpus, wanted.run, loop, start=polish, batch_size=wanted.batch, use_bf16=wanted.bf16,
            n_workers=workers,
        )  # fmt: skip
    else:
        _, report = train_codec(
            wanted.corpus, wanted.run, loop, batch_size=wanted.batch, adversarial=adversarial,
            use_bf16=wanted.bf16, n_workers=workers,
        )  # fmt: skip
    show_report(wanted.run / "codec.safetensors", report, as_json=as_json)


@stridor_command(
    "diffusion",
    example="stridor train diffusion --corpus runs/corpus --codec runs/codec/codec.safetensors --run runs/diffusion",
)
@click.option("--codec", "codec_file", type=FILE, required=True)
@click.option("--learn-variance", is_flag=True, help="Of backward steps, too, for drawing with fresh noise.")
@click.option(
    "--stages", type=click.Choice(["none", "guidance", "levels", "structure", "all"]), default="none",
    show_default=True, help="Mechanisms that follow the training's stage; they listen with --ssl.",
)  # fmt: skip
@click.option("--ssl", "ear", type=click.Path(path_type=Path), help="ssl.safetensors, or a Hugging Face folder.")
@training(40.0)
def diffusion(
    wanted: Training, *, codec_file: Path, learn_variance: bool, stages: str, ear: Path | None, as_json: bool
) -> None:
    """Train the denoiser on a codec's latents. Leaves denoiser.safetensors in the run folder."""
    from synth.engine import load_codec
    from synth.train.descent import resolve_device
    from synth.train.diffusion import BATCH_SIZE, diffusion_loop, train_diffusion
    from synth.train.staged import load_ear
    from synth.train.stages import stage_config

    device = resolve_device(wanted.device)
    loop = diffusion_loop(wanted.minutes, seed=wanted.seed, device=str(device))
    frozen = load_codec(codec_file).to(device)
    _, report = train_diffusion(
        wanted.corpus, frozen, wanted.run, loop,
        batch_size=wanted.batch or BATCH_SIZE, use_bf16=wanted.bf16, learn_variance=learn_variance,
        stages=stage_config(stages, wanted.seed), ear=load_ear(ear, device) if ear else None,
    )  # fmt: skip
    show_report(wanted.run / "denoiser.safetensors", report, as_json=as_json)


@stridor_command(
    "control",
    example="stridor train control --corpus runs/corpus --weights runs/distilled --run runs/control --minutes 6",
)
@click.option("--weights", type=FOLDER, required=True, help="Folder with codec.safetensors and denoiser.safetensors.")
@click.option("--workers", type=_WORKERS, default=2, show_default=True, help="Processes that listen.")
@training(6.0, without=("batch", "bf16", "processes"))
def control(wanted: Training, *, weights: Path, workers: int, as_json: bool) -> None:
    """Refine a denoiser by what the ears measure in its own sound. Leaves denoiser.safetensors in the run folder."""
    from synth.train.control import ControlConfig, refine
    from synth.train.descent import resolve_device

    config = ControlConfig.for_device(resolve_device(wanted.device), seed=wanted.seed)
    refine(
        wanted.corpus, weights, wanted.run,
        minutes=wanted.minutes, device=wanted.device, n_workers=workers, config=config,
    )  # fmt: skip
    refined = wanted.run / "denoiser.safetensors"
    show({"weights": refined}, [str(refined)], as_json=as_json)


@stridor_command("ssl", example="stridor train ssl --corpus runs/corpus --run runs/ssl --minutes 10")
@click.option(
    "--target", type=click.Choice(["latent", "spectrogram"]), default="latent", show_default=True,
    help="What is to be said of hidden frames.",
)  # fmt: skip
@training(10.0, without=("batch", "bf16"))
def ssl(wanted: Training, *, target: str, as_json: bool) -> None:
    """Train the self-supervised encoder that stage-adaptive training listens with. Leaves ssl.safetensors."""
    from synth.ssl.encoder import SslConfig
    from synth.train.descent import resolve_device
    from synth.train.ssl import WEIGHTS_FILE, ssl_loop, train_ssl

    device = resolve_device(wanted.device)
    loop = ssl_loop(wanted.minutes, seed=wanted.seed, device=str(device))
    config = SslConfig(seed=wanted.seed, target=target)
    _, report = train_ssl(wanted.corpus, wanted.run, loop, config, device=device)
    show_report(wanted.run / WEIGHTS_FILE, report, as_json=as_json)


@stridor_command("technique", example="stridor train technique --corpus runs/corpus --run runs/technique --minutes 2")
@click.option("--simulated-clips", type=click.IntRange(min=1), help="Of each label, at most; all when not given.")
@training(2.0, without=("batch", "bf16", "processes", "device"))
def technique(wanted: Training, *, simulated_clips: int | None, as_json: bool) -> None:
    """Train the classifier of techniques. Leaves technique.safetensors, judged on the test split."""
    from synth.train.technique import TechniqueConfig, figure_lines, train_from_corpus

    config = TechniqueConfig(minutes=wanted.minutes, seed=wanted.seed, simulated_clips=simulated_clips)
    out = wanted.run / "technique.safetensors"
    model = train_from_corpus(wanted.corpus, out, config)
    notes: dict[str, Any] = dict(model.notes)
    show({"weights": out, **notes}, [*figure_lines(notes["figures"]), str(out)], as_json=as_json)


@stridor_command("baseline", example="stridor train baseline --corpus runs/corpus --run runs/baseline --minutes 30")
@training(30.0)
def baseline(wanted: Training, *, as_json: bool) -> None:
    """Train the waveform baseline of audio-diffusion-pytorch's architecture. Leaves baseline.safetensors."""
    from synth.baseline.voice import BASELINE_FILE
    from synth.train.baseline import BATCH_SIZE, baseline_loop, train_baseline

    network, report = train_baseline(
        wanted.corpus, wanted.run, baseline_loop(wanted.minutes, seed=wanted.seed, device=wanted.device),
        batch_size=wanted.batch or BATCH_SIZE, use_bf16=wanted.bf16,
    )  # fmt: skip
    more = {"parameters": network.n_parameters}
    show_report(wanted.run / BASELINE_FILE, report, as_json=as_json, more=more)


@stridor_command("plot", example="stridor train plot runs/codec -o codec.png")
@click.argument("run", type=FOLDER)
@click.option("-o", "--output", type=FILE, help="Else training.png in the run folder.")
def plot(run: Path, output: Path | None, as_json: bool) -> None:
    """Draw the log of a run, with its stages: losses, learning rate, gradient, figures."""
    from synth.train.plot import plot_run

    path, stages = plot_run(run, output)
    lines = [str(path)]
    for name, rows in stages.items():
        last = rows[-1]
        lines.append(f"{name}: {last['step']} steps in {last['seconds'] / 60.0:.1f} min, loss {last.get('loss')}")
    show({"picture": path, "last": {name: rows[-1] for name, rows in stages.items()}}, lines, as_json=as_json)


for _part in (codec, diffusion, control, ssl, technique, baseline, plot):
    command.add_command(_part)
