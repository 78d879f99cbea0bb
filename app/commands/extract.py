"""`stridor extract`."""

from __future__ import annotations

from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import show
from synth.errors import UserError

FILE = click.Path(path_type=Path)


@stridor_command("extract", example="stridor extract growl.flac -o growl.stridor --preset growl")
@click.argument("audio", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="A .stridor file.")
@click.option("--preset", help="Who sings it; see `stridor presets list`.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def command(audio: Path, output: Path, preset: str | None, seed: int, as_json: bool) -> None:
    """Turn a recording into a passage: every lane measured and drawn, and the notes that were heard."""
    from app.commands.extraction import passage_from_recording  # `stridor --help` needs none of these rooms
    from app.render.offline import with_overrides
    from app.store.passages import PASSAGE_SUFFIX, save_passage
    from app.store.presets import load_preset

    if output.suffix != PASSAGE_SUFFIX:
        raise UserError(f"{output} is no passage file.", remedy=f"End its name in {PASSAGE_SUFFIX}.")
    if preset is not None:
        load_preset(preset)
    passage = with_overrides(passage_from_recording(audio), preset, seed)
    save_passage(passage, output)
    voice = passage.voices[0]
    points = {lane_id: len(curve.points) for lane_id, curve in voice.lanes.items()}
    result = {"output": output, "duration_s": passage.duration_s, "notes": len(voice.notes), "points": points}
    line = f"{output}: {passage.duration_s:.2f} s, {len(voice.notes)} notes, {sum(points.values())} points"
    show(result, [f"{line} in {len(points)} lanes"], as_json=as_json)
