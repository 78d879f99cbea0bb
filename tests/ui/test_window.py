"""Transport, files, presets, measured overlay, notices, themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from app.services import (
    AudioChanged,
    EngineFailed,
    Extracted,
    Measured,
    RenderFailed,
    RenderProgress,
)
from app.state.passage import Note, Passage, Voice
from app.store.passages import load_passage
from app.store.settings import Settings
from synth.spec import HOP_S, SAMPLE_RATE_HZ
from tests.ui.fake_instrument import FakeInstrument
from tests.ui.gestures import drag, lane_of
from ui.panels.preferences import PreferencesDialog, ShortcutsDialog
from ui.theme import DARK, LIGHT, ThemeChoice
from ui.window import MainWindow


def picture(widget: QWidget) -> np.ndarray:
    """What a widget shows. -> [height, width, 4] uint8"""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    return np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.width(), 4).copy()


def measured_flat(lane_id: str, value: float, n_frames: int = 800) -> Measured:
    times_s = ((np.arange(n_frames) + 0.5) * HOP_S).astype(np.float32)
    return Measured(1, {lane_id: (times_s, np.full(n_frames, value, dtype=np.float32))})


def test_space_plays_and_pauses_from_the_playhead(window: MainWindow, instrument: FakeInstrument) -> None:
    window.context.playhead.show_position(2.5)
    window.timeline.roll.setFocus()
    QTest.keyClick(window.timeline.roll, Qt.Key.Key_Space)
    assert instrument.played == [(2.5, None)]
    instrument.playhead_s = 3.25
    window.session.poll()
    assert window.context.playhead.position_s == 3.25
    QTest.keyClick(window.timeline.roll, Qt.Key.Key_Space)
    assert not instrument.is_playing
    window.actions_table["stop"].trigger()
    assert window.context.playhead.position_s == 0.0


def test_dragging_in_the_ruler_loops_and_clicking_seeks(window: MainWindow, instrument: FakeInstrument) -> None:
    ruler, view = window.timeline.ruler, window.context.axis.view
    left, right = QPoint(round(view.x_of(1.0)), 8), QPoint(round(view.x_of(3.0)), 8)
    QTest.mousePress(ruler, Qt.MouseButton.LeftButton, pos=left)
    QTest.mouseMove(ruler, right)
    QTest.mouseRelease(ruler, Qt.MouseButton.LeftButton, pos=right)
    loop = window.context.playhead.loop
    assert loop == (pytest.approx(1.0, abs=0.02), pytest.approx(3.0, abs=0.02))
    assert window.actions_table["loop"].isChecked()
    window.actions_table["play"].trigger()
    assert instrument.played[-1][1] == loop
    QTest.mouseClick(ruler, Qt.MouseButton.LeftButton, pos=QPoint(round(view.x_of(2.0)), 8))
    assert instrument.played[-1][0] == pytest.approx(2.0, abs=0.02)


def test_playhead_leaving_the_view_turns_the_page(window: MainWindow, instrument: FakeInstrument) -> None:
    window.context.axis.fit(0.0, 2.0)
    window.actions_table["play"].trigger()
    instrument.playhead_s = 5.0
    window.session.poll()
    assert window.context.axis.view.start_s <= 5.0 <= window.context.axis.view.end_s


def test_an_edit_is_rendered_once_in_the_chosen_quality(
    window: MainWindow, instrument: FakeInstrument, qtbot: QtBot
) -> None:
    window.session.set_quality("live")
    count = len(instrument.rendered)
    drag(lane_of(window, "fry"), [(1.0, 0.2), (1.5, 0.6), (2.0, 0.4)])
    qtbot.waitUntil(lambda: len(instrument.rendered) == count + 1, timeout=2000)
    assert instrument.rendered[-1] == (window.document.passage, "live")


def test_progress_is_shown_and_can_be_cancelled(window: MainWindow, instrument: FakeInstrument) -> None:
    instrument.queue.append(RenderProgress(1, 3, 10, 4.2, 12.0))
    window.session.poll()
    assert "3/10" in window.status.state_text
    assert "4 s left" in window.status.state_text
    window.status.cancel_requested.emit()
    assert instrument.cancelled == 1


def test_faults_appear_in_one_line_with_their_remedy(window: MainWindow, instrument: FakeInstrument) -> None:
    assert not window.notice.isVisible()
    instrument.queue.append(RenderFailed(1, "The sampler stopped.", "Edit to start it again.", "a trace"))
    window.session.poll()
    assert window.notice.isVisible()
    assert window.notice.text == "The sampler stopped. Edit to start it again."
    instrument.queue.append(EngineFailed("There are no weights.", "Run make setup."))
    window.session.poll()
    assert window.notice.text.startswith("There are no weights.")
    assert window.status.state_text == "No model"


def test_measured_curve_is_drawn_and_follows_the_measurement(window: MainWindow, instrument: FakeInstrument) -> None:
    view = lane_of(window, "roughness")
    window.session.poll()
    without = picture(view)
    instrument.queue.append(measured_flat("roughness", 0.9))
    window.session.poll()
    high = picture(view)
    instrument.queue.append(measured_flat("roughness", 0.1))
    window.session.poll()
    low = picture(view)

    def changed_rows(image: np.ndarray) -> np.ndarray:
        return np.flatnonzero((image != without).any(axis=(1, 2)))

    scale = view.scale()
    assert abs(np.median(changed_rows(high)) - scale.y_of(0.9)) < 3
    assert abs(np.median(changed_rows(low)) - scale.y_of(0.1)) < 3


def test_header_tells_the_error_in_the_lanes_unit(window: MainWindow, instrument: FakeInstrument, qtbot: QtBot) -> None:
    row = window.timeline.stack.row("loudness")
    assert row is not None
    asked = window.context.asked.values("loudness")
    times_s = window.context.asked.times_s().astype(np.float32)
    instrument.queue.append(Measured(1, {"loudness": (times_s, asked + np.float32(2.5))}))
    window.session.poll()
    qtbot.waitUntil(lambda: row.error_text == "Δ 2.5 dB", timeout=2000)


def test_waveform_and_spectrogram_follow_the_sound(
    window: MainWindow, instrument: FakeInstrument, qtbot: QtBot
) -> None:
    n_samples = 8 * SAMPLE_RATE_HZ
    instrument.sound = np.zeros((n_samples, 2), dtype=np.float32)
    instrument.queue.append(AudioChanged(1, 0.0, 8.0))
    window.session.poll()
    spectrogram = window.timeline.spectrogram
    qtbot.waitUntil(lambda: not spectrogram.is_busy, timeout=5000)
    silent = picture(spectrogram), picture(window.timeline.waveform)
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)
    instrument.sound[2 * SAMPLE_RATE_HZ : 3 * SAMPLE_RATE_HZ] = tone[:, None]
    instrument.queue.append(AudioChanged(1, 2.0, 3.0))
    window.session.poll()
    qtbot.waitUntil(lambda: not spectrogram.is_busy, timeout=5000)
    qtbot.wait(30)
    view = window.context.axis.view
    for before, strip in zip(silent, (spectrogram, window.timeline.waveform), strict=True):
        columns = np.flatnonzero((before != picture(strip)).any(axis=(0, 2)))
        assert columns.min() >= view.x_of(1.9)
        assert columns.max() <= view.x_of(3.1)
        assert len(columns) > 0.9 * view.px_per_s


def test_choosing_a_preset_is_one_undoable_step_and_reaches_the_keyboard(
    window: MainWindow, instrument: FakeInstrument
) -> None:
    panel = window.preset_panel
    panel.search.setText("breath")
    assert panel.visible_names() == ["Whisper"]
    place = panel.list.visualRect(panel.list.presets.place_of("whisper")).center()
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert window.document.voice.preset == "whisper"
    assert instrument.live_preset is not None
    assert instrument.live_preset.id == "whisper"
    window.document.undo()
    assert window.document.voice.preset == "growl"


def test_on_screen_keyboard_plays_with_mouse_and_keys(window: MainWindow, instrument: FakeInstrument) -> None:
    window.actions_table["keyboard"].trigger()
    keyboard = window.keyboard
    assert keyboard.isVisible()
    keyboard.setFocus()
    QTest.keyPress(keyboard, Qt.Key.Key_A)
    QTest.keyRelease(keyboard, Qt.Key.Key_A)
    assert instrument.notes == [("on", 60.0), ("off", 60.0)]
    QTest.mousePress(keyboard, Qt.MouseButton.LeftButton, pos=QPoint(3, 80))
    QTest.mouseRelease(keyboard, Qt.MouseButton.LeftButton, pos=QPoint(3, 80))
    assert instrument.notes[2:] == [("on", 36.0), ("off", 36.0)]
    QTest.keyPress(keyboard, Qt.Key.Key_S)
    keyboard.clearFocus()
    assert instrument.notes[-1] == ("off", 62.0)
    window.actions_table["panic"].trigger()
    assert instrument.panics == 1


def test_save_open_round_trip_recent_files_and_title(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drag(lane_of(window, "fry"), [(1.0, 0.2), (2.0, 0.6)])
    assert window.isWindowModified()
    path = tmp_path / "song.stridor"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    window.actions_table["save"].trigger()
    assert not window.isWindowModified()
    assert window.windowTitle().startswith("song[*]")
    assert load_passage(path) == window.document.passage
    saved = window.document.passage
    window.actions_table["new"].trigger()
    assert window.document.passage.voices[0].notes == ()
    window.menus.recent.aboutToShow.emit()
    window.menus.recent.actions()[0].trigger()
    assert window.document.passage == saved
    assert window.parts.store.settings.recent_files[0] == str(path)


@pytest.mark.parametrize(
    ("answer", "stays"),
    [(QMessageBox.StandardButton.Cancel, True), (QMessageBox.StandardButton.Discard, False)],
)
def test_unsaved_changes_are_asked_about(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, answer: QMessageBox.StandardButton, stays: bool
) -> None:
    drag(lane_of(window, "fry"), [(1.0, 0.2), (2.0, 0.6)])
    edited = window.document.passage
    monkeypatch.setattr(QMessageBox, "exec", lambda _box: answer)
    window.actions_table["new"].trigger()
    assert (window.document.passage == edited) is stays


def test_an_opened_passage_is_shown_whole(window: MainWindow) -> None:
    window.document.open(Passage(37.0), None)
    view = window.context.axis.view
    assert view.start_s == 0.0
    assert 37.0 <= view.end_s <= 40.0


def test_broken_files_are_told_and_leave_the_passage(window: MainWindow, tmp_path: Path) -> None:
    before = window.document.passage
    path = tmp_path / "broken.stridor"
    path.write_text('{"revision": 1, "duration_s": -3}')
    assert not window.files.open_file(path)
    assert window.document.passage == before
    assert "broken.stridor" in window.notice.text
    assert not window.files.open_file(tmp_path / "gone.mid")
    assert window.document.passage == before


def test_a_dropped_midi_file_becomes_notes(window: MainWindow, tmp_path: Path) -> None:
    file = mido.MidiFile()
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.Message("note_on", note=64, velocity=90, time=0))
    track.append(mido.Message("note_off", note=64, time=480))
    path = tmp_path / "tune.mid"
    file.save(path)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(300, 300), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    window.dropEvent(event)
    assert [note.note for note in window.document.voice.notes] == [64.0]
    assert window.isWindowModified()


def test_recordings_are_extracted_and_opened(window: MainWindow, instrument: FakeInstrument, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    window.files.open_file(path)
    assert instrument.extracted == [path]
    heard = Passage(3.0, voices=(Voice(notes=(Note(0.5, 1.0, 50.0),)),))
    instrument.queue.append(Extracted(heard, path))
    window.session.poll()
    assert window.document.passage == heard


def test_export_uses_the_export_quality(
    window: MainWindow, instrument: FakeInstrument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "out"), "FLAC (*.flac)"))
    window.actions_table["export"].trigger()
    assert instrument.exported == [(tmp_path / "out.flac", "final")]


def test_unsaved_work_is_kept_and_offered_again(window: MainWindow, tmp_path: Path) -> None:
    drag(lane_of(window, "fry"), [(1.0, 0.2), (2.0, 0.6)])
    window.files.keep_recovery()
    assert list((tmp_path / "recovery").iterdir())
    window.document.undo()
    window.files.keep_recovery()
    assert not list((tmp_path / "recovery").iterdir())


def test_themes_switch_at_once_and_are_remembered(window: MainWindow) -> None:
    assert window.context.theme.colours == DARK
    dark = picture(window.timeline.roll).mean()
    window.actions_table["theme_light"].trigger()
    assert window.context.theme.colours == LIGHT
    assert picture(window.timeline.roll).mean() > dark + 80
    assert window.parts.store.settings.theme == "light"
    window.context.theme.choose(ThemeChoice.DARK)
    assert picture(window.timeline.roll).mean() < dark + 20


def test_lanes_are_shown_hidden_folded_and_reordered(window: MainWindow) -> None:
    stack = window.timeline.stack
    stack.set_shown("technique.scream", True)
    assert stack.rows()[-1].spec.id == "technique.scream"
    stack.move_lane("technique.scream", -10)
    assert stack.rows()[0].spec.id == "technique.scream"
    stack.set_shown("fry", False)
    assert stack.row("fry") is None
    row = stack.rows()[0]
    row.set_collapsed(True)
    assert row.height() == 24
    row.set_collapsed(False)
    row.set_height(200)
    assert row.height() == 200
    drag(row.view, [(1.0, 0.2), (2.0, 0.9)])
    assert "technique.scream" in window.document.voice.lanes


def test_preferences_choose_devices(window: MainWindow, instrument: FakeInstrument) -> None:
    dialog = PreferencesDialog(instrument, window.parts.store, window.context.theme, window)
    dialog.output.setCurrentIndex(1)
    dialog.output.activated.emit(1)
    dialog.midi.setCurrentIndex(1)
    dialog.midi.activated.emit(1)
    assert (instrument.output, instrument.midi) == ("card", "Controller")
    assert window.parts.store.settings.output_device == "card"
    dialog.deleteLater()


def test_every_shortcut_is_listed_and_unique(window: MainWindow) -> None:
    dialog = ShortcutsDialog(window)
    assert dialog.table.rowCount() > 30
    keys = [keys.toString() for action in window.actions_table.all() for keys in action.shortcuts()]
    assert len(keys) == len(set(keys))
    dialog.deleteLater()


def test_controls_have_accessible_names(window: MainWindow) -> None:
    silent = [
        type(widget).__name__
        for widget in window.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and widget.isVisibleTo(window)
        and not (widget.accessibleName() or getattr(widget, "text", str)())
        and not widget.inherits("QSplitter")
        and type(widget).__name__ in ("Chooser", "QToolButton", "QLineEdit", "LaneView", "RollView", "QListWidget")
    ]
    assert not silent


def test_follow_system_is_the_default(make_window: Callable[..., MainWindow]) -> None:
    window = make_window(Passage(2.0), Settings())
    assert window.actions_table["theme_system"].isChecked()
    assert window.document.voice.name == "Voice 1"


def test_save_failure_keeps_the_work(window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drag(lane_of(window, "fry"), [(1.0, 0.2), (2.0, 0.6)])
    missing = tmp_path / "no" / "where.stridor"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(missing), ""))
    window.actions_table["save"].trigger()
    assert window.isWindowModified()
    assert window.notice.isVisible()
