"""Where adaptations of the window lie, and which of them were not finished.

A run's folder belongs to the process that trains in it while that lives; what a dead one left can be taken up again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs
import psutil

from app.adapting.request import REQUEST_FILE, AdaptRequest, load_request
from app.store.atomic import write_atomically
from synth.errors import UserError

_log = logging.getLogger(__name__)

LEAST_FREE_BYTES: Final = 300_000_000
_OWNER_FILE: Final = "process.json"
_DONE_FILE: Final = "finished.json"
_SPENT: Final = ("corpus", "voices", "stage-1", "stage-2")  # what nobody needs once there is an adapter


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An adaptation that was begun and is not running."""

    run: Path
    request: AdaptRequest
    begun_at_s: float  # seconds since the epoch


def adaptations_folder() -> Path:
    """Where the window's adaptations lie; it need not exist."""
    return platformdirs.user_data_path("stridor", appauthor=False) / "adaptations"


def recordings_folder() -> Path:
    """Where takes recorded in the window are kept; it need not exist."""
    return platformdirs.user_data_path("stridor", appauthor=False) / "recordings"


def new_run(folder: Path | None = None) -> Path:
    """A folder for one more adaptation, not made yet. Raises UserError where the disk has no room for one."""
    folder = adaptations_folder() if folder is None else folder
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        raise UserError(
            f"Only {free / 1e6:.0f} MB are free in {existing}.",
            remedy=f"Free some space: an adaptation wants {LEAST_FREE_BYTES / 1e6:.0f} MB while it trains.",
        )
    return folder / f"{time.strftime('%Y-%m-%d-%H%M')}-{uuid.uuid4().hex[:6]}"


def unfinished(folder: Path | None = None) -> list[Unfinished]:
    """Adaptations that can be taken up again, newest first. What cannot be read is passed over."""
    folder = adaptations_folder() if folder is None else folder
    found: list[Unfinished] = []
    for path in folder.glob(f"*/{REQUEST_FILE}"):
        run = path.parent
        if (run / _DONE_FILE).is_file() or _is_running(run):
            continue
        try:
            found.append(Unfinished(run, load_request(run), path.stat().st_mtime))
        except (UserError, OSError) as fault:
            _log.info("%s is passed over: %s", run, fault)
    return sorted(found, key=lambda entry: entry.begun_at_s, reverse=True)


def claim(run: Path, *, patience_s: float = 20.0) -> None:
    """This process trains in `run`, which is made, from now on. Raises UserError where another does.

    patience_s   for one that is just leaving
    """
    until_s = time.monotonic() + patience_s
    while _is_running(run) and time.monotonic() < until_s:
        time.sleep(0.05)
    if _is_running(run):
        raise UserError(f"Another Stridor is training in {run}.", remedy="Wait until it has finished, or close it.")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"{run} cannot be made: {fault.strerror or fault}.", remedy="Check its folder.") from fault
    write_atomically(run / _OWNER_FILE, json.dumps(_identity(os.getpid())).encode())


def mark_finished(run: Path, preset_id: str) -> None:
    """There is nothing to be taken up here any more; what only training needed is removed."""
    write_atomically(run / _DONE_FILE, json.dumps({"preset": preset_id}).encode())
    for name in _SPENT:
        shutil.rmtree(run / name, ignore_errors=True)
    for path in run.glob("rehearsal-*.safetensors"):
        with contextlib.suppress(OSError):
            path.unlink()


def discard(run: Path) -> None:
    """Delete an adaptation with all it has learnt. Raises UserError."""
    if not (run / REQUEST_FILE).is_file():
        raise UserError(f"{run} is no adaptation.")
    try:
        shutil.rmtree(run)
    except OSError as fault:
        raise UserError(f"{run} cannot be removed: {fault.strerror or fault}.", remedy="Remove it by hand.") from fault


def _is_running(run: Path) -> bool:
    try:
        owner: Any = json.loads((run / _OWNER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    process_id = owner.get("id") if isinstance(owner, dict) else None
    return isinstance(process_id, int) and process_id != os.getpid() and owner == _identity(process_id)


def _identity(process_id: int) -> dict[str, Any]:
    """A process by id and birth, as ids are used again; no birth where it does not run."""
    try:
        process = psutil.Process(process_id)
        if process.status() == psutil.STATUS_ZOMBIE:
            return {"id": process_id, "born_s": None}
        return {"id": process_id, "born_s": process.create_time()}
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {"id": process_id, "born_s": None}
