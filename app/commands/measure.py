"""`stridor measure`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from app.commands.command import command as stridor_command
from app.commands.terminal import columns, show
from synth.errors import UserError
from synth.spec import lane

if TYPE_CHECKING:
    from app.state.passage import Passage
    from synth.features.compare import LaneError
    from synth.spec import ControlFrames, Float32Array

FILE = click.Path(path_type=Path)
_LEAST_PRESENCE = 0.5


@stridor_command("measure", example="stridor measure breath.wav --against presets/demo/first_breath.stridor")
@click.argument("audio", type=FILE)
@click.option("--against", type=FILE, metavar="PASSAGE|MIDI", help="What was asked for: errors, lane by lane.")
@click.option("--voice", "voice_number", type=click.IntRange(min=1), default=1, show_default=True, help="Whose stem.")
@click.option("--preset", help="The preset that a MIDI file was sung with.")
@click.option("--picture", type=FILE, metavar="PNG", help="With --against: draw what was asked and what was heard.")
@click.option("--frames", is_flag=True, help="With --json: every lane's curve, 100 values a second.")
def command(
    audio: Path,
    against: Path | None,
    voice_number: int,
    preset: str | None,
    picture: Path | None,
    frames: bool,
    as_json: bool,
) -> None:
    """Measure every lane of a recording, and how far it is from what was asked.

    Errors are in the lane's own unit (pitch: cents), over the frames where somebody was asked to sing. A passage of
    several voices is measured voice by voice: render it with --stems.
    """
    from app.commands.open_passage import open_passage
    from app.render.files import read_audio
    from synth.features.analysis import analyse  # loads the pitch tracker
    from synth.features.technique import load_technique_classifier

    if picture is not None and against is None:
        raise UserError("A picture needs what was asked.", remedy="Name the passage with --against.")
    passage = open_passage(against, preset) if against is not None else None
    sound = read_audio(audio)
    measured = analyse(sound, technique_classifier=load_technique_classifier()).lanes
    result: dict[str, Any] = {"audio": audio, "lanes": {name: summary(measured, name) for name in measured}}
    rows = [[lane_id, *summary_cells(measured, lane_id)] for lane_id in measured]
    lines = columns(rows, header=["lane", "median", "10 %", "90 %", "unit"])
    if passage is not None:
        asked = asked_controls(passage, voice_number - 1)
        errors = lane_errors(asked, measured)
        result["against"] = against
        result["errors"] = {lane_id: asdict(error) for lane_id, error in errors.items()}
        lines += ["", *error_lines(errors)]
        if picture is not None:
            from app.commands.picture import draw_picture  # Qt

            draw_picture(picture, audio.name, sound, asked, measured)
            result["picture"] = picture
    if frames:
        result["frames"] = dict(measured)
        if passage is not None:
            result["asked_frames"] = dict(asked_controls(passage, voice_number - 1).values)
    show(result, lines, as_json=as_json)


def asked_controls(passage: Passage, voice_index: int) -> ControlFrames:
    """What the passage asks of one voice, frame by frame. Raises UserError when there is no such voice."""
    from app.state.resolve import resolve
    from app.store.presets import load_preset

    if voice_index >= len(passage.voices):
        raise UserError(
            f"The passage has {len(passage.voices)} voices, not {voice_index + 1}.", remedy="Choose one with --voice."
        )
    voice = passage.voices[voice_index]
    return resolve(passage, voice, load_preset(voice.preset), 0, passage.n_frames)


def lane_errors(asked: ControlFrames, measured: Mapping[str, Float32Array]) -> dict[str, LaneError]:
    """Asked against measured, for every lane that has both."""
    from synth.features.compare import compare_lanes

    return compare_lanes(asked.values, measured, _LEAST_PRESENCE)


def summary(measured: Mapping[str, Float32Array], lane_id: str) -> dict[str, float | str | None]:
    """Median and spread of a lane where somebody sings."""
    values = measured[lane_id]
    if lane_id != "presence":
        values = values[measured["presence"] > _LEAST_PRESENCE]
    known = values[np.isfinite(values)]
    low, middle, high = np.percentile(known, [10, 50, 90]) if len(known) else (None, None, None)
    return {"unit": lane(lane_id).unit, "low": low, "median": middle, "high": high}


def summary_cells(measured: Mapping[str, Float32Array], lane_id: str) -> list[str]:
    """The same, as cells of a table."""
    values = summary(measured, lane_id)
    return [*(number(values[key]) for key in ("median", "low", "high")), str(values["unit"])]


def error_lines(errors: Mapping[str, LaneError]) -> list[str]:
    """The table of errors."""
    rows = [
        [
            lane_id,
            number(error.mean_absolute_error),
            number(error.mean_error),
            number(error.spearman_rho),
            number(error.slope),
            error.unit,
        ]
        for lane_id, error in errors.items()
    ]
    lines = columns(rows, header=["asked against measured", "abs. error", "mean error", "rank corr.", "slope", "unit"])
    if "pitch" in errors:
        lines.append(f"pitch: {100.0 * errors['pitch'].gross_rate:.1f} % of frames off by more than half a semitone")
    return lines


def number(value: float | str | None) -> str:
    """Two digits after the point; a dash where there is no value."""
    return f"{value:.2f}" if isinstance(value, float) and np.isfinite(value) else "-"
