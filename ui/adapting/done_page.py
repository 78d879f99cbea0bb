"""The last page: what was gained, and the preset, ready to play and to be packed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton

from app.services.adapting import Finished
from ui.adapting.page import Page, wrapped
from ui.adapting.phrase import PhraseRow, ReadSound
from ui.styled import label
from ui.theme import Theme

_FIGURES = (
    ("control_error", "Control error", "{:.3f}", "how far lanes measured in the voice lie from what was asked"),
    ("log_mel_db", "Spectral distance, dB", "{:.2f}", "to the held-out recordings"),
    ("roughness", "Roughness distance", "{:.3f}", "to the held-out recordings, moment by moment"),
    ("hnr_db", "Noise distance, dB", "{:.2f}", "harmonics to noise"),
)

_FILES = {"Recording": "real", "Before": "before", "After": "after"}


class DonePage(Page):
    """sing_asked: a note of the preset;  play_asked(samples);  pack_asked(preset id)"""

    sing_asked = Signal()
    play_asked = Signal(object)
    pack_asked = Signal(str)

    heading = "There it is"
    step = "Preset"
    next_title = "Close"

    def __init__(self, theme: Theme, read: ReadSound) -> None:
        super().__init__(theme)
        self.preset_id = ""
        versions = (
            ("Recording", "▶  &Recording", "R"),
            ("Before", "▶  &A  before", "A"),
            ("After", "▶  &B  after", "B"),
        )
        self.phrase = PhraseRow(theme, read, versions)
        self.phrase.play_asked.connect(self.play_asked)
        self.phrase.told.connect(self.told)
        self.play = QPushButton("&Sing a Note")
        self.pack = QPushButton("&Pack It…")
        for button in (self.play, self.pack):
            button.setAutoDefault(False)
        self.play.clicked.connect(self.sing_asked)
        self.pack.clicked.connect(lambda _on=False: self.pack_asked.emit(self.preset_id))
        row = QHBoxLayout()
        row.addWidget(self.play)
        row.addWidget(self.pack)
        row.addStretch(1)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(26)
        self._grid.setVerticalSpacing(7)
        self._grid.setColumnStretch(4, 1)
        self._words = wrapped("", "dim")
        self.column.addLayout(row)
        self.column.addSpacing(8)
        self.column.addWidget(label("HELD-OUT RECORDINGS, BEFORE AND AFTER (LESS IS BETTER)", "section"))
        self.column.addLayout(self._grid)
        self.column.addWidget(self._words)
        self.column.addSpacing(8)
        self.column.addWidget(label("A HELD-OUT PHRASE", "section"))
        self.column.addWidget(self.phrase, 1)

    def show_result(self, finished: Finished) -> None:
        """What came of it."""
        self.preset_id = finished.preset_id
        self.lead.setText(
            f"{finished.preset_name} is in your library, chosen, and sings with its adapter. Its strengths in the "
            "regions of the network can be drawn, played and moved like any lane."
        )
        for name in self.phrase.views:
            path = finished.previews / f"1_{_FILES[name]}.flac"
            self.phrase.show_version(name, path if path.is_file() else None)
        held = finished.report.get("held_out", {})
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.deleteLater()
        for column, words in enumerate(("", "before", "after", "change, 95 %")):
            self._grid.addWidget(label(words, "faint"), 0, column)
        for row, (key, title, form, about) in enumerate(_FIGURES, start=1):
            self._add_row(row, key, title, form, about, held)
        self._words.setText(self._told(finished.report, held))

    def _add_row(self, row: int, key: str, title: str, form: str, about: str, held: Mapping[str, Any]) -> None:
        before, after = held.get("before", {}).get(key), held.get("after", {}).get(key)
        if before is None or after is None:
            return
        name = QLabel(title)
        name.setToolTip(about)
        self._grid.addWidget(name, row, 0)
        self._grid.addWidget(QLabel(form.format(before)), row, 1)
        self._grid.addWidget(QLabel(form.format(after)), row, 2)
        change = held["change"][key]
        words = f"{change['value']:+.3g} [{change['low']:+.3g}, {change['high']:+.3g}]"
        shown = QLabel(words)
        colours = self.theme.colours
        surely = colours.good if change["high"] < 0 else colours.danger if change["low"] > 0 else colours.text_dim
        shown.setStyleSheet(f"color: {surely}")
        self._grid.addWidget(shown, row, 3)

    @staticmethod
    def _told(report: Mapping[str, Any], held: Mapping[str, Any]) -> str:
        lines: list[str] = []
        closed = held.get("gap_closed")
        if isinstance(closed, Mapping) and closed.get("closed") == closed.get("closed"):
            lines.append(f"{100 * float(closed['closed']):.0f} % of the distance to the real voice is closed.")
        n = held.get("recordings", 0)
        if n and n < 5:
            lines.append(f"Only {n} held-out {'recording was' if n == 1 else 'recordings were'} long enough: "
                         "the figures say little. Trust your ears.")  # fmt: skip
        chosen = (report.get("chosen") or {}).get("candidate")
        if chosen:
            words = {"last": "the end of the training", "best": "where held-out error was least",
                     "nearest": "where a preview's lanes were nearest"}  # fmt: skip
            lines.append(f"Kept: {words.get(chosen, chosen)}, by control accuracy on held-out recordings.")
        return "\n".join(lines)
