"""A phrase in several versions, to be seen and heard against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QGridLayout, QPushButton, QWidget

from synth.errors import UserError
from synth.spec import Float32Array
from ui.adapting.drawings import SpectrogramView
from ui.theme import Theme

ReadSound = Callable[[Path], Float32Array]


class PhraseRow(QWidget):
    """Spectrograms side by side, each with a button and a key that plays it.

    play_asked(samples);  told(message, remedy, is_fault) where a file cannot be read
    """

    play_asked = Signal(object)
    told = Signal(str, str, bool)

    def __init__(self, theme: Theme, read: ReadSound, versions: Sequence[tuple[str, str, str]]) -> None:
        """versions   (name, words on the button, key)"""
        super().__init__()
        self._read = read
        self._paths: dict[str, Path] = {}
        self.views: dict[str, SpectrogramView] = {}
        self.buttons: dict[str, QPushButton] = {}
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setHorizontalSpacing(10)
        for place, (name, words, keys) in enumerate(versions):
            button = QPushButton(words)
            button.setAutoDefault(False)
            button.setEnabled(False)
            button.setAccessibleName(f"Play {name.lower()}")
            button.setToolTip(f"Play it  ({keys})")
            button.clicked.connect(lambda _on=False, chosen=name: self.play(chosen))
            QShortcut(QKeySequence(keys), self, lambda chosen=name: self.play(chosen))
            view = SpectrogramView(theme, name)
            self.views[name], self.buttons[name] = view, button
            self.grid.addWidget(view, 0, place)
            self.grid.addWidget(button, 1, place)
            self.grid.setColumnStretch(place, 1)
        self.grid.setRowStretch(0, 1)

    def show_version(self, name: str, path: Path | None) -> None:
        """A version lies at `path` now; None: there is none yet."""
        self._paths.pop(name, None)
        sound = None if path is None else self._sound(path)
        if path is not None and sound is not None:
            self._paths[name] = path
        self.views[name].show_sound(sound)
        self.buttons[name].setEnabled(sound is not None)

    def play(self, name: str) -> None:
        """Let a version be heard."""
        path = self._paths.get(name)
        sound = None if path is None else self._sound(path)
        if sound is not None:
            self.play_asked.emit(sound)

    def _sound(self, path: Path) -> Float32Array | None:
        try:
            return self._read(path)
        except UserError as fault:
            self.told.emit(fault.message, fault.remedy, True)
            return None
