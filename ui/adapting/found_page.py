"""The second page: what is in the recordings, and which of them shall be learnt from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from app.services.adapting import LANES_SHOWN, LEAST_S, LEAST_SEGMENTS, Doing, FoundRecording
from synth.spec import lane
from ui.adapting.drawings import RecordingView
from ui.adapting.page import Page, clock, scrolled, wrapped
from ui.styled import label
from ui.theme import Theme

GOOD_S = 120.0
_MOST_ROWS = 60  # drawn; of more only the words are shown


class RecordingRow(QWidget):
    """One recording: whether it is used, how it looks, what is wrong with it."""

    toggled = Signal()

    def __init__(self, theme: Theme, found: FoundRecording, *, is_drawn: bool) -> None:
        super().__init__()
        self.found = found
        self.use = QCheckBox(found.name)
        self.use.setChecked(not found.is_refused)
        self.use.setEnabled(not found.is_refused)
        self.use.toggled.connect(lambda _on: self.toggled.emit())
        heard = next(iter(found.techniques), "")
        share = found.techniques.get(heard, 0.0)
        facts = [f"{clock(found.duration_s)} long, {clock(found.usable_s)} to learn from"] if found.duration_s else []
        facts += [f"sounds like {heard}" + (f" ({100 * share:.0f} %)" if share < 0.995 else "")] if heard else []
        head = QHBoxLayout()
        head.addWidget(self.use)
        head.addStretch(1)
        head.addWidget(label(" · ".join(facts), "dim"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 6)
        column.setSpacing(4)
        column.addLayout(head)
        if is_drawn and found.envelope is not None:
            column.addWidget(RecordingView(theme, found))
        colours = theme.colours
        for problem in found.problems:
            words = wrapped(f"{'Left out' if problem.is_refused else 'Mind'}: {problem.message}.")
            words.setStyleSheet(f"color: {colours.danger if problem.is_refused else colours.warning}")
            column.addWidget(words)

    @property
    def is_used(self) -> bool:
        """Whether it shall be learnt from."""
        return self.use.isChecked()


class FoundPage(Page):
    """Fills while the recordings are listened to."""

    heading = "What was found"
    step = "What was found"

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.rows: list[RecordingRow] = []
        self.is_looking = False
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setAccessibleName("Listening to the recordings")
        self._said = wrapped("", "faint")
        inner = QWidget()
        self._list = QVBoxLayout(inner)
        self._list.setContentsMargins(0, 0, 10, 0)
        self._list.setSpacing(10)
        self._list.addStretch(1)
        self.column.addWidget(self.bar)
        self.column.addWidget(wrapped("Shaded stretches are learnt from; pauses are cut out.", "faint"))
        self.column.addLayout(self._legend())
        self.column.addWidget(scrolled(inner), 1)
        self.column.addWidget(self._said)

    @property
    def used(self) -> list[Path]:
        """What shall be learnt from."""
        return [row.found.path for row in self.rows if row.is_used]

    @property
    def usable_s(self) -> float:
        """Seconds to learn from in what is used."""
        return sum(row.found.usable_s for row in self.rows if row.is_used)

    @property
    def technique(self) -> str:
        """What most of it sounds like; "" where that is not known."""
        seconds: Counter[str] = Counter()
        for row in self.rows:
            for name, share in row.found.techniques.items() if row.is_used else ():
                seconds[name] += round(1000 * share * row.found.usable_s)
        return seconds.most_common(1)[0][0] if seconds else ""

    @property
    def trouble(self) -> str:
        if self.is_looking:
            return "Still listening."
        segments = sum(len(row.found.segments) for row in self.rows if row.is_used)
        if self.usable_s < LEAST_S or segments < LEAST_SEGMENTS:
            return (
                f"{self.usable_s:.0f} s in {segments} stretches are too little: "
                f"{LEAST_S:.0f} s in {LEAST_SEGMENTS} takes at least, two minutes are good."
            )
        return ""

    def begin(self) -> None:
        """Nothing is known yet."""
        for row in self.rows:
            row.deleteLater()
        self.rows = []
        self.is_looking = True
        self._said.setText("")
        self.bar.setValue(0)
        self.bar.show()
        self._show_sum()

    def show_doing(self, doing: Doing) -> None:
        """How far the listening is."""
        self.bar.setValue(round(1000 * doing.share))
        self.lead.setText(f"{doing.what}…")

    def add(self, found: FoundRecording) -> None:
        """One more recording."""
        row = RecordingRow(self.theme, found, is_drawn=len(self.rows) < _MOST_ROWS)
        row.toggled.connect(self._show_sum)
        self.rows.append(row)
        self._list.insertWidget(self._list.count() - 1, row)
        self.changed.emit()

    def end(self, passed_over: tuple[str, ...]) -> None:
        """All has been listened to."""
        self.is_looking = False
        self.bar.hide()
        shown = list(passed_over[:4]) + ([f"and {len(passed_over) - 4} more"] if len(passed_over) > 4 else [])
        self._said.setText("\n".join(shown))
        self._show_sum()

    def _show_sum(self) -> None:
        used = [row for row in self.rows if row.is_used]
        if not self.is_looking:
            words = f"{len(used)} of {len(self.rows)} recordings, {clock(self.usable_s)} to learn from."
            words += f" Most of it sounds like {self.technique}." if self.technique else ""
            words += " More would help: two minutes are good." if self.usable_s < GOOD_S else ""
            self.lead.setText(words)
        self.changed.emit()

    def _legend(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(14)
        for name in LANES_SHOWN:
            words = label(lane(name).title, "faint")
            words.setStyleSheet(f"color: {self.theme.lane_colour(lane(name).colour).name()}")
            words.setAlignment(Qt.AlignmentFlag.AlignVCenter)
            row.addWidget(words)
        row.addStretch(1)
        return row
