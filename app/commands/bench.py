"""`stridor bench render`."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.render import DEVICES, QUALITIES
from app.commands.terminal import ProgressLine, columns, show

if TYPE_CHECKING:
    from app.render.offline import OfflineRenderer
    from app.state.passage import Passage

FILE = click.Path(path_type=Path)


@click.group("bench")
def command() -> None:
    """How fast this machine is."""


@stridor_command("render", example="stridor bench render --quality draft --threads 2 --seconds 20")
@click.option("--passage", "source", metavar="PASSAGE|MIDI", type=FILE, help="Else the demo passage.")
@click.option("--seconds", type=click.FloatRange(min=0.8, max=1800.0), help="Repeat or cut the passage to so long.")
@click.option("--quality", type=QUALITIES, default="draft", show_default=True)
@click.option("--device", type=DEVICES, default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads; all cores when not given.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="The median counts.")
def render(
    source: Path | None,
    seconds: float | None,
    quality: str,
    device: str,
    threads: int | None,
    repeats: int,
    as_json: bool,
) -> None:
    """Load the model and render a passage with nothing cached: time to the first sample, and times real time."""
    from app.commands.open_passage import open_passage
    from app.render.offline import OfflineRenderer
    from app.store.presets import DEMO_FOLDER

    passage = open_passage(source or DEMO_FOLDER / "first_breath.stridor")
    if seconds is not None:
        passage = lasting(passage, seconds)
    runs = []
    load_s = 0.0
    with ProgressLine("Rendering", quiet=as_json) as line:
        for i in range(repeats):
            with tempfile.TemporaryDirectory(prefix="stridor-bench-") as folder:
                renderer = OfflineRenderer(device=device, n_threads=threads, cache_folder=Path(folder))
                # Later loads find the files in memory already; the first is what a user waits for.
                load_s = load_s or renderer.load_s
                runs.append(_run(renderer, passage, quality))
            line.update(i + 1, repeats)
    runs.sort(key=lambda run: run["total_s"])
    middle = {"load_s": load_s, "threads": threads, "repeats": repeats, **runs[len(runs) // 2]}
    middle["load_to_first_sample_s"] = load_s + middle["first_sample_s"]
    names = ("duration_s", "load_s", "first_sample_s", "load_to_first_sample_s", "sample_s", "decode_s", "total_s")
    rows = [[name, f"{middle[name]:.2f} s"] for name in names]
    rows.append(["realtime_factor", f"{middle['realtime_factor']:.1f}x"])
    show(middle, [f"{quality} on {middle['device']}, median of {repeats}", *columns(rows)], as_json=as_json)


def lasting(passage: Passage, seconds: float) -> Passage:
    """The passage's first voice, again and again until `seconds` are over, with a seed of its own each time."""
    from app.state.passage import Lane, Note, Voice

    first = passage.voices[0]
    notes: list[Note] = []
    points: dict[str, list[tuple[float, float]]] = {lane_id: [] for lane_id in first.lanes}
    offset_s = 0.0
    while offset_s < seconds:
        notes += [
            replace(note, start_s=note.start_s + offset_s, duration_s=min(note.duration_s, seconds - at_s))
            for note in first.notes
            if (at_s := note.start_s + offset_s) < seconds
        ]
        for lane_id, curve in first.lanes.items():
            points[lane_id] += [(t_s + offset_s, value) for t_s, value in curve.points if t_s + offset_s <= seconds]
        offset_s += passage.duration_s + 1e-3  # lane points are strictly increasing
    lanes = {lane_id: Lane(tuple(found), first.lanes[lane_id].interpolation) for lane_id, found in points.items()}
    voice = Voice(name=first.name, preset=first.preset, seed=first.seed, notes=tuple(notes), lanes=lanes)
    return replace(passage, duration_s=seconds, voices=(voice,))


def _run(renderer: OfflineRenderer, passage: Passage, quality: str) -> dict[str, Any]:
    _, report = renderer.to_array(passage, quality=quality)
    return report.as_dict()


command.add_command(render)
