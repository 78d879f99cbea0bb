"""Which packs are installed: one small file, replaced as a whole, so that an installation is there or is not.

A pack's files lie in a folder named by their hashes, which nothing reads until this file names it. What was in force
before each step is kept, so that the step can be undone. Writing is app.store.packs.install's.

Revisions:
1  the first.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import platformdirs

from app.state.places import PlacedError, at
from app.store.atomic import write_atomically
from app.store.documents import Document, Fields, Migration, format_document, migrate, read_document
from synth.errors import UserError

_logger = logging.getLogger(__name__)

INSTALLED_REVISION: Final = 1
MIGRATIONS: Final[Mapping[int, Migration]] = {}
UNDO_DEPTH: Final = 10
_FOLDER_FORM: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}@[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class InstalledPack:
    """One installed pack.

    folder         its folder's name inside the packs folder, <id>@<16 hex digits>
    sha256         of the manifest
    fingerprint    of the key that signed it; empty when it is unsigned
    presets        ids of its presets, as installed
    """

    id: str
    name: str
    version: str
    author: str
    licence: str
    folder: str
    sha256: str
    fingerprint: str
    presets: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _FOLDER_FORM.fullmatch(self.folder):
            raise PlacedError("folder", f"{self.folder!r} is no folder of a pack.")
        object.__setattr__(self, "presets", tuple(self.presets))


@dataclass(frozen=True, slots=True)
class Step:
    """What a step was called, and the packs in force before it."""

    name: str
    before: tuple[InstalledPack, ...]


@dataclass(frozen=True, slots=True)
class InstalledPacks:
    """The packs in force, oldest first, and the way back, newest step last."""

    packs: tuple[InstalledPack, ...] = ()
    steps: tuple[Step, ...] = ()

    def find(self, pack_id: str) -> InstalledPack | None:
        """The installed pack of this id."""
        return next((pack for pack in self.packs if pack.id == pack_id), None)

    def after(self, step_name: str, packs: tuple[InstalledPack, ...]) -> InstalledPacks:
        """`packs` in force, and a way back to these."""
        return InstalledPacks(packs, (*self.steps, Step(step_name, self.packs))[-UNDO_DEPTH:])

    def undone(self) -> InstalledPacks:
        """Before the newest step. Raises UserError where there is none."""
        if not self.steps:
            raise UserError("There is nothing to undo.", remedy="No pack was installed or removed.")
        return InstalledPacks(self.steps[-1].before, self.steps[:-1])

    def folders_in_use(self) -> frozenset[str]:
        """Folders that are in force or lie on the way back."""
        ways = (self.packs, *(step.before for step in self.steps))
        return frozenset(pack.folder for packs in ways for pack in packs)


def recording_beside(preset: Path) -> Path | None:
    """The preview that a pack brought with the preset at this path; None where it is no pack's, or brought none."""
    folder = preset.parent.parent
    if preset.parent.name != "presets" or not _FOLDER_FORM.fullmatch(folder.name):
        return None
    recording = folder / "previews" / f"{preset.stem}.flac"
    return recording if recording.is_file() else None


def packs_folder() -> Path:
    """Where this user's packs are installed; it need not exist."""
    return platformdirs.user_data_path("stridor", appauthor=False) / "packs"


def installed_path(folder: Path) -> Path:
    """The file that names the installed packs."""
    return folder / "installed.json"


def read_installed(folder: Path | None = None) -> InstalledPacks:
    """The packs installed in `folder` (default: the user's); none where there is no file. Raises UserError."""
    path = installed_path(packs_folder() if folder is None else folder)
    if not path.exists():
        return InstalledPacks()
    document = read_document(path, what="list of packs")
    try:
        entries = Fields(migrate(document, INSTALLED_REVISION, MIGRATIONS, what="list of packs"), "")
        entries.take("revision")
        packs = _packs(entries.items("packs"), "packs")
        steps: list[Step] = []
        for index, item in enumerate(entries.items("steps")):
            with at(f"steps[{index}]"):
                step = Fields(item, "")
                steps.append(Step(step.text("name"), _packs(step.items("before"), "before")))
                step.finish()
        entries.finish()
    except PlacedError as fault:
        raise UserError(f"{path}: {fault.message}", remedy=fault.remedy) from fault
    return InstalledPacks(packs, tuple(steps))


def write_installed(installed: InstalledPacks, folder: Path) -> None:
    """Put `installed` in force, atomically. Raises UserError."""
    document: Document = {
        "revision": INSTALLED_REVISION,
        "packs": [_entry(pack) for pack in installed.packs],
        "steps": [{"name": step.name, "before": [_entry(pack) for pack in step.before]} for step in installed.steps],
    }
    write_atomically(installed_path(folder), (format_document(document) + "\n").encode("utf-8"))


def installed_preset_folders(folder: Path | None = None) -> tuple[Path, ...]:
    """Folders of the installed packs' presets; a list that cannot be read is logged and stands for none."""
    folder = packs_folder() if folder is None else folder
    try:
        return tuple(folder / pack.folder / "presets" for pack in read_installed(folder).packs)
    except UserError as fault:
        _logger.warning("Packs left out: %s", fault)
        return ()


def _entry(pack: InstalledPack) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(pack).items()}


def _packs(items: list[Any], place: str) -> tuple[InstalledPack, ...]:
    packs: list[InstalledPack] = []
    for index, item in enumerate(items):
        with at(f"{place}[{index}]"):
            entries = Fields(item, "")
            texts = {f.name: entries.text(f.name) for f in fields(InstalledPack) if f.name != "presets"}
            presets = entries.items("presets")
            if not all(isinstance(name, str) for name in presets):
                raise PlacedError("presets", "not a list of ids.")
            entries.finish()
            packs.append(InstalledPack(**texts, presets=tuple(presets)))
    return tuple(packs)
