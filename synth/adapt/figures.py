"""Figures as plain values, in JSON and in a line: what reports of adapting are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth.atomic import write_atomically
from synth.evaluate.statistics import Interval


def as_dict(interval: Interval) -> dict[str, float]:
    """An interval by name: value, low, high, n."""
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


def in_line(found: Mapping[str, float]) -> str:
    """What `as_dict` gave, to three digits."""
    return f"{found['value']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Values as JSON, all or nothing; paths and the like as text."""
    write_atomically(path, (json.dumps(values, indent=1, default=str) + "\n").encode())
