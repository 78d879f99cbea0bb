"""Runs the parts of `stridor bench live`, keeps what each found, and puts it into a table."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from app.commands.bench_editor import any_display
from app.commands.display import display_trouble
from app.commands.stage_bench import failures, load, parts
from app.commands.stage_bench.player import Bench, BenchSettings
from app.commands.stage_bench.rig import JackServer
from app.commands.stage_bench.soak import soak
from app.commands.stage_bench.strength import strength
from app.commands.stage_bench.window import BenchWindow
from app.commands.terminal import columns, plain
from app.store.atomic import write_atomically
from synth.errors import UserError

Part = Callable[[Bench], dict[str, Any]]

PARTS: Final[dict[str, Part]] = {
    "onset": parts.onset, "miss": parts.miss, "bend": parts.bend, "lanes": parts.lanes, "strength": strength,
    "under_runs": load.under_runs, "voices": load.voices, "programs": parts.programs, "device": failures.device,
    "sampler": failures.sampler, "midi_storm": load.midi_storm, "seams": load.seams, "soak": soak,
}  # fmt: skip
NOTES: Final = (
    "Measured end to end through JACK's dummy driver: events placed and sound recorded at exact frames. A virtual "
    "device excludes converters and driver buffers.",
    "Quoted from their authors, not measured here: a RAVE-like causal decoder in blocks of 2048 samples has 42.7 ms "
    "of block alone at 48 kHz; DDSP-VST works in frames of 64 ms; BRAVE states less than 10 ms with 3 ms of jitter; "
    "Magenta RealTime 2 about 200 ms of control latency.",
)


def run_parts(
    names: str | None,
    settings: BenchSettings,
    *,
    period_frames: int,
    out: Path | None,
    again: bool,
    quiet: bool,
    has_window: bool | None = None,
) -> dict[str, Any]:
    """Run the parts named (all when None) -> {"machine", "settings", "parts": {name: figures}}. Raises UserError.

    What `out` holds already is kept, and run again only if `again`; it is written after every part. A part that fails
    or takes too long leaves its reason, and the next one is run.
    has_window   whether a window is open and redrawing beside the parts that ask for it; None: where it can be
    """
    wanted = list(PARTS) if names is None else [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise UserError(f"There is no part {unknown[0]!r}.", remedy=f"There are {', '.join(PARTS)}.")
    result: dict[str, Any] = {"machine": _machine(), "period_frames": period_frames, "parts": _kept(out)}
    result["settings"] = {name: value for name, value in asdict(settings).items() if name != "weights"}
    result["notes"] = list(NOTES)
    todo = [name for name in wanted if again or name not in result["parts"]]
    if not todo:
        return result
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # told to end, the bench ends what it started
    with _window_beside(has_window) as (window, words):
        result["window"] = words
        for index, name in enumerate(todo):
            started_s = time.monotonic()
            _say(f"{index + 1}/{len(todo)} {name}: {(PARTS[name].__doc__ or '').splitlines()[0]}", quiet=quiet)
            figures = _run(name, settings, period_frames, window)
            result["parts"][name] = figures | {"took_s": time.monotonic() - started_s}
            _say(f"  {time.monotonic() - started_s:.0f} s{_told(figures)}", quiet=quiet)
            if out is not None:
                write_atomically(out, (json.dumps(plain(result), indent=1) + "\n").encode())
    return plain(result)


def _run(name: str, settings: BenchSettings, period_frames: int, window: BenchWindow | None) -> dict[str, Any]:
    """One part's figures, or {"failed": why}."""
    # A server for each part: what one leaves behind is none of the next one's business.
    try:
        with _limited(limit_s(name, settings)), JackServer(period_frames) as jack:
            return plain(PARTS[name](Bench(jack, settings, window)))
    except UserError as fault:
        return {"failed": fault.message}
    except Exception as fault:  # whatever it is, the other parts are still of use
        return {"failed": f"{type(fault).__name__}: {fault}"}


def limit_s(name: str, settings: BenchSettings) -> float:
    """How long a part may take, machine and all: several times what it should."""
    plays_s = {
        "onset": 0.15 * settings.n_notes, "miss": 0.1 * settings.n_notes, "bend": 20.0 * settings.n_twins,
        "lanes": 40.0 * settings.n_twins, "strength": 20.0 * settings.n_twins + 3.0 * settings.seconds,
        "under_runs": 3.0 * settings.seconds, "soak": 2.0 * settings.n_soak_notes / settings.pace,
    }  # fmt: skip
    return 420.0 + plays_s.get(name, 60.0)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises UserError in the main thread when the time is over, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def over(*_: object) -> None:
        raise UserError(f"It took longer than {seconds:.0f} s.", remedy="Measure when the machine is less busy.")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _window_beside(has_window: bool | None) -> Iterator[tuple[BenchWindow | None, str]]:
    """The window that parts may open, on the display there is or on a private Xvfb, and in words which it is."""
    if has_window is False:
        yield None, "none: not wanted"
        return
    with ExitStack() as stack:
        private = bool(display_trouble())
        try:
            stack.enter_context(any_display())
        except UserError as fault:
            if has_window:
                raise
            yield None, f"none: {fault.message}"
            return
        window = BenchWindow()
        stack.callback(window.close)
        yield window, "open and redrawing, on a private Xvfb" if private else "open and redrawing, on the display"


def _say(words: str, *, quiet: bool) -> None:
    if not quiet:
        sys.stderr.write(words + "\n")
        sys.stderr.flush()


def _told(figures: Mapping[str, Any]) -> str:
    """What came of a part's figures, in a few words."""
    if "failed" in figures:
        return f", failed: {figures['failed']}"
    asked = [line for line in _rows("", figures) if line[3]]
    return "".join(f", {line[0].strip('.')} {line[1]} {line[2]} ({line[3]})" for line in asked)


def table(result: Mapping[str, Any]) -> list[str]:
    """One line for every figure that something is asked of, and those beside it."""
    rows: list[list[str]] = []
    for name, figures in result["parts"].items():
        rows += _rows(name, figures)
    return columns(rows, header=["part", "figure", "value", "asked"])


def _rows(name: str, figures: Mapping[str, Any]) -> list[list[str]]:
    rows: list[list[str]] = []
    for key, value in figures.items():
        if isinstance(value, Mapping) and "met" in value and "figure" in value:
            bound = f"<= {value['at_most']:g}" if "at_most" in value else f">= {value['at_least']:g}"
            rows.append([name, key, _words(value["figure"]), f"{bound} {'met' if value['met'] else 'MISSED'}"])
        elif isinstance(value, Mapping):
            rows += _rows(f"{name}.{key}", value)
        elif isinstance(value, list):
            rows += [row for index, item in enumerate(value) for row in _item(f"{name}.{key}", index, item)]
        else:
            rows.append([name, key, _words(value), ""])
    return rows


def _item(name: str, index: int, item: Any) -> list[list[str]]:
    if isinstance(item, Mapping):
        return _rows(f"{name}[{index}]", item)
    return [[name, str(index), _words(item), ""]]


def _words(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _kept(out: Path | None) -> dict[str, Any]:
    if out is None or not out.is_file():
        return {}
    try:
        kept = json.loads(out.read_text(encoding="utf-8"))
        return {name: figures for name, figures in kept["parts"].items() if "failed" not in figures}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise UserError(f"{out} does not hold figures of this bench.", remedy="Choose another file.") from fault


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
    }
