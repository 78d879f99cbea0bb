"""The wizard: five pages over one desk. It may stay open, or be closed while nothing trains, as one goes on playing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QDialog, QMessageBox, QVBoxLayout, QWidget

from app.services.adapting import (
    AdaptingLike,
    Doing,
    Failed,
    Finished,
    FoundRecording,
    Gathered,
    Heard,
    InputsFound,
    Level,
    Looked,
    News,
    Recorded,
    Step,
    Stopped,
    Unfinished,
    Work,
)
from synth.errors import UserError
from ui.adapting.done_page import DonePage
from ui.adapting.found_page import FoundPage
from ui.adapting.frame import PageFrame
from ui.adapting.packing import PackDialog
from ui.adapting.page import Page
from ui.adapting.recordings_page import RecordingsPage
from ui.adapting.terms_page import TermsPage
from ui.adapting.training_page import TrainingPage
from ui.theme import Theme

POLL_INTERVAL_MS = 50


class AdaptingWizard(QDialog):
    """One at a time; it is hidden, not destroyed, when it is closed.

    made(preset id)      there is a preset: choose it
    sing_asked()         a note of the chosen preset
    play_asked(samples)  mono at 48 kHz, to be heard once
    """

    made = Signal(str)
    sing_asked = Signal()
    play_asked = Signal(object)

    def __init__(self, desk: AdaptingLike, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.setWindowTitle("Adapt to a Voice")
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint, True)
        self.resize(820, 720)
        self.setMinimumSize(700, 560)
        self.recordings = RecordingsPage(theme)
        self.found = FoundPage(theme)
        self.terms = TermsPage(theme, desk.methods())
        self.training = TrainingPage(theme, desk.sound)
        self.done_page = DonePage(theme, desk.sound)
        self.pages: tuple[Page, ...] = (self.recordings, self.found, self.terms, self.training, self.done_page)
        self.frame = PageFrame(self.pages, theme)
        self.notice, self.back, self.next = self.frame.notice, self.frame.back, self.frame.next
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.frame)
        self.setAcceptDrops(True)
        self._looked_at: list[Path] = []
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_INTERVAL_MS)
        self._timer.timeout.connect(self.poll)
        self._connect()
        self._show_page(0)

    @property
    def page(self) -> Page:
        """The one that is shown."""
        return self.frame.page

    def open_with(self, paths: Sequence[Path] = ()) -> None:
        """Show it; files and folders that were dropped are added where none trains."""
        self._timer.start()
        if not self.desk.is_training and self.page is not self.done_page:
            self.recordings.add(paths)
        elif paths and self.page is self.done_page:
            self._begin_anew()
            self.recordings.add(paths)
        if self.page is self.recordings:
            self._show_unfinished()
            self.desk.find_microphones()
        self.show()
        self.raise_()
        self.activateWindow()

    def poll(self) -> None:
        """One turn: what the desk has to say."""
        for work, news in self.desk.poll():
            self._hear(work, news)
        if self.isHidden() and not self.desk.is_training:
            self._timer.stop()

    def end(self) -> None:
        """The window closes: nothing is listened to any more."""
        self._timer.stop()

    def go_on(self) -> None:
        """The button on the right."""
        page = self.page
        if page.trouble:
            return
        match page:
            case RecordingsPage():
                if self._looked_at != self.recordings.paths:
                    self._looked_at = list(self.recordings.paths)
                    self.found.begin()
                    self.desk.look(self._looked_at)
                self._show_page(1)
            case FoundPage():
                self.terms.suggest(self.found.technique, _name_of(self.recordings.paths))
                self._show_page(2)
            case TermsPage():
                if self._dared(lambda: self.desk.train(self.terms.request(self.found.used))):
                    self.training.begin()
                    self._show_page(3)
            case TrainingPage():
                self._show_page(4)
            case _:
                self._begin_anew()
                self.close()

    def go_back(self) -> None:
        """The button beside it."""
        if self.frame.index > 0 and not self.desk.is_training:
            self._show_page(self.frame.index - 1)

    def leave(self) -> bool:
        """Whether the window may close: a training is asked about, and ends with a checkpoint."""
        if not self.desk.is_training:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "Training Under Way",
            "Stop the training? What it has learnt is kept, and it can be resumed later.",
            buttons.Yes | buttons.Cancel,
            buttons.Yes,
        )
        if answer != buttons.Yes:
            return False
        self.desk.stop()
        return True

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.recordings.is_recording:
            self.desk.stop_recording()
        if not self.leave():
            event.ignore()
            return
        if not self.desk.is_training:  # else polling ends with the training
            self._timer.stop()
        event.accept()

    def reject(self) -> None:
        """Escape is the same as closing."""
        self.close()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self.recordings.dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        if self.page is self.recordings:
            self.recordings.dropEvent(event)

    def _hear(self, work: Work, news: News) -> None:
        match news:
            case Failed():
                self._on_failed(work, news)
            case Doing():
                (self.found if work is Work.LOOKING else self.training).show_doing(news)
            case FoundRecording():
                self.found.add(news)
            case Looked():
                self.found.end(news.passed_over)
            case InputsFound():
                self.recordings.show_microphones(news.names)
            case Level():
                self.recordings.show_level(news)
            case Recorded():
                self.recordings.show_take(news)
            case Gathered():
                self.training.show_material(news)
            case Step():
                self.training.show_step(news)
            case Heard():
                self.training.show_heard(news)
            case Stopped():
                self.training.show_stopped("Stopped. What was learnt is kept: it goes on where it was.")
            case Finished():
                self._on_finished(news)
        self._show_buttons()

    def _on_failed(self, work: Work, failed: Failed) -> None:
        if work is Work.MICROPHONES:
            self.recordings.record.setEnabled(False)
            self.recordings.guide.setText(f"{failed.message} {failed.remedy}".strip())
            return
        self.notice.tell(failed.message, failed.remedy, "", True)
        if work is Work.LOOKING:
            self._looked_at = []
            self.found.end(())
        elif work is Work.RECORDING:
            self.recordings.show_take(None)
        else:
            self.training.show_stopped("It did not get to the end.")

    def _on_finished(self, finished: Finished) -> None:
        self.training.show_finished()
        self.done_page.show_result(finished)
        self.made.emit(finished.preset_id)
        if self.page is self.training:
            self._show_page(4)

    def _resume(self, begun: Unfinished) -> None:
        if self._dared(lambda: self.desk.resume(begun)):
            self.recordings.show_unfinished(None)
            self.training.begin()
            self._show_page(3)

    def _resume_last(self) -> None:
        if self._dared(self.desk.resume_last):
            self.training.begin(keeps_heard=True)
            self._show_buttons()

    def _discard(self, begun: Unfinished) -> None:
        buttons = QMessageBox.StandardButton
        name = begun.request.name or begun.request.technique
        question = f"Discard what {name} has learnt so far? The recordings stay."
        answer = QMessageBox.question(self, "Discard", question, buttons.Discard | buttons.Cancel, buttons.Cancel)
        if answer == buttons.Discard:
            self._dared(lambda: self.desk.discard(begun))
            self._show_unfinished()

    def _show_unfinished(self) -> None:
        left = self.desk.unfinished()
        self.recordings.show_unfinished(left[0] if left else None)

    def _record(self, microphone: str | None) -> None:
        self._dared(lambda: self.desk.record(microphone))

    def _pack(self, preset_id: str) -> None:
        dialog = PackDialog(self.desk, preset_id, self)
        dialog.told.connect(self._tell)
        dialog.open()

    def _tell(self, message: str, remedy: str, is_fault: bool) -> None:
        self.notice.tell(message, remedy, "", is_fault)

    def _dared(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except UserError as fault:
            self.notice.tell(fault.message, fault.remedy, "", True)
            return False
        return True

    def _begin_anew(self) -> None:
        self.recordings.paths.clear()
        self.recordings.files.clear()
        self._looked_at = []
        self.found.begin()
        self.found.is_looking = False
        self.terms.name.clear()
        self.terms.agrees.setChecked(False)
        self._show_page(0)

    def _show_page(self, index: int) -> None:
        self.frame.show_page(index)
        self._show_buttons()

    def _show_buttons(self) -> None:
        self.frame.show_buttons(can_go_back=not self.desk.is_training and self.page is not self.done_page)

    def _connect(self) -> None:
        self.next.clicked.connect(self.go_on)
        self.back.clicked.connect(self.go_back)
        for page in self.pages:
            page.changed.connect(self._show_buttons)
            page.told.connect(self._tell)
        self.recordings.record_asked.connect(self._record)
        self.recordings.stop_asked.connect(self.desk.stop_recording)
        self.recordings.resume_asked.connect(self._resume)
        self.recordings.discard_asked.connect(self._discard)
        self.training.stop_asked.connect(self.desk.stop)
        self.training.resume_asked.connect(self._resume_last)
        self.training.play_asked.connect(self.play_asked)
        self.done_page.sing_asked.connect(self.sing_asked)
        self.done_page.play_asked.connect(self.play_asked)
        self.done_page.pack_asked.connect(self._pack)


def _name_of(paths: Sequence[Path]) -> str:
    """What a preset of these recordings may be called: as their folder; takes of the wizard's have no name."""
    if not paths:
        return ""
    stem = paths[0].name if paths[0].is_dir() else paths[0].parent.name
    return "" if stem == "recordings" else stem.replace("_", " ").strip()
