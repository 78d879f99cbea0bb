"""`stridor render`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import ProgressLine, show

if TYPE_CHECKING:
    from app.render.renderer import Progress
    from app.render.report import RenderReport

QUALITIES = click.Choice(["live", "draft", "final"])
DEVICES = click.Choice(["auto", "cpu", "cuda"])
FILE = click.Path(path_type=Path)


@stridor_command("render", example="stridor render presets/demo/first_breath.stridor -o breath.flac --quality final")
@click.argument("source", metavar="PASSAGE|MIDI", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="A .wav or .flac file.")
@click.option("--preset", help="Sing with this preset instead; see `stridor presets list`.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed: another take of the same passage.")
@click.option("--device", type=DEVICES, default="auto", show_default=True)
@click.option("--quality", type=QUALITIES, default="final", show_default=True)
@click.option("--stems", is_flag=True, help="Also one file for each voice.")
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads; all cores when not given.")
def command(
    source: Path,
    output: Path,
    preset: str | None,
    seed: int | None,
    device: str,
    quality: str,
    stems: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Render a passage or a MIDI file to a WAV or FLAC file, 48 kHz stereo.

    The same passage, seed and device give the same samples, every time. What was rendered before comes from the cache.
    """
    from app.commands.open_passage import open_passage
    from app.render.offline import render_to_file

    passage = open_passage(source, preset, seed)
    with ProgressLine(f"Rendering {source.name}", quiet=as_json) as line:

        def on_progress(progress: Progress) -> None:
            line.update(progress.done_cells, progress.total_cells, speed_words(progress.realtime_factor))

        report = render_to_file(
            passage, output, quality=quality, device=device, stems=stems, n_threads=threads, on_progress=on_progress
        )
    show({"output": output, **report.as_dict()}, report_lines(output, report), as_json=as_json)


def speed_words(realtime_factor: float) -> str:
    """Seconds of sound per second of work, in words; empty while unknown."""
    return f"{realtime_factor:.1f}x real time" if realtime_factor > 0.0 else ""


def report_lines(output: Path, report: RenderReport) -> list[str]:
    """What a render was, for a person."""
    speed = speed_words(report.realtime_factor) or "all from the cache"
    lines = [f"{output}: {report.duration_s:.1f} s, {report.quality}, on {report.device}, {speed}"]
    if report.attenuation_db > 0.0:
        lines.append(f"Turned down by {report.attenuation_db:.1f} dB, so that it does not clip.")
    return lines
