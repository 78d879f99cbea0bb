"""Where there is no display: the demo passage as a sound file, with its picture."""

from __future__ import annotations

from pathlib import Path

from app.commands.measure import asked_controls
from app.commands.picture import draw_picture
from app.commands.render import speed_words
from app.commands.terminal import ProgressLine
from app.render.files import read_audio
from app.render.offline import render_to_file
from app.render.renderer import Progress
from app.store.passages import load_passage
from app.store.presets import DEMO_FOLDER

DEMO_PASSAGE = DEMO_FOLDER / "first_breath.stridor"


def render_demo(folder: Path) -> tuple[Path, Path]:
    """Write first_breath.wav and first_breath.png into `folder`. -> both paths. Raises UserError."""
    passage = load_passage(DEMO_PASSAGE)
    sound, picture = folder / "first_breath.wav", folder / "first_breath.png"
    with ProgressLine(f"Rendering {DEMO_PASSAGE.name}") as line:

        def on_progress(progress: Progress) -> None:
            line.update(progress.done_cells, progress.total_cells, speed_words(progress.realtime_factor))

        render_to_file(passage, sound, quality="final", on_progress=on_progress)
    from synth.features.analysis import analyse  # loads the pitch tracker: after the first sound, not before

    audio = read_audio(sound)
    draw_picture(picture, passage.voices[0].name, audio, asked_controls(passage, 0), analyse(audio).lanes)
    return sound, picture
