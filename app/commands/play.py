"""`stridor play`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.render import QUALITIES, speed_words
from app.commands.terminal import ProgressLine, show
from synth.errors import UserError

if TYPE_CHECKING:
    from app.services import Event, InstrumentLike
    from app.state.passage import Passage

FILE = click.Path(path_type=Path)
_POLL_S = 1.0 / 60.0
_HEAD_START_S = 2.0  # of sound ready before playing starts, when rendering is faster than playing
_SAFE_SPEED = 1.5
_DEVICE_PATIENCE_S = 5.0


@stridor_command("play", example="stridor play presets/demo/first_breath.stridor")
@click.argument("source", metavar="PASSAGE|MIDI", type=FILE)
@click.option("--preset", help="Sing with this preset instead; see `stridor presets list`.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed: another take of the same passage.")
@click.option("--quality", type=QUALITIES, default="draft", show_default=True)
@click.option("--start", "start_s", type=click.FloatRange(min=0.0), default=0.0, help="Seconds into the passage.")
@click.option("--output", "device_id", help="An output device; see `stridor doctor`.")
def command(
    source: Path,
    preset: str | None,
    seed: int | None,
    quality: str,
    start_s: float,
    device_id: str | None,
    as_json: bool,
) -> None:
    """Render a passage or a MIDI file and play it; it begins as soon as rendering is safely ahead."""
    from app.commands.instrument import make_instrument
    from app.commands.open_passage import open_passage

    passage = open_passage(source, preset, seed)
    if start_s >= passage.duration_s:
        raise UserError(f"The passage lasts {passage.duration_s:g} s only.", remedy="Start earlier.")
    instrument = make_instrument(plays_live=False)
    try:
        instrument.start()
        if device_id is not None:
            instrument.set_output_device(device_id)
        with ProgressLine(f"Rendering {source.name}", quiet=as_json) as line:
            result = play_passage(instrument, passage, quality=quality, start_s=start_s, on_progress=line.update)
    finally:
        instrument.close()
    words = f"Played {result['played_s']:.1f} s, {result['under_runs']} under-runs"
    show({"source": source, **result}, [words], as_json=as_json)


def play_passage(
    instrument: InstrumentLike,
    passage: Passage,
    *,
    quality: str,
    start_s: float,
    on_progress: Callable[[float, float, str], None],
) -> dict[str, Any]:
    """Render and play to the end, on a started instrument. -> figures. Raises UserError."""
    from app.services import AudioChanged, RenderFinished, RenderProgress

    request = instrument.render(passage, quality=quality, playhead_s=start_s)
    ready_s, speed, finished, playing = start_s, 0.0, False, False
    asked_s = time.monotonic()
    while True:
        for event in instrument.poll():
            raise_or_tell(event)
            match event:
                case RenderProgress(request_id=of, realtime_factor=factor) if of == request:
                    speed = factor
                    on_progress(event.done_cells, event.total_cells, speed_words(factor))
                case AudioChanged(request_id=of, start_s=from_s, end_s=to_s) if of == request and from_s <= ready_s:
                    ready_s = max(ready_s, to_s)
                case RenderFinished(request_id=of) if of == request:
                    finished = True
        is_ahead = speed > _SAFE_SPEED and ready_s - start_s >= _HEAD_START_S
        if not playing and (finished or is_ahead):
            if not instrument.output_devices():
                if time.monotonic() - asked_s > _DEVICE_PATIENCE_S:
                    raise UserError("There is no sound card here.", remedy="Use `stridor render` to make a file.")
            else:
                instrument.play(start_s)
                playing = True
        elif playing and (not instrument.is_playing or instrument.playhead_s >= passage.duration_s):
            played_s = min(instrument.playhead_s, passage.duration_s) - start_s
            return {"played_s": played_s, "under_runs": instrument.under_runs}
        time.sleep(_POLL_S)


def raise_or_tell(event: Event) -> None:
    """Trouble that ends the work is raised, trouble that does not is told on standard error."""
    from app.services import DeviceLost, EngineFailed, Notice, RenderFailed

    match event:
        case EngineFailed(message=message, remedy=remedy):
            raise UserError(message, remedy=remedy)
        case RenderFailed(message=message, remedy=remedy, details=details):
            if details:
                raise RuntimeError(f"{message}\n{details}")
            raise UserError(message, remedy=remedy)
        case DeviceLost(message=message):
            sys.stderr.write(f"{message}\n")
        case Notice(message=message, remedy=remedy):
            sys.stderr.write(f"{message} {remedy}\n")
        case _:
            pass
