"""Runs the parts of `stridor bench live`, keeps what each found, and puts it into a table."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.commands.stage_bench.parts import PARTS
from app.commands.stage_bench.player import BenchSettings
from app.commands.stage_bench.rig import JackServer
from app.commands.terminal import columns, plain
from app.store.atomic import write_atomically
from synth.errors import UserError


def run_parts(
    names: str | None, settings: BenchSettings, *, period_frames: int, out: Path | None, again: bool, quiet: bool
) -> dict[str, Any]:
    """Run the parts named (all when None) -> {"machine", "settings", "parts": {name: figures}}. Raises UserError.

    What `out` holds already is kept, and run again only if `again`; it is written after every part.
    """
    wanted = list(PARTS) if names is None else [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise UserError(f"There is no part {unknown[0]!r}.", remedy=f"There are {', '.join(PARTS)}.")
    result: dict[str, Any] = {"machine": _machine(), "period_frames": period_frames, "parts": _kept(out)}
    result["settings"] = {name: value for name, value in asdict(settings).items() if name != "weights"}
    todo = [name for name in wanted if again or name not in result["parts"]]
    if todo:  # told to end, the bench ends what it started
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in todo:
        if not quiet:
            sys.stderr.write(f"{name}: {(PARTS[name].__doc__ or '').splitlines()[0]}\n")
        # A server for each part: what one leaves behind is none of the next one's business.
        try:
            with JackServer(period_frames) as jack:
                result["parts"][name] = plain(PARTS[name](jack, settings))
        except UserError as fault:
            result["parts"][name] = {"failed": fault.message}
        if out is not None:
            write_atomically(out, (json.dumps(plain(result), indent=1) + "\n").encode())
    return result


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
            rows.append(
                [name, key, _words(value["figure"]), f"<= {value['at_most']:g} {'met' if value['met'] else 'MISSED'}"]
            )
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
