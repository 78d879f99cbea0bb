"""The drawing of `stridor bench editor`: real strokes in a real window, on an instrument that does nothing."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent
from pytestqt.qtbot import QtBot

from app.commands.bench_editor import draw_strokes
from app.commands.evaluate_edits import gesture_passage
from app.store.recovery import RecoveryFile
from app.store.settings import Settings
from tests.ui.fake_instrument import FakeInstrument
from ui.application import build_window


def test_strokes_are_drawn_and_frames_are_counted(qtbot: QtBot, tmp_path: Path) -> None:
    passage = gesture_passage(30.0)
    recovery = RecoveryFile(tmp_path / "recovery")
    window = build_window(FakeInstrument(), Settings(), passage, save=lambda _: None, recovery=recovery)
    window.show()
    try:
        report = draw_strokes(window, 0.5, 30.0, "offscreen")
        drawn = window.document.passage
    finally:
        window.document.open(passage, None)  # nothing is unsaved when it closes
        window.session.stop()
        window.close()
        window.deleteLater()
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert report.n_strokes >= 1
    assert report.drawn_s >= 0.5
    assert report.frames["n_frames"] > 5
    assert report.frames["paint_95_ms"] > 0.0
    assert drawn.voices[0].lanes["loudness"] != passage.voices[0].lanes["loudness"]
