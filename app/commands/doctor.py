"""`stridor doctor`."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import show
from app.report import fault_of, line_for, log_folder

SECTION_NAMES = (
    "versions", "model", "sound", "periods", "machine", "live", "midi", "display", "folders", "crashes",
)  # fmt: skip
_MIDI_PATIENCE_S = 3.0
_LIVE_VOICES = (1, 4)
_LIVE_BLOCK = 128
_LIVE_S = 0.5  # of sound, timed
_PACKAGES = ("stridor", "torch", "numpy", "PySide6_Essentials", "sounddevice", "mido", "python-rtmidi", "swift-f0")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing. `lines` are for a person, `values` for a program, `advice` is how to set things."""

    is_well: bool
    lines: tuple[str, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


@stridor_command("doctor", example="stridor doctor --section machine --section live")
@click.option(
    "--section", "sections", multiple=True, type=click.Choice(SECTION_NAMES), help="Only this part; may be repeated."
)
def command(sections: tuple[str, ...], as_json: bool) -> None:
    """Say what this machine has, measure what playing costs on it, and recommend settings.

    Sound card and latency, device periods that hold, timer, denormals, real-time limits, cost of voices, MIDI,
    display, model, folders, versions. What is missing is said, with what to do; nothing is changed.
    """
    chosen = {name: look for name, look in _SECTIONS.items() if not sections or name in sections}
    findings = {name: _examined(look) for name, look in chosen.items()}
    lines = []
    for name, finding in findings.items():
        mark = "ok" if finding.is_well else "--"
        first, *others = finding.lines
        lines.append(f"{mark}  {name.ljust(10)} {first}")
        lines += [f"{' ' * 15}{line}" for line in others]
        lines += [f"{' ' * 12}-> {line}" for line in finding.advice]
    result = {
        name: {"ok": finding.is_well, "words": list(finding.lines), "advice": list(finding.advice), **finding.values}
        for name, finding in findings.items()
    }
    show(result, lines, as_json=as_json)


def _examined(look: Callable[[], Finding]) -> Finding:
    """One section's fault must not hide the others."""
    try:
        return look()
    except Exception as error:
        return Finding(False, (line_for(fault_of(error)),))


def _versions() -> Finding:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    words = ", ".join(f"{name} {number}" for name, number in found.items())
    is_well = "not installed" not in found.values()
    return Finding(is_well, (machine, words), {"python": sys.version.split()[0], "packages": found})


def _model() -> Finding:
    from synth.engine import Engine  # torch: seconds

    engine = Engine.load()
    return Finding(
        True,
        (f"weights {engine.weights_hash[:12]} on {engine.device_name}",),
        {"weights_hash": engine.weights_hash, "device": engine.device_name},
    )


def _display() -> Finding:
    from app.commands.display import display_trouble

    trouble = display_trouble()
    return Finding(not trouble, (trouble or "a window can be opened",))


def _sound() -> Finding:
    from app.audio.probe import probe_devices

    report = probe_devices()
    if report.problem:
        return Finding(False, (f"{report.problem} {report.remedy}",), {"outputs": []})
    values = {"portaudio": report.portaudio_version, "outputs": [asdict(device) for device in report.outputs]}
    if not report.outputs:
        return Finding(False, ("There is no sound card. Everything but hearing works.",), values)
    lines = tuple(
        f"{device.id}{' (default)' if device.is_default else ''}: {device.n_channels} channels, "
        f"{device.default_rate_hz:.0f} Hz, {1000.0 * device.latency_s:.1f} ms"
        for device in report.outputs
    )
    return Finding(True, lines, values)


def _periods() -> Finding:
    """Which device periods hold."""
    from app.audio.periods import try_periods
    from app.commands.machine import period_advice

    trials = try_periods()
    if not trials:
        return Finding(False, ("There is no sound card to try them on.",), {"trials": []})
    best, advice = period_advice(trials)
    lines = tuple(
        f"{trial.n_frames}: {trial.refusal}"
        if trial.refusal
        else f"{trial.n_frames}: {'holds' if trial.holds else 'does not hold'}, {trial.under_runs} under-runs, "
        f"longest gap {trial.longest_gap_ms:.1f} ms, driver {trial.latency_ms:.1f} ms"
        for trial in trials
    )
    values = {"trials": [asdict(trial) for trial in trials], "recommended_frames": best.n_frames if best else None}
    return Finding(best is not None, lines, values, (advice,))


def _machine() -> Finding:
    """Timer, denormals, cores, real-time limits."""
    from app.commands.machine import machine_findings

    is_well, lines, advice, values = machine_findings()
    return Finding(is_well, tuple(lines), values, tuple(advice))


def _live() -> Finding:
    """What playing live costs here, and the jumps and voices that leave room."""
    from app.commands.machine import Cost, jumps_words, play_advice, voices_by_jumps
    from synth.engine import Engine  # torch: seconds
    from synth.streaming.cost import decoder_cost, sampler_cost

    engine = Engine.load()
    sounding = {n: decoder_cost(engine.codec, n, _LIVE_BLOCK, seconds=_LIVE_S) for n in _LIVE_VOICES}
    drawing = {
        jumps: {n: sampler_cost(engine.denoiser, n, 16, jumps, packed=True) for n in _LIVE_VOICES}
        for jumps in (4, 2, 1)
    }
    one, several = _LIVE_VOICES
    costs = {jumps: Cost(cost[one].load, cost[several].load, several) for jumps, cost in drawing.items()}
    allowed = voices_by_jumps(Cost(sounding[one].load, sounding[several].load, several), costs, os.cpu_count() or 1)
    jumps, voices, advice = play_advice(allowed)
    loads = ", ".join(f"{costs[n].one:.2f} with {jumps_words(n)}" for n in costs)
    room = ", ".join(f"{n} with {jumps_words(jumps)}" for jumps, n in allowed.items())
    return Finding(
        jumps is not None,
        (
            f"one voice takes, of a core: sounding {sounding[one].load:.2f}, drawing {loads}",
            f"voices that leave room: {room}",
        ),
        {
            "sounding": {str(n): asdict(cost) for n, cost in sounding.items()},
            "drawing": {str(n): {str(v): asdict(c) for v, c in costs_of.items()} for n, costs_of in drawing.items()},
            "voices_by_jumps": {str(n): most for n, most in allowed.items()},
            "jumps": jumps,
            "voices": voices,
        },
        (advice,),
    )


def _midi() -> Finding:
    from app.midi.inputs import MidiInputs

    inputs = MidiInputs(lambda _message: None)
    inputs.start()
    deadline_s = time.monotonic() + _MIDI_PATIENCE_S
    try:
        while not inputs.names() and time.monotonic() < deadline_s:
            inputs.poll()
            time.sleep(0.02)
        names = inputs.names()
    finally:
        inputs.close()
    return Finding(bool(names), tuple(names) or ("There is no MIDI input.",), {"inputs": names})


def _folders() -> Finding:
    from app.render.cache import default_folder
    from app.store.presets import user_preset_folder
    from app.store.settings import settings_path

    folders = {"cache": default_folder(), "presets": user_preset_folder()}
    folders |= {"settings": settings_path(), "logs": log_folder()}
    sizes = {name: _size_mb(path) for name, path in folders.items()}
    lines = tuple(f"{name}: {path} ({sizes[name]:.1f} MB)" for name, path in folders.items())
    unwritable = [str(path) for path in folders.values() if not _can_be_written(path)]
    lines += tuple(f"{path} cannot be written." for path in unwritable)
    return Finding(not unwritable, lines, {name: str(path) for name, path in folders.items()})


def _crashes() -> Finding:
    kept = sorted(log_folder().glob("crash-*.txt"))
    if not kept:
        return Finding(True, ("none recorded",), {"records": []})
    return Finding(False, tuple(map(str, kept[-3:])), {"records": [str(path) for path in kept]})


def _size_mb(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _can_be_written(path: Path) -> bool:
    """Whether `path`, or the nearest folder above it that exists, lets us write."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK)


_SECTIONS: Mapping[str, Callable[[], Finding]] = {
    "versions": _versions,
    "model": _model,
    "sound": _sound,
    "periods": _periods,
    "machine": _machine,
    "live": _live,
    "midi": _midi,
    "display": _display,
    "folders": _folders,
    "crashes": _crashes,
}
