"""New, open, save, import, extract, export, recovery; and the questions they raise."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from app.services import Extracted
from app.state.passage import Passage
from app.store.midi_import import import_midi
from app.store.passages import PASSAGE_SUFFIX, load_passage, save_passage
from app.store.recovery import RecoveryFile, discard, find_recoverable
from synth.errors import UserError
from ui.document import NEW_DURATION_S, Document
from ui.preferences_store import PreferencesStore
from ui.session import Session

AUTOSAVE_INTERVAL_MS = 15_000
MIDI_SUFFIXES = frozenset((".mid", ".midi", ".smf"))
AUDIO_SUFFIXES = frozenset((".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3"))
_PASSAGES = f"Passages (*{PASSAGE_SUFFIX})"
_MIDI = "MIDI files (*.mid *.midi *.smf)"
_AUDIO = "Recordings (*.wav *.flac *.ogg *.aif *.aiff *.mp3)"
_EXPORTS = "WAV (*.wav);;FLAC (*.flac)"


class FileDesk(QObject):
    """Works on the document; tells trouble through `told(message, remedy, details, is_fault)`."""

    told = Signal(str, str, str, bool)
    recent_changed = Signal()

    def __init__(
        self,
        document: Document,
        session: Session,
        store: PreferencesStore,
        window: QWidget,
        *,
        recovery: RecoveryFile,
    ) -> None:
        super().__init__(window)
        self._document, self._session, self._store, self._window = document, session, store, window
        self._recovery = recovery
        self._kept: Passage | None = None
        self._autosave = QTimer(self)
        self._autosave.setInterval(AUTOSAVE_INTERVAL_MS)
        self._autosave.timeout.connect(self.keep_recovery)
        session.extracted.connect(self._on_extracted)

    def start(self) -> None:
        """Begin keeping unsaved work."""
        self._autosave.start()

    def stop(self) -> None:
        """A clean end: nothing to recover."""
        self._autosave.stop()
        try:
            self._recovery.discard()
        except UserError as error:
            self.told.emit(error.message, error.remedy, "", True)

    def new(self) -> None:
        """An empty passage."""
        if self.may_leave():
            self._document.open(Passage(NEW_DURATION_S), None)

    def open_dialog(self) -> None:
        """Ask for a passage and open it."""
        if self.may_leave():
            path = self._ask_open("Open Passage", f"{_PASSAGES};;{_MIDI};;All files (*)")
            if path is not None:
                self.open_file(path)

    def open_file(self, path: Path) -> bool:
        """Open a passage, import a MIDI file or extract a recording, by suffix. -> whether it was begun"""
        suffix = path.suffix.lower()
        try:
            if suffix in MIDI_SUFFIXES:
                imported = import_midi(path, None)
                self._document.open(imported.passage, None, is_saved=False)
                for remark in imported.remarks[:1]:
                    more = f" (and {len(imported.remarks) - 1} more)" if len(imported.remarks) > 1 else ""
                    self.told.emit(remark + more, "", "\n".join(imported.remarks), False)
            elif suffix in AUDIO_SUFFIXES:
                self._session.busy_elsewhere.emit(f"Listening to {path.name}…")
                self._session.instrument.extract(path)
            else:
                self._document.open(load_passage(path), path)
                self._remember(path)
        except UserError as error:
            self._session.busy_elsewhere.emit("")
            self.told.emit(error.message, error.remedy, "", True)
            if not path.exists():
                self._store.change(self._store.settings.without_recent_file(path))
                self.recent_changed.emit()
            return False
        return True

    def save(self) -> bool:
        """Save where the passage came from. -> whether it lies in a file now"""
        return self.save_as() if self._document.path is None else self._write(self._document.path)

    def save_as(self) -> bool:
        """Ask where, then save."""
        start = self._document.path or self._folder() / f"untitled{PASSAGE_SUFFIX}"
        name, _ = QFileDialog.getSaveFileName(self._window, "Save Passage", str(start), _PASSAGES)
        if not name:
            return False
        path = Path(name)
        return self._write(path if path.suffix else path.with_suffix(PASSAGE_SUFFIX))

    def import_dialog(self) -> None:
        """Ask for a MIDI file."""
        if self.may_leave():
            path = self._ask_open("Import MIDI", _MIDI)
            if path is not None:
                self.open_file(path)

    def extract_dialog(self) -> None:
        """Ask for a recording."""
        if self.may_leave():
            path = self._ask_open("Extract from Recording", _AUDIO)
            if path is not None:
                self.open_file(path)

    def export_dialog(self) -> None:
        """Ask where the sound should go."""
        stem = self._document.path.stem if self._document.path is not None else "untitled"
        name, chosen = QFileDialog.getSaveFileName(
            self._window, "Export Audio", str(self._folder() / f"{stem}.wav"), _EXPORTS
        )
        if not name:
            return
        path = Path(name)
        if path.suffix.lower() not in (".wav", ".flac"):
            path = path.with_name(path.name + (".flac" if chosen.startswith("FLAC") else ".wav"))
        self.export(path)

    def export(self, path: Path) -> None:
        """Render to a file in the export quality."""
        try:
            self._session.instrument.export(self._document.passage, path, quality=self._store.settings.export_quality)
            self._session.busy_elsewhere.emit(f"Exporting {path.name}…")
        except UserError as error:
            self.told.emit(error.message, error.remedy, "", True)

    def may_leave(self) -> bool:
        """Ask what to do with unsaved work. -> whether the passage may go"""
        if not self._document.history.is_dirty:
            return True
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Unsaved Changes")
        name = self._document.path.name if self._document.path is not None else "This passage"
        box.setText(f"{name} has unsaved changes.")
        box.setInformativeText("Save them before going on?")
        buttons = QMessageBox.StandardButton
        box.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
        box.setDefaultButton(buttons.Save)
        answer = box.exec()
        if answer == buttons.Save:
            return self.save()
        return answer == buttons.Discard

    def offer_recovery(self) -> None:
        """Unsaved work of a window that did not end well."""
        found = find_recoverable()
        if not found:
            return
        newest = found[0]
        name = newest.original.name if newest.original is not None else "An unsaved passage"
        when = time.strftime("%H:%M, %d %B", time.localtime(newest.saved_at_s))
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._window,
            "Recover Unsaved Work",
            f"{name} was not saved when Stridor last ended ({when}).\nOpen what was kept?",
            buttons.Open | buttons.Discard,
            buttons.Open,
        )
        if answer == buttons.Open:
            self._document.open(newest.passage, newest.original, is_saved=False)
        try:
            for recovered in found if answer == buttons.Discard else found[:1]:
                discard(recovered.file)
        except UserError as error:
            self.told.emit(error.message, error.remedy, "", True)

    def keep_recovery(self) -> None:
        """Write unsaved work to the recovery file when it has changed since."""
        passage = self._document.passage
        try:
            if not self._document.history.is_dirty:
                if self._kept is not None:
                    self._recovery.discard()
                    self._kept = None
            elif passage is not self._kept:
                self._recovery.keep(passage, self._document.path, now_s=time.time())
                self._kept = passage
        except UserError as error:
            self.told.emit(error.message, error.remedy, "", True)

    def _write(self, path: Path) -> bool:
        passage = self._document.passage
        try:
            save_passage(passage, path)
        except UserError as error:
            self.told.emit(error.message, error.remedy, "", True)
            return False
        self._document.saved_as(path, passage)
        self._remember(path)
        self.keep_recovery()
        return True

    def _remember(self, path: Path) -> None:
        self._store.change(self._store.settings.with_recent_file(path))
        self.recent_changed.emit()

    def _on_extracted(self, event: Extracted) -> None:
        self._session.busy_elsewhere.emit("")
        if self.may_leave():
            self._document.open(event.passage, None, is_saved=False)

    def _folder(self) -> Path:
        recent = self._store.settings.recent_files
        return Path(recent[0]).parent if recent else Path.home()

    def _ask_open(self, title: str, filters: str) -> Path | None:
        name, _ = QFileDialog.getOpenFileName(self._window, title, str(self._folder()), filters)
        return Path(name) if name else None
