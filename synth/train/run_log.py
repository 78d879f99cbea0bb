"""log.jsonl of a run: a line every report, for people and plots; event files where TensorBoard is installed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)

LOG_FILE = "log.jsonl"
EVENTS_FOLDER = "tensorboard"


def read_log(run_dir: Path) -> list[dict[str, Any]]:
    """The rows of a run, oldest first; a line that a killed run left unfinished is passed over."""
    path = run_dir / LOG_FILE
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "step" in row:
            rows.append(row)
    return rows


class RunLog:
    """Appends rows to log.jsonl and to the program's log, with the rate and the time that is left."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LOG_FILE
        self._last = (0, time.monotonic())
        self._told_s = time.monotonic()
        self._events: Any = None

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def drop_after(self, step: int) -> None:
        """Forget rows past the checkpoint that a run is resumed from: those steps are taken again."""
        self._last = (step, time.monotonic())
        if not self._path.is_file():
            return
        rows = [row for row in read_log(self._path.parent) if row["step"] <= step]
        temporary = self._path.with_name(self._path.name + ".part")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        temporary.replace(self._path)

    @property
    def last_step(self) -> int:
        """Of the last row."""
        return self._last[0]

    @property
    def silent_s(self) -> float:
        """Seconds since anything was said."""
        return time.monotonic() - self._told_s

    def write(self, step: int, spent_s: float, done: float, values: Mapping[str, float]) -> None:
        """One row: step, seconds, `values`, rate, seconds left."""
        row = self._row(step, spent_s, done, values)
        self._last = (step, time.monotonic())
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._write_events(step, row)
        self._say(row, done)

    def tell(self, step: int, spent_s: float, done: float, loss: float) -> None:
        """Say how it goes, without a row."""
        self._say(self._row(step, spent_s, done, {"loss": loss}), done)

    def _row(self, step: int, spent_s: float, done: float, values: Mapping[str, float]) -> dict[str, Any]:
        rate = (step - self._last[0]) / max(time.monotonic() - self._last[1], 1e-9)
        left_s = spent_s * (1.0 - done) / done if done > 0.0 else math.nan
        numbers = {**values, "steps_per_s": rate, "left_s": left_s}
        row: dict[str, Any] = {"step": step, "seconds": round(spent_s, 1)}
        return row | {name: float(f"{value:.5g}") if math.isfinite(value) else None for name, value in numbers.items()}

    def _say(self, row: dict[str, Any], done: float) -> None:
        self._told_s = time.monotonic()
        log.info("%s", row, extra={"training": row | {"done": min(done, 1.0)}})

    def _write_events(self, step: int, row: Mapping[str, Any]) -> None:
        """The same numbers for TensorBoard, where it is installed."""
        if self._events is None:
            if importlib.util.find_spec("tensorboard") is None:
                return
            # Takes seconds to import, and only a training's first report needs it.
            tensorboard = importlib.import_module("torch.utils.tensorboard")
            self._events = tensorboard.SummaryWriter(str(self._path.parent / EVENTS_FOLDER), purge_step=step)
        for name, value in row.items():
            if name not in ("step", "seconds") and value is not None:
                self._events.add_scalar(name, value, step)
