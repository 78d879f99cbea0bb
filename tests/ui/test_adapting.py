"""The wizard: from dropped recordings to a preset, with all that may go wrong on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from app.services.adapting import (
    AdaptRequest,
    Doing,
    Failed,
    Finished,
    FoundRecording,
    Gathered,
    Heard,
    InputsFound,
    Level,
    Looked,
    Problem,
    Recorded,
    Segment,
    Step,
    Stopped,
    Unfinished,
    Work,
)
from synth.errors import UserError
from tests.ui.fake_desk import FakeDesk
from ui.adapting.packing import PackDialog
from ui.adapting.wizard import AdaptingWizard
from ui.theme import Theme, ThemeChoice

REPORT = {
    "held_out": {
        "recordings": 3, "gap_closed": {"closed": 0.41},
        "before": {"control_error": 0.1, "log_mel_db": 9.0}, "after": {"control_error": 0.08, "log_mel_db": 7.0},
        "change": {
            "control_error": {"value": -0.02, "low": -0.03, "high": -0.01, "n": 3},
            "log_mel_db": {"value": -2.0, "low": -4.1, "high": 0.1, "n": 3},
        },
    },
    "chosen": {"candidate": "nearest"},
}  # fmt: skip
MATERIAL = {"seconds": {"train": 96.0, "validation": 10.0, "test": 14.0}, "held_out_by": "clip"}


def recording(name: str, *, seconds: float = 8.0, technique: str = "growl", problems: tuple[Problem, ...] = ()):
    n = int(seconds * 20)
    phase = np.linspace(0, 9, n)
    segments = tuple(Segment(s, s + seconds / 4 - 0.1, technique) for s in np.linspace(0, 0.75 * seconds, 4).tolist())
    refused = any(problem.is_refused for problem in problems)
    lanes = {
        "pitch": (50 + 5 * np.sin(phase)).astype(np.float32),
        "roughness": np.where(phase % 2 < 1.5, 0.6, np.nan).astype(np.float32),
    }
    return FoundRecording(
        Path("/takes") / name, name, seconds, (0.1 + 0.1 * np.sin(phase) ** 2).astype(np.float32),
        () if refused else segments, problems, lanes, {} if refused else {technique: 1.0},
    )  # fmt: skip


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def wizard(qtbot: QtBot, qapp: QApplication, desk: FakeDesk) -> AdaptingWizard:
    theme = Theme(ThemeChoice.DARK)
    made = AdaptingWizard(desk, theme)
    qtbot.addWidget(made, before_close_func=lambda _wizard: setattr(desk, "is_training", False))
    made.open_with()
    qtbot.waitExposed(made)
    return made


def hear(wizard: AdaptingWizard, desk: FakeDesk, work: Work, *news: object) -> None:
    desk.say(work, *news)  # type: ignore[arg-type]
    wizard.poll()


def to_terms(wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path) -> None:
    wizard.recordings.add([tmp_path])
    wizard.next.click()
    hear(wizard, desk, Work.LOOKING, recording("a.wav"), recording("b.wav"), Looked())
    wizard.next.click()


def fill_terms(wizard: AdaptingWizard) -> None:
    terms = wizard.terms
    terms.name.setText("Hers")
    terms.licence.setCurrentText("CC-BY-4.0")
    terms.consent.setPlainText("My own voice;\nI agree.")
    terms.agrees.setChecked(True)


def test_recordings_become_a_preset(wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path, qtbot: QtBot) -> None:
    assert not wizard.next.isEnabled()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    copying, left, plain = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    wizard.dropEvent(QDropEvent(QPointF(9, 9), copying, data, left, plain))
    wizard.next.click()
    assert desk.looked == [[tmp_path]]
    assert not wizard.next.isEnabled(), "still listening"
    spoilt = recording("c.wav", problems=(Problem("nearly silent, peak -60 dB", is_refused=True),))
    hear(wizard, desk, Work.LOOKING, Doing("Listening to a.wav", 0.5), recording("a.wav"), spoilt, recording("b.wav"))
    hear(wizard, desk, Work.LOOKING, Looked(("x.m4a is no sound file.",)))
    assert "2 of 3 recordings" in wizard.found.lead.text()
    assert wizard.found.technique == "growl"
    wizard.next.click()
    assert wizard.page is wizard.terms
    assert wizard.terms.technique.currentText() == "growl"
    fill_terms(wizard)
    wizard.next.click()
    (request,) = desk.requests
    assert request == AdaptRequest(
        (Path("/takes/a.wav"), Path("/takes/b.wav")), "growl", name="Hers", licence="CC-BY-4.0",
        consent="My own voice; I agree.", method="lora", minutes=8.0,
    )  # fmt: skip
    training = wizard.training
    hear(wizard, desk, Work.TRAINING, Doing("Measuring the recordings", 0.5), Gathered(MATERIAL))
    hear(wizard, desk, Work.TRAINING, Heard(0, 0.0, 0.11, tmp_path / "preview-000.flac"))
    assert training.phrase.buttons["Before"].isEnabled()
    assert not training.phrase.buttons["Now"].isEnabled()
    hear(wizard, desk, Work.TRAINING, Step(20, 0.2, 384.0, 0.31, 0.3), Heard(1, 60.0, 0.09, tmp_path / "b.flac"))
    hear(wizard, desk, Work.TRAINING, Step(40, 0.4, 288.0, 0.29, 0.28), Heard(2, 120.0, 0.08, tmp_path / "c.flac"))
    assert training.left.text() == "about 4:48 left"
    assert training.when.currentData() == tmp_path / "c.flac", "the newest is shown"
    assert [round(v, 2) for _, v in training.curves.points["control error"]] == [0.11, 0.09, 0.08]
    with qtbot.waitSignal(wizard.play_asked) as played:
        QTest.keyClick(training, Qt.Key.Key_B)
    assert played.args is not None
    assert len(played.args[0]) == 48_000
    with qtbot.waitSignal(wizard.play_asked):
        training.phrase.buttons["Before"].click()
    desk.is_training = False
    with qtbot.waitSignal(wizard.made) as made:
        hear(wizard, desk, Work.TRAINING, Finished("hers", "Hers", REPORT, tmp_path))
    assert made.args == ["hers"]
    assert wizard.page is wizard.done_page
    shown = " ".join(words.text() for words in wizard.done_page.findChildren(type(wizard.done_page.lead)))
    assert "41 %" in shown
    assert "-0.02 [-0.03, -0.01]" in shown
    wizard.next.click()
    assert not wizard.isVisible()
    assert wizard.page is wizard.recordings


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda terms: terms.name.clear(), "name"),
        (lambda terms: terms.licence.setCurrentText(" "), "terms"),
        (lambda terms: terms.consent.setPlainText("  "), "whose voice"),
        (lambda terms: terms.agrees.setChecked(False), "consent"),
        (lambda terms: [box.setChecked(False) for box in terms.regions.values()], "region"),
    ],
)
def test_nothing_trains_before_all_terms_are_said(
    spoil, why: str, wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path
) -> None:  # fmt: skip
    to_terms(wizard, desk, tmp_path)
    fill_terms(wizard)
    assert wizard.next.isEnabled()
    spoil(wizard.terms)
    assert not wizard.next.isEnabled()
    assert why in wizard.terms.trouble
    wizard.go_on()
    assert desk.requests == []


def test_more_holds_method_regions_and_minutes(wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path) -> None:
    to_terms(wizard, desk, tmp_path)
    fill_terms(wizard)
    terms = wizard.terms
    assert not terms.details.isVisible()
    terms.more.click()
    assert terms.details.isVisible()
    terms.method.setCurrentIndex(terms.method.findData("sara"))
    terms.regions["late"].setChecked(False)
    terms.minutes.setValue(3.0)
    wizard.next.click()
    (request,) = desk.requests
    assert (request.method, request.regions, request.minutes) == ("sara", ("early", "middle"), 3.0)


def test_without_peft_sara_is_chosen(qtbot: QtBot, qapp: QApplication) -> None:
    desk = FakeDesk()
    desk.missing = "peft is not installed"
    wizard = AdaptingWizard(desk, Theme(ThemeChoice.LIGHT))
    qtbot.addWidget(wizard)
    assert wizard.terms.method.currentData() == "sara"
    assert "peft is not installed" in wizard.terms.method.itemText(0)


def test_too_little_is_said_before_training(wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path) -> None:
    wizard.recordings.add([tmp_path])
    wizard.next.click()
    hear(wizard, desk, Work.LOOKING, recording("a.wav"), recording("b.wav"), Looked())
    assert wizard.next.isEnabled()
    wizard.found.rows[0].use.setChecked(False)
    assert "are too little" in wizard.found.trouble
    assert not wizard.next.isEnabled()


def test_trouble_is_one_line_and_the_training_goes_on_later(
    wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path
) -> None:  # fmt: skip
    to_terms(wizard, desk, tmp_path)
    fill_terms(wizard)
    desk.refusal = UserError("Only 20 MB are free.", remedy="Free some space.")
    wizard.next.click()
    assert wizard.notice.text == "Only 20 MB are free. Free some space."
    assert wizard.page is wizard.terms
    desk.refusal = None
    wizard.next.click()
    hear(wizard, desk, Work.TRAINING, Heard(0, 0.0, None, tmp_path / "preview-000.flac"), Step(9, 0.3, None, 0.3, None))
    desk.is_training = False
    hear(wizard, desk, Work.TRAINING, Failed("The disk is full.", "Free some space."))
    assert wizard.notice.text == "The disk is full. Free some space."
    assert wizard.training.resume.isVisible()
    wizard.training.resume.click()
    assert desk.resumed == [None]
    hear(wizard, desk, Work.TRAINING, Heard(0, 0.0, None, tmp_path / "preview-000.flac"))
    assert len(wizard.training.heard) == 1, "what was heard before is not listed twice"
    wizard.training.stop.click()
    assert desk.n_stops == 1
    desk.is_training = False
    hear(wizard, desk, Work.TRAINING, Stopped())
    assert wizard.training.resume.isVisible()
    hear(wizard, desk, Work.TRAINING, Heard(3, 60.0, 0.1, tmp_path / "broken.flac"))
    assert wizard.notice.text.startswith("broken.flac cannot be read.")


def test_what_was_left_unfinished_is_offered(
    wizard: AdaptingWizard, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def left(name: str) -> Unfinished:
        return Unfinished(Path("/runs") / name, AdaptRequest((Path("/takes"),), "growl", name=name), 1_800_000_000.0)

    desk.left = [left("Hers"), left("His")]
    wizard.open_with()
    assert wizard.recordings.left.isVisible()
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Discard)
    wizard.recordings.discard.click()
    assert [begun.request.name for begun in desk.discarded] == ["Hers"]
    wizard.recordings.resume.click()
    assert [begun.request.name for begun in desk.resumed if begun] == ["His"]
    assert wizard.page is wizard.training
    assert not wizard.back.isEnabled()


def test_closing_while_it_trains_asks_and_keeps(
    wizard: AdaptingWizard, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    to_terms(wizard, desk, tmp_path)
    fill_terms(wizard)
    wizard.next.click()
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Cancel)
    QTest.keyClick(wizard, Qt.Key.Key_Escape)
    assert wizard.isVisible()
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    QTest.keyClick(wizard, Qt.Key.Key_Escape)
    assert not wizard.isVisible()
    assert desk.n_stops == 1
    desk.is_training = False
    hear(wizard, desk, Work.TRAINING, Stopped())
    assert wizard.training.resume.isVisibleTo(wizard.training), "it was heard although the wizard is hidden"


def test_a_take_is_guided_and_added(wizard: AdaptingWizard, desk: FakeDesk) -> None:
    page = wizard.recordings
    assert "stop at once when it hurts" in page.warning.text()
    assert page.warning.isVisible(), "before anything is recorded"
    hear(wizard, desk, Work.MICROPHONES, InputsFound(("Studio", "Laptop")))
    page.microphone.setCurrentIndex(2)
    page.record.click()
    assert desk.recorded == ["Laptop"]
    assert not wizard.next.isEnabled()
    for level, words in (
        (Level(-60.0, -70.0, False, 1.0), "Very quiet"),
        (Level(-12.0, -20.0, False, 2.0), "Good level"),
        (Level(-1.0, -9.0, False, 3.0), "Almost too loud"),
        (Level(0.0, -6.0, True, 4.0), "it clips"),
    ):
        hear(wizard, desk, Work.RECORDING, level)
        assert words in page.guide.text()
    page.record.click()
    assert desk.n_takes_stopped == 1
    hear(wizard, desk, Work.RECORDING, Recorded(Path("/takes/take.wav"), 4.0, "It clipped: step back."))
    assert page.paths == [Path("/takes/take.wav")]
    assert page.guide.text() == "It clipped: step back."
    page.record.click()
    hear(wizard, desk, Work.RECORDING, Failed("The microphone has gone.", "Plug it in."))
    assert not page.is_recording
    assert wizard.notice.text == "The microphone has gone. Plug it in."
    hear(wizard, desk, Work.MICROPHONES, Failed("PortAudio cannot be loaded.", "Install it."))
    assert not page.record.isEnabled()
    page.files.setCurrentRow(0)
    page.files.setFocus()
    QTest.keyClick(page.files, Qt.Key.Key_Delete)
    assert page.paths == []


def test_packing_asks_before_it_replaces(wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path) -> None:
    dialog = PackDialog(desk, "hers", wizard)
    told: list[tuple[str, str, bool]] = []
    dialog.told.connect(lambda *words: told.append(words))
    path = tmp_path / "hers.stridorpack"
    path.write_bytes(b"older")
    dialog.file.setText(str(tmp_path / "hers"))
    dialog.save()
    assert desk.packed == []
    dialog.save()
    assert desk.packed == [("hers", tmp_path / "hers", "1.0")] or desk.packed == [("hers", path, "1.0")]
    assert desk.packed[0][1].suffix == ".stridorpack"
    assert told[0][0] == f"Packed: {path}"
    desk.refusal = UserError("The disk is full.")
    other = PackDialog(desk, "hers", wizard)
    other.file.setText(str(tmp_path / "other.stridorpack"))
    other.show()
    other.save()
    assert other.isVisible()


def test_everything_can_be_reached_by_keyboard(wizard: AdaptingWizard, desk: FakeDesk, tmp_path: Path) -> None:
    to_terms(wizard, desk, tmp_path)
    wizard.terms.more.click()
    for page in wizard.pages:
        wizard.frame.stack.setCurrentWidget(page)
        chain: list[QWidget] = []
        widget = wizard.nextInFocusChain()
        while widget is not None and widget is not wizard:
            chain.append(widget)
            widget = widget.nextInFocusChain()
        for button in page.findChildren(QAbstractButton):
            if button.isVisibleTo(page) and button.isEnabled() and button.objectName() != "qt_spinbox_lineedit":
                assert button in chain
                assert button.focusPolicy() & Qt.FocusPolicy.TabFocus, button.text()
