"""Unsaved work, kept against a crash.

While a passage is dirty the window writes it here now and then; a clean end discards it. What lies here and belongs
to no running process is offered at the next start.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs
import psutil

from app.state.passage import Passage
from app.state.places import PlacedError
from app.store.documents import Document, Fields, read_document, save_document, set_aside
from app.store.passages import passage_from_document, passage_to_document
from synth.errors import UserError

_logger = logging.getLogger(__name__)

RECOVERY_REVISION: Final = 1
_SUFFIX: Final = ".recovery"


@dataclass(frozen=True, slots=True)
class Recovered:
    """Work left behind by a process that is gone."""

    file: Path  # discard() removes it
    passage: Passage
    original: Path | None  # the passage file it belongs to, or None: never saved
    saved_at_s: float  # seconds since the epoch


def recovery_folder() -> Path:
    """Where this user's unsaved work is kept."""
    return platformdirs.user_state_path("stridor", appauthor=False) / "recovery"


class RecoveryFile:
    """One window's recovery file. Lives in the window's process; `keep` may be called from one worker thread."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = recovery_folder() if folder is None else folder
        self._file = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{_SUFFIX}"

    def keep(self, passage: Passage, original: Path | None, *, now_s: float) -> None:
        """Write the passage. Raises UserError."""
        document: Document = {
            "recovery_revision": RECOVERY_REVISION,
            "process": _process_identity(os.getpid()),
            "original": None if original is None else str(original),
            "saved_at_s": now_s,
            "passage": passage_to_document(passage),
        }
        save_document(self._file, document, remedy="Save now.")

    def discard(self) -> None:
        """Nothing is unsaved any more."""
        discard(self._file)


def find_recoverable(folder: Path | None = None) -> list[Recovered]:
    """Unsaved work of processes that no longer run, newest first. A broken file is set aside as `name.broken`."""
    folder = recovery_folder() if folder is None else folder
    found: list[Recovered] = []
    for file in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            recovered = _read(file)
        except UserError as fault:
            _logger.info("Recovery file not used: %s %s", fault, set_aside(file))
            continue
        if recovered is not None:
            found.append(recovered)
    return sorted(found, key=lambda entry: entry.saved_at_s, reverse=True)


def discard(file: Path) -> None:
    """Remove a recovery file, if it is there. Raises UserError where that is not allowed."""
    try:
        file.unlink(missing_ok=True)
    except OSError as fault:
        raise UserError(f"{file} cannot be removed: {fault.strerror or fault}.", remedy="Remove it by hand.") from fault


def _read(file: Path) -> Recovered | None:
    """The work in a file, or None while its process runs."""
    document = read_document(file, what="recovery file")
    try:
        entries = Fields(document, "")
        if entries.integer("recovery_revision") != RECOVERY_REVISION:
            raise PlacedError("recovery_revision", "unknown.")
        owner: Any = entries.object("process")
        original = entries.text_or_none("original")
        saved_at_s = entries.number("saved_at_s")
        passage = passage_from_document(entries.object("passage"))
        entries.finish()
    except PlacedError as fault:
        raise UserError(f"{file.name}: {fault.message}", remedy=fault.remedy) from fault
    if isinstance(owner.get("id"), int) and owner == _process_identity(owner["id"]):
        return None
    return Recovered(file, passage, None if original is None else Path(original), saved_at_s)


def _process_identity(process_id: int) -> dict[str, Any]:
    """A process by id and birth, as ids are used again; an empty birth where it does not run."""
    try:
        return {"id": process_id, "born_s": psutil.Process(process_id).create_time()}
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {"id": process_id}
