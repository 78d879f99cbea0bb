"""`stridor bench render|peer|editor|live`."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psutil

from app.commands.bench_presets import presets_command
from app.commands.command import command as stridor_command
from app.commands.render import DEVICES, QUALITIES
from app.commands.terminal import ProgressLine, columns, show

if TYPE_CHECKING:
    from app.render.voice import EngineLike
    from app.state.passage import Passage

FILE = click.Path(path_type=Path)
_BYTES_PER_MB = 2**20
# getrusage counts kilobytes, but on macOS bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@click.group("bench")
def command() -> None:
    """How fast this machine is."""


@stridor_command(
    "render", example="stridor bench render --quality live --quality draft --quality final --threads 2 --seconds 30"
)
@click.option("--passage", "source", metavar="PASSAGE|MIDI", type=FILE, help="Else the demo passage.")
@click.option("--seconds", type=click.FloatRange(min=0.8, max=1800.0), help="Repeat or cut the passage to so long.")
@click.option("--quality", "qualities", type=QUALITIES, multiple=True, default=("draft",), show_default=True)
@click.option("--device", type=DEVICES, default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads; all cores when not given.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="The median counts.")
@click.option("--weights", metavar="FOLDER", type=FILE, help="A folder of weights; else the shipped voice.")
def render(
    source: Path | None,
    seconds: float | None,
    qualities: tuple[str, ...],
    device: str,
    threads: int | None,
    repeats: int,
    weights: Path | None,
    as_json: bool,
) -> None:
    """Load the model and render a passage with nothing cached: time to the first sample, and times real time.

    Starting the process, importing the libraries, loading the weights and rendering are told apart. The time that all
    threads spent computing is told, too: it says what a machine with nothing else to do would take.
    """
    process_start_s = time.time() - psutil.Process().create_time()
    import_s = _import_engine()
    from app.commands.open_passage import open_passage
    from app.store.presets import DEMO_FOLDER

    passage = open_passage(source or DEMO_FOLDER / "first_breath.stridor")
    if seconds is not None:
        passage = lasting(passage, seconds)
    load_s, runs = 0.0, []
    with ProgressLine("Rendering", quiet=as_json) as line:
        for quality in qualities:
            found = []
            for _ in range(repeats):
                run = _fresh_run(passage, quality, device, threads, weights)
                # Later loads find the files in memory already; the first is what a user waits for.
                load_s = load_s or run["load_s"]
                found.append(run)
                line.update(len(runs) * repeats + len(found), len(qualities) * repeats)
            found.sort(key=lambda run: run["total_s"])
            runs.append(_with_stages(found[len(found) // 2]))
    result = {
        "process_start_s": process_start_s,
        "import_s": import_s,
        "load_s": load_s,
        "load_to_first_sample_s": load_s + runs[0]["first_sample_s"],
        "import_to_first_sample_s": import_s + load_s + runs[0]["first_sample_s"],
        "threads": threads or os.cpu_count() or 1,
        "repeats": repeats,
        "peak_memory_mb": peak_memory_mb(),
        "runs": runs,
    }
    show(result, _render_lines(result), as_json=as_json)


def _import_engine() -> float:
    started_s = time.perf_counter()
    import synth.engine  # noqa: F401 (torch and all: what is timed here is the import)

    return time.perf_counter() - started_s


def _fresh_run(
    passage: Passage, quality: str, device: str, threads: int | None, weights: Path | None = None
) -> dict[str, Any]:
    """Figures of one render with nothing cached, and by processor time: `processor_s` over all threads, and times real
    time on so many free cores."""
    from app.render.loading import load_engine
    from app.render.offline import OfflineRenderer

    def load(device: str, n_threads: int | None) -> EngineLike:
        from synth.engine import Engine  # imports torch, as load_engine does

        return Engine.load(weights, device, n_threads)

    with tempfile.TemporaryDirectory(prefix="stridor-bench-") as folder:
        loader = load_engine if weights is None else load
        renderer = OfflineRenderer(device=device, n_threads=threads, cache_folder=Path(folder), engine_loader=loader)
        started_s = time.process_time()
        _, report = renderer.to_array(passage, quality=quality)
        processor_s = time.process_time() - started_s
    by_processor = report.duration_s * (threads or os.cpu_count() or 1) / max(processor_s, 1e-9)
    return report.as_dict() | {"processor_s": processor_s, "realtime_by_processor": by_processor}


def _with_stages(run: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds a cell in each stage, beside what the report says."""
    other_s = run["total_s"] - run["plan_s"] - run["sample_s"] - run["decode_s"]
    stages = {"plan": run["plan_s"], "sample": run["sample_s"], "decode": run["decode_s"], "mix_and_write": other_s}
    stages["processor"] = run["processor_s"]
    return run | {f"{name}_ms_per_cell": 1000.0 * seconds / run["cells_total"] for name, seconds in stages.items()}


def _render_lines(result: dict[str, Any]) -> list[str]:
    names = ("process_start_s", "import_s", "load_s", "load_to_first_sample_s", "import_to_first_sample_s")
    lines = columns([[name, f"{result[name]:.2f} s"] for name in names])
    header = ["quality", "duration", "first sample", "total", "times real time", "by processor time"]
    header += ["sample", "decode", "mix, write", "processor"]
    rows = []
    for run in result["runs"]:
        stages = [f"{run[f'{name}_ms_per_cell']:.1f} ms" for name in ("sample", "decode", "mix_and_write", "processor")]
        times = [f"{run[name]:.2f} s" for name in ("duration_s", "first_sample_s", "total_s")]
        speeds = [f"{run[name]:.1f}x" for name in ("realtime_factor", "realtime_by_processor")]
        rows.append([run["quality"], *times, *speeds, *stages])
    device = result["runs"][0]["device"]
    lines += [f"peak memory {result['peak_memory_mb']:.0f} MB", "", f"on {device}, median of {result['repeats']}"]
    return [*lines, *columns(rows, header=header), "(stages: a cell of 0.8 s)"]


def peak_memory_mb() -> float:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT / _BYTES_PER_MB


@stridor_command("peer", example="stridor bench peer --threads 2 --quality draft")
@click.option("--quality", type=QUALITIES, default="draft", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="For both.")
@click.option("--peer-steps", type=click.IntRange(min=1), default=3, show_default=True, help="Steps timed, of its 50.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Ours; the median counts.")
@click.option("--weights", metavar="FOLDER", type=FILE, help="A folder of weights; else the shipped voice.")
def peer(quality: str, threads: int, peer_steps: int, repeats: int, weights: Path | None, as_json: bool) -> None:
    """Ours against audio-diffusion-pytorch's README model at 50 steps, on the same seconds, in the same process."""
    from app.commands.open_passage import open_passage
    from app.store.presets import DEMO_FOLDER
    from synth.evaluate.peer import PEER_S, PEER_STEPS, time_peer
    from synth.evaluate.speed import torch_threads

    passage = lasting(open_passage(DEMO_FOLDER / "first_breath.stridor"), PEER_S)
    with ProgressLine("Rendering", quiet=as_json) as line:
        runs = []
        for _ in range(repeats):
            runs.append(_fresh_run(passage, quality, "cpu", threads, weights))
            line.update(len(runs), repeats + 1)
        with torch_threads(threads):  # an engine computes on one core a thread, and has said so to torch
            theirs = time_peer(peer_steps)
        line.update(repeats + 1, repeats + 1)
    ours_s, ours_processor_s = (sorted(run[name] for run in runs)[repeats // 2] for name in ("total_s", "processor_s"))
    result = {"quality": quality, "audio_s": PEER_S, "threads": threads, "ours_s": ours_s, "peer": asdict(theirs)}
    result |= {"ours_processor_s": ours_processor_s, "ratio": theirs.sample_s / ours_s}
    result["ratio_by_processor"] = theirs.processor_s / ours_processor_s
    show(
        result,
        [
            f"{PEER_S:.2f} s of sound, {threads} threads, CPU",
            f"ours, {quality}: {ours_s:.2f} s, {ours_processor_s:.2f} s of processor time",
            f"{theirs.name}, {theirs.n_parameters / 1e6:.0f} M parameters: {theirs.sample_s:.0f} s for {PEER_STEPS} "
            f"steps ({theirs.timed_steps} timed, {theirs.step_s:.2f} s each)",
            f"ratio {result['ratio']:.0f}, by processor time {result['ratio_by_processor']:.0f}",
        ],
        as_json=as_json,
    )


@stridor_command("editor", example="stridor bench editor --seconds 20")
@click.option("--seconds", type=click.FloatRange(min=1.0, max=600.0), default=20.0, show_default=True)
@click.option("--passage-seconds", type=click.FloatRange(min=10.0, max=1800.0), default=180.0, show_default=True)
def editor(seconds: float, passage_seconds: float, as_json: bool) -> None:
    """Draw in a window with real mouse events while it renders in the background: how long its frames take.

    Without a display, on a private Xvfb.
    """
    from app.commands.bench_editor import bench_editor

    report = bench_editor(seconds, passage_seconds)
    frames = report.frames
    rows = [[name, f"{value:.1f} ms"] for name, value in frames.items() if name != "n_frames"]
    show(
        asdict(report),
        [
            f"{report.n_strokes} strokes, {frames['n_frames']} frames, {report.n_progress} steps of background "
            f"rendering, over {report.passage_s:g} s on {report.platform}",
            *columns(rows),
        ],
        as_json=as_json,
    )


@stridor_command("live", example="stridor bench live --parts onset,bend --out live.json")
@click.option("--parts", "part_names", help="Which, with commas between; all when not given.")
@click.option("--out", type=FILE, help="Where figures are kept; parts that are in there already are not run again.")
@click.option("--again", is_flag=True, help="Run all parts, whatever is in --out.")
@click.option("--notes", "n_notes", type=click.IntRange(min=20), default=300, show_default=True)
@click.option("--twins", "n_twins", type=click.IntRange(min=2), default=12, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=5.0), default=45.0, show_default=True, help="Of what lasts.")
@click.option("--soak-notes", type=click.IntRange(min=100), help="Of the soak; else what --seconds hold.")
@click.option("--pace", type=click.FloatRange(4.0, 400.0), default=28.0, show_default=True, help="Its notes a second.")
@click.option(
    "--window/--no-window", "has_window", default=None, help="A window open and redrawing; else if it can be."
)
@click.option("--steps", "n_steps", type=click.Choice(["1", "2", "4"]), default="4", show_default=True)
@click.option("--period", type=click.IntRange(min=32, max=1024), default=128, show_default=True, help="JACK's, frames.")
@click.option("--weights", type=FILE, help="A folder of weights; else the shipped voice.")
def live(
    part_names: str | None,
    out: Path | None,
    again: bool,
    n_notes: int,
    n_twins: int,
    seconds: float,
    soak_notes: int | None,
    pace: float,
    has_window: bool | None,
    n_steps: str,
    period: int,
    weights: Path | None,
    as_json: bool,
) -> None:
    """Play through a JACK server of its own and measure, from MIDI event to sample, what playing live is like.

    A virtual device has no converters and no driver buffers: what they take comes on top.
    """
    from app.commands.stage_bench.player import BenchSettings
    from app.commands.stage_bench.run import run_parts, table

    settings = BenchSettings(n_notes, n_twins, seconds, soak_notes, int(n_steps), weights, pace)
    result = run_parts(
        part_names, settings, period_frames=period, out=out, again=again, quiet=as_json, has_window=has_window
    )
    show(result, table(result), as_json=as_json)


def lasting(passage: Passage, seconds: float) -> Passage:
    """The passage's first voice, again and again until `seconds` are over."""
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
    lanes = {
        lane_id: Lane(tuple(found), first.lanes[lane_id].interpolation) for lane_id, found in points.items() if found
    }
    voice = Voice(name=first.name, preset=first.preset, seed=first.seed, notes=tuple(notes), lanes=lanes)
    return replace(passage, duration_s=seconds, voices=(voice,))


for _bench in (render, peer, editor, live, presets_command):
    command.add_command(_bench)
