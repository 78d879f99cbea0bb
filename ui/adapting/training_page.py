"""The fourth page: how the training goes, to be watched and heard; before and after against each other."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton

from app.services.adapting import Doing, Gathered, Heard, Step
from ui.adapting.drawings import CurveView
from ui.adapting.page import Page, clock, wrapped
from ui.adapting.phrase import PhraseRow, ReadSound
from ui.styled import Chooser, label
from ui.theme import Theme

_LOSS, _VALIDATION, _CONTROL = "loss", "held-out error", "control error"
RECORDING_FILE = "recording.flac"


class TrainingPage(Page):
    """Shows what it is told; `read` gives a preview's samples.

    play_asked(samples), stop_asked, resume_asked
    """

    play_asked = Signal(object)
    stop_asked = Signal()
    resume_asked = Signal()

    heading = "Learning the voice"
    step = "Training"
    next_title = "To the Preset"

    def __init__(self, theme: Theme, read: ReadSound) -> None:
        super().__init__(theme)
        self.heard: list[Heard] = []
        self.is_over = False
        self.is_done = False
        self._done = 0.0
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setAccessibleName("Training")
        self.left = label("", "dim")
        self.curves = CurveView(theme, {_LOSS: "text_dim", _VALIDATION: "accent", _CONTROL: "playhead"})
        self.learning = wrapped("", "faint")
        versions = (("Recording", "▶  &Recording", "R"), ("Before", "▶  &A  before", "A"), ("Now", "▶  &B  now", "B"))
        self.phrase = PhraseRow(theme, read, versions)
        self.when = Chooser()
        self.stop = QPushButton("S&top")
        self.resume = QPushButton("Res&ume")
        self._arrange()
        self._connect()
        self.begin()

    @property
    def trouble(self) -> str:
        if self.is_over:
            return "" if self.is_done else "It can go on where it was."
        return "You may go on playing meanwhile."

    def begin(self, *, keeps_heard: bool = False) -> None:
        """A training begins or goes on."""
        self.is_over = self.is_done = False
        self.stop.setEnabled(True)
        self.stop.show()
        self.resume.hide()
        self.lead.setText("Starting…")
        self.left.setText("")
        if not keeps_heard:
            self.heard = []
            self.when.clear()
            self.curves.clear()
            self._done = 0.0
            self.bar.setValue(0)
            for name in self.phrase.views:
                self.phrase.show_version(name, None)
        self.changed.emit()

    def show_doing(self, doing: Doing) -> None:
        """Before and after the training itself."""
        self.lead.setText(f"{doing.what}…" + (f" {100 * doing.share:.0f} %" if doing.share > 0 else ""))
        self.left.setText("")

    def show_material(self, told: Gathered) -> None:
        """What is learnt from and what is held out."""
        seconds, by = told.material["seconds"], told.material["held_out_by"]
        held = seconds["validation"] + seconds["test"]
        words = f"Learns from {seconds['train']:.0f} s; {held:.0f} s are held out, to choose and to judge by."
        words += " Parts of the same recordings are in both, which flatters the figures." if by == "clip" else ""
        self.learning.setText(words)

    def show_step(self, step: Step) -> None:
        """One more report of the training."""
        self._done = step.done
        self.bar.setValue(round(1000 * step.done))
        self.lead.setText(f"Training, step {step.step}")
        self.left.setText("" if step.left_s is None else f"about {clock(step.left_s)} left")
        for name, value in ((_LOSS, step.loss), (_VALIDATION, step.validation)):
            if value is not None:
                self.curves.add(name, step.done, value)

    def show_heard(self, heard: Heard) -> None:
        """One more preview."""
        if any(known.index == heard.index for known in self.heard):
            return
        self.heard.append(heard)
        if heard.index == 0 or self._done > 0.0:  # when earlier ones were heard is not known of a run that goes on
            self.curves.add(_CONTROL, self._done, math.nan if heard.control_error is None else heard.control_error)
        if heard.index == 0:
            self.phrase.show_version("Recording", heard.sound.with_name(RECORDING_FILE))
            self.phrase.show_version("Before", heard.sound)
            return
        is_newest = self.when.currentIndex() == self.when.count() - 1
        error = "" if heard.control_error is None else f", control error {heard.control_error:.3f}"
        self.when.addItem(f"after {clock(heard.seconds)}{error}", heard.sound)
        if is_newest:
            self.when.setCurrentIndex(self.when.count() - 1)
        if not is_newest:
            return
        self._show_now()

    def show_stopped(self, words: str) -> None:
        """It has ended before its time."""
        self.is_over = True
        self.lead.setText(words)
        self.left.setText("")
        self.stop.hide()
        self.resume.show()
        self.resume.setFocus()
        self.changed.emit()

    def show_finished(self) -> None:
        """There is a preset."""
        self.is_over = self.is_done = True
        self.bar.setValue(1000)
        self.lead.setText("Done.")
        self.left.setText("")
        self.stop.hide()
        self.resume.hide()
        self.changed.emit()

    def _arrange(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.left)
        row.addWidget(self.stop)
        row.addWidget(self.resume)
        self.column.addLayout(row)
        self.column.addWidget(self.learning)
        self.column.addWidget(self.curves, 1)
        self.column.addWidget(label("HELD-OUT PHRASE", "section"))
        self.when.setAccessibleName("Which preview")
        grid = self.phrase.grid
        grid.addWidget(QLabel("B is the voice"), 2, 1, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.when, 2, 2)
        self.column.addWidget(self.phrase, 2)

    def _connect(self) -> None:
        for button in (self.stop, self.resume):
            button.setAutoDefault(False)
        self.stop.clicked.connect(self._on_stop)
        self.resume.clicked.connect(self.resume_asked)
        self.when.currentIndexChanged.connect(lambda _i: self._show_now())
        self.phrase.play_asked.connect(self.play_asked)
        self.phrase.told.connect(self.told)

    def _on_stop(self) -> None:
        self.stop.setEnabled(False)
        self.lead.setText("Stopping after this step…")
        self.stop_asked.emit()

    def _show_now(self) -> None:
        path = self.when.currentData()
        if path is not None:
            self.phrase.show_version("Now", path)
