"""Editing the user's own presets, with a way back. The files of factory and packs are never touched."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from app.state.preset import Preset
from app.store.atomic import read_bytes, write_atomically
from app.store.presets import PRESET_SUFFIX, format_preset, save_preset, user_preset_folder
from synth.errors import UserError

_DEPTH = 100


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    path: Path
    before: bytes | None  # None: there was no file
    after: bytes | None


class PresetDesk:
    """Saves, deletes, undoes. One for a window; `folder` is the user's own where none is given."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = user_preset_folder() if folder is None else folder
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    @property
    def folder(self) -> Path:
        """Where the user's presets lie; it need not exist."""
        return self._folder

    @property
    def undo_name(self) -> str | None:
        """What `undo` would take back."""
        return self._done[-1].name if self._done else None

    @property
    def redo_name(self) -> str | None:
        """What `redo` would do again."""
        return self._undone[-1].name if self._undone else None

    def owns(self, preset_id: str) -> bool:
        """Whether the preset lies in the user's folder."""
        return (self._folder / f"{preset_id}{PRESET_SUFFIX}").is_file()

    def save(self, preset: Preset) -> Preset:
        """Keep `preset` as the user's own, its edition counted up where it replaces one. -> as saved"""
        path = self._folder / f"{preset.id}{PRESET_SUFFIX}"
        before = read_bytes(path) if path.exists() else None
        if before is not None and before != format_preset(preset):
            preset = replace(preset, edition=preset.edition + 1)
        save_preset(preset, self._folder)
        self._note(_Step(f"Save {preset.name}", path, before, format_preset(preset)))
        return preset

    def save_as(self, preset: Preset, name: str, taken: frozenset[str] | set[str]) -> Preset:
        """Keep `preset` under another name, and an id made of it that none of `taken` has. -> as saved"""
        return self.save(replace(preset, id=free_id(name, taken), name=name.strip(), edition=1))

    def delete(self, preset_id: str) -> None:
        """Take one of the user's own away; `undo` brings it back. Raises UserError for one that is not theirs."""
        path = self._folder / f"{preset_id}{PRESET_SUFFIX}"
        if not path.is_file():
            raise UserError(f"{preset_id} is not one of your own presets.", remedy="Only those can be deleted.")
        before = read_bytes(path)
        self._put(path, None)
        self._note(_Step(f"Delete {preset_id}", path, before, None))

    def undo(self) -> None:
        """One step back. Raises UserError where the disk refuses; nothing where there is none."""
        if self._done:
            self._put(self._done[-1].path, self._done[-1].before)
            self._undone.append(self._done.pop())

    def redo(self) -> None:
        """One step forward again."""
        if self._undone:
            self._put(self._undone[-1].path, self._undone[-1].after)
            self._done.append(self._undone.pop())

    def _note(self, step: _Step) -> None:
        self._undone.clear()
        self._done = [*self._done, step][-_DEPTH:]

    def _put(self, path: Path, content: bytes | None) -> None:
        if content is not None:
            write_atomically(path, content)
            return
        try:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        except OSError as fault:
            raise UserError(f"{path} stays: {fault.strerror or fault}.", remedy="Check the folder.") from fault


def free_id(name: str, taken: frozenset[str] | set[str]) -> str:
    """`My Growl!` -> `my_growl`, numbered where it is taken."""
    words = "".join(mark if mark.isascii() and mark.isalnum() else " " for mark in name.casefold()).split()
    stem = "_".join(words)[:48].strip("_") or "preset"
    number, found = 1, stem
    while found in taken:
        number += 1
        found = f"{stem}_{number}"
    return found
