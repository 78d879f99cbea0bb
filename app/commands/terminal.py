"""Results on standard output, progress on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from synth.evaluate.report_form import columns, plain

__all__ = ["ProgressLine", "columns", "plain", "show"]

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PLAIN_EVERY_S = 10.0  # between lines where there is no terminal to redraw


def show(result: Mapping[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    """Print `result` as one JSON object, or `lines` for a person."""
    if as_json:
        print(json.dumps(plain(result), ensure_ascii=False, allow_nan=False))
        return
    for line in lines:
        print(line)


class ProgressLine:
    """A bar on a terminal, a line now and then in a log; nothing when `quiet`."""

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self._what = what
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._next_s = time.monotonic() + _PLAIN_EVERY_S

    def __enter__(self) -> ProgressLine:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console  # rich takes a while to import, and only a terminal needs it
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(self._what, total=1.0, note="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: float, total: float, note: str = "") -> None:
        """`done` of `total`, in whatever unit."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done / max(total, 1e-9), note=note)
        elif not self._quiet and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _PLAIN_EVERY_S
            sys.stderr.write(f"{self._what}: {100.0 * done / max(total, 1e-9):.0f} % {note}\n")
