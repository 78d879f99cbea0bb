"""The trace of a process that died below Python, found at the next start.

A running process keeps a file `running-<pid>.trace` that `faulthandler` writes into when the process dies of a signal,
and deletes it when it ends well. A file whose process is gone is therefore the story of a crash.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

_log = logging.getLogger(__name__)
_PREFIX = "running-"
_SUFFIX = ".trace"


@dataclass(frozen=True, slots=True)
class CrashReport:
    """One earlier crash. `trace` is empty when the process was killed from outside."""

    when: str
    trace: str
    kept_at: Path


class CrashMarker:
    """Marks this process as running, in `folder`. Main thread only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def start(self) -> None:
        """Begin; where the folder cannot be written, crashes just go unrecorded."""
        path = self._folder / f"{_PREFIX}{os.getpid()}{_SUFFIX}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            _log.info("crashes will not be recorded: %s", error)
            return
        faulthandler.enable(self._file, all_threads=True)

    def close(self) -> None:
        """The process ends well. Idempotent."""
        if self._file is None:
            return
        faulthandler.disable()
        self._file.close()
        Path(self._file.name).unlink(missing_ok=True)
        self._file = None

    def earlier_crashes(self) -> list[CrashReport]:
        """Crashes since the last call, oldest first; each is reported once and its trace kept as crash-<time>.txt."""
        reports = []
        for path in sorted(self._folder.glob(f"{_PREFIX}*{_SUFFIX}"), key=_modified_s):
            pid_text = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
            if not pid_text.isdigit() or _is_running(int(pid_text), path):
                continue
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_modified_s(path)))
            kept_at = self._folder / f"crash-{when.replace(' ', '-').replace(':', '')}-{pid_text}.txt"
            try:
                trace = path.read_text(encoding="utf-8", errors="replace")
                path.replace(kept_at)
            except OSError as error:
                _log.info("a crash record cannot be read: %s", error)
                continue
            reports.append(CrashReport(when, trace, kept_at))
        return reports


def _modified_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just taken it
        return 0.0


def _is_running(pid: int, path: Path) -> bool:
    """Whether the process that made `path` lives: same pid, and started before the file."""
    try:
        return psutil.Process(pid).create_time() <= _modified_s(path) + 1.0
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
