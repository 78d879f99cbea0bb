"""What is done to presets and packs: editing, keeping, deleting, taking back; files that are dropped or opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QInputDialog, QMenu, QMessageBox, QWidget

from app.state.preset import Preset
from app.store.packs.writer import PACK_SUFFIX
from synth.errors import UserError
from ui.presets.dialogs import EditDialog, InstallDialog
from ui.presets.packs_dialog import PacksDialog
from ui.presets.shelf import PresetShelf
from ui.theme import Theme

DROPPABLE = frozenset((PACK_SUFFIX, ".json"))


class DeskMenu(QObject):
    """Asks over `owner`; the shelf carries out.

    told(message, remedy, details, is_fault)
    kept(id)          a preset was kept under a new name
    compared(slot)    the marked preset shall go into slot 0 or 1
    capture_asked     the voice at the playhead shall become a preset
    """

    told = Signal(str, str, str, bool)
    kept = Signal(str)
    compared = Signal(int)
    capture_asked = Signal()

    def __init__(self, theme: Theme, shelf: PresetShelf, owner: QWidget) -> None:
        super().__init__(owner)
        self._theme, self._shelf, self._owner = theme, shelf, owner

    def take_file(self, path: Path) -> None:
        """A pack or a preset that was dropped or opened: shown first, written only when agreed to."""
        try:
            if path.suffix.lower() == PACK_SUFFIX:
                self._take_pack(path)
            else:
                self._take_preset(path)
        except UserError as fault:
            self.told.emit(fault.message, fault.remedy, "", True)

    def edit(self, preset: Preset | None) -> None:
        """A preset's texts, level and number; the factory's become the user's own."""
        if preset is None:
            return
        dialog = EditDialog(preset, self._shelf.library.program_of(preset.id), self._owner, title=f"Edit {preset.name}")
        if dialog.exec() == QDialog.DialogCode.Accepted:
            if dialog.edited() != preset:
                self._shelf.save(dialog.edited())
            if dialog.number() != self._shelf.library.program_of(preset.id):
                self._shelf.set_program(preset.id, dialog.number())

    def save_as(self, preset: Preset | None) -> None:
        """A preset under another name."""
        if preset is not None:
            self.keep_as(preset, f"{preset.name} copy")

    def keep_as(self, preset: Preset | None, name: str) -> None:
        """Ask for a name, and keep the preset under it as the user's own."""
        if preset is None:
            return
        name, is_agreed = QInputDialog.getText(self._owner, "Save Preset As", "Name", text=name)
        if is_agreed and name.strip():
            saved = self._shelf.save_as(preset, name)
            if saved is not None:
                self.kept.emit(saved.id)

    def menu(self, preset: Preset | None) -> QMenu:
        """What can be done, with the marked preset and else."""
        menu, desk = QMenu(self._owner), self._shelf.desk

        def add(words: str, call: Callable[[], object], *, may: bool = True) -> None:
            menu.addAction(words.replace("&", "&&"), lambda: call()).setEnabled(may)

        has_one = preset is not None
        add("Edit…", lambda: self.edit(preset), may=has_one)
        add("Save As…", lambda: self.save_as(preset), may=has_one)
        add("Keep Voice at Playhead As…", self.capture_asked.emit)
        is_own = preset is not None and desk.owns(preset.id)
        add("Delete", lambda: self._shelf.delete(preset.id) if preset is not None else None, may=is_own)
        menu.addSeparator()
        add("Compare as A", lambda: self.compared.emit(0), may=has_one)
        add("Compare as B", lambda: self.compared.emit(1), may=has_one)
        menu.addSeparator()
        undo_name, redo_name = desk.undo_name, desk.redo_name
        add(f"Undo {undo_name}" if undo_name else "Undo", self._shelf.undo, may=undo_name is not None)
        add(f"Redo {redo_name}" if redo_name else "Redo", self._shelf.redo, may=redo_name is not None)
        menu.addSeparator()
        steps = self._shelf.packs().steps
        add(f"Undo {steps[-1].name}" if steps else "Undo Pack", self._shelf.undo_pack, may=bool(steps))
        add("Packs and Authors…", lambda: PacksDialog(self._shelf, self._owner).exec())
        return menu

    def _take_pack(self, path: Path) -> None:
        plan = self._shelf.plan(path)
        dialog = InstallDialog(plan, self._theme, self._owner)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            entry = self._shelf.install(path, plan, dialog.agreed)
            if entry is not None:
                self.told.emit(f"Installed {entry.name}: {len(entry.presets)} presets.", "", "", False)

    def _take_preset(self, path: Path) -> None:
        preset = self._shelf.read_dropped(path)
        box = QMessageBox(self._owner)
        box.setWindowTitle("Add Preset")
        box.setTextFormat(Qt.TextFormat.PlainText)
        terms = f"By {preset.author}. {preset.licence}. {preset.consent}"
        box.setText(f"Add the preset {preset.name}?\n\n{terms}\n{preset.description}")
        box.setStandardButtons(QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel)
        if box.exec() == QMessageBox.StandardButton.Yes:
            self._shelf.keep_dropped(preset)
