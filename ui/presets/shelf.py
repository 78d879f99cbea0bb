"""The presets as the window has them: index, favourites, editing, packs. Every file is touched here, on user action."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from app.state.preset import NEUTRAL_PRESET, Preset
from app.store.installed_packs import InstalledPack, InstalledPacks, read_installed, recording_beside
from app.store.packs.compatibility import Weights, installed_weights
from app.store.packs.install import Plan, Question, install, plan_installation, remove, undo
from app.store.packs.keys import Pins, read_pins, write_pins
from app.store.packs.reader import read_pack
from app.store.preset_desk import PresetDesk
from app.store.preset_index import PresetIndex, Row, read_index, row_of
from app.store.preset_library import PresetLibrary, load_library, save_library
from app.store.presets import FACTORY_FOLDER, load_preset_file
from synth.errors import UserError

T = TypeVar("T")
_PRESETS_KEPT = 256


class PresetShelf(QObject):
    """`changed` after presets, favourites or numbers changed; `failed(message, remedy)` for what could not be done.

    presets    these instead of what is installed
    read       where the index comes from
    """

    changed = Signal()
    failed = Signal(str, str)

    def __init__(
        self, presets: Sequence[Preset] | None = None, *, read: Callable[[], PresetIndex] = read_index
    ) -> None:
        super().__init__()
        self.desk = PresetDesk()
        self._read_installed = read
        self._given = None if presets is None else {preset.id: preset for preset in presets}
        self._kept: dict[str, Preset] = {}
        self.index = self._read()
        self.library = PresetLibrary()
        self._may_keep_library = True
        try:
            self.library = load_library()
        except UserError as fault:  # the file stays as it is, so that it can be mended
            self._may_keep_library = False
            self.trouble: UserError | None = fault
        else:
            self.trouble = None

    def refresh(self) -> None:
        """Look at the folders again."""
        self._kept.clear()
        self.index = self._read()
        self.changed.emit()

    def preset(self, preset_id: str) -> Preset | None:
        """The preset, read when it is first asked for; None where it is gone or broken."""
        if self._given is not None and preset_id in self._given:
            return self._given[preset_id]
        kept = self._kept.get(preset_id)
        row = self.index.find(preset_id)
        if kept is not None or row is None:
            return kept
        try:
            preset = load_preset_file(row.path)
        except UserError:
            return None
        if len(self._kept) >= _PRESETS_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[preset_id] = preset
        return preset

    def preset_of(self, preset_id: str | None) -> Preset:
        """The preset of a voice; the neutral one where it names none or one that is not installed."""
        found = None if preset_id is None else self.preset(preset_id)
        return NEUTRAL_PRESET if found is None else found

    def recording_of(self, preset_id: str) -> Path | None:
        """How the preset's pack says that it sounds: a FLAC file."""
        row = self.index.find(preset_id)
        return None if row is None else recording_beside(row.path)

    def is_favourite(self, preset_id: str) -> bool:
        """Whether the user marked it."""
        return preset_id in self.library.favourites

    def set_favourite(self, preset_id: str, is_one: bool) -> None:
        """Mark it, or no longer."""
        self._keep_library(self.library.with_favourite(preset_id, is_one=is_one))

    def note_used(self, preset_id: str) -> None:
        """Put it first among the recent ones."""
        if self.library.recent[:1] != (preset_id,):
            self._keep_library(self.library.with_recent(preset_id))

    def set_program(self, preset_id: str, number: int | None) -> None:
        """Let a program change of this number call it; None: none."""
        before = self.library.program_of(preset_id)
        library = self.library if before is None else self.library.with_program(before, None)
        if number is not None:
            library = library.with_program(number, preset_id)
        self._keep_library(library)

    def save(self, preset: Preset) -> None:
        """Keep it as the user's own."""
        self._do(lambda: self.desk.save(preset))

    def save_as(self, preset: Preset, name: str) -> Preset | None:
        """Keep it under another name. -> as saved; None where it could not be"""
        saved: list[Preset] = []
        self._do(lambda: saved.append(self.desk.save_as(preset, name, {row.id for row in self.index.rows})))
        return saved[0] if saved else None

    def delete(self, preset_id: str) -> None:
        """Take one of the user's own away."""
        self._do(lambda: self.desk.delete(preset_id))

    def undo(self) -> None:
        """Take the newest change of a preset back."""
        self._do(self.desk.undo)

    def redo(self) -> None:
        """Do it again."""
        self._do(self.desk.redo)

    def plan(self, path: Path) -> Plan:
        """What installing the pack at `path` would do. Raises UserError."""
        return plan_installation(read_pack(path), weights=_weights())

    def install(self, path: Path, plan: Plan, agreed: frozenset[Question]) -> InstalledPack | None:
        """Install a pack as planned. -> None where it could not be"""
        done: list[InstalledPack] = []

        def carry_out() -> None:
            with path.open("rb") as file:
                done.append(install(file, plan, agreed=agreed))

        self._do(carry_out)
        return done[0] if done else None

    def undo_pack(self) -> None:
        """Take the newest installation back."""
        self._do(undo)

    def packs(self) -> InstalledPacks:
        """The installed packs and the way back; none where the list cannot be read, which is told."""
        return self._known(read_installed, InstalledPacks())

    def remove_pack(self, pack_id: str) -> None:
        """Take an installed pack out of force."""
        self._do(lambda: remove(pack_id))

    def pins(self) -> Pins:
        """The keys of authors that are remembered."""
        return self._known(read_pins, Pins())

    def forget_key(self, fingerprint: str) -> None:
        """The author's next pack counts as the first."""
        self._do(lambda: write_pins(read_pins().without(fingerprint)))

    def read_dropped(self, path: Path) -> Preset:
        """A preset file from elsewhere. Raises UserError."""
        return load_preset_file(path)

    def keep_dropped(self, preset: Preset) -> None:
        """Keep a preset from elsewhere, under an id of its own where its id is taken."""
        if self.index.find(preset.id) is None:
            self.save(preset)
        else:
            self.save_as(preset, preset.name)

    def _known(self, read: Callable[[], T], nothing: T) -> T:
        try:
            return read()
        except UserError as fault:
            self.failed.emit(fault.message, fault.remedy)
            return nothing

    def _do(self, action: Callable[[], object]) -> None:
        try:
            action()
        except UserError as fault:
            self.failed.emit(fault.message, fault.remedy)
        except OSError as fault:
            self.failed.emit(f"The file cannot be read: {fault.strerror or fault}.", "Check that it is still there.")
        else:
            self.refresh()

    def _keep_library(self, library: PresetLibrary) -> None:
        self.library = library
        if self._may_keep_library and self._given is None:
            try:
                save_library(library)
            except UserError as fault:
                self.failed.emit(fault.message, fault.remedy)
        self.changed.emit()

    def _read(self) -> PresetIndex:
        if self._given is None:
            return self._read_installed()
        rows: list[Row] = [row_of(preset, Path(f"{preset.id}.json")) for preset in self._given.values()]
        own = read_index([self.desk.folder])
        return PresetIndex({row.id: row for row in (*rows, *own.rows)}.values(), own.faults)


def _weights() -> Weights | None:
    try:
        return installed_weights(FACTORY_FOLDER / "models" / "default")
    except UserError:
        return None
