"""Adapting from the window: what is dropped on it, what becomes of a preset, what was left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QMessageBox

from app.services.adapting import (
    AdaptRequest,
    Unfinished,
)
from app.state.preset import Preset
from app.store.presets import save_preset
from tests.ui.fake_desk import FakeDesk
from tests.ui.fake_instrument import FakeInstrument
from ui.window import MainWindow


def test_a_folder_dropped_on_the_window_opens_the_wizard(
    window: MainWindow, instrument: FakeInstrument, tmp_path: Path
) -> None:
    def drop(*paths: Path) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        copying, left, plain = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        window.dropEvent(QDropEvent(QPointF(300, 300), copying, data, left, plain))

    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "note.txt").write_text("la")
    drop(tmp_path / "words")
    assert window.adapting.wizard is None, "there is no sound in it"
    (tmp_path / "takes").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "takes" / name).write_bytes(b"")
    drop(tmp_path / "takes" / "a.wav")
    assert instrument.extracted == [tmp_path / "takes" / "a.wav"], "one file alone becomes a passage"
    drop(tmp_path / "takes")
    wizard = window.adapting.wizard
    assert wizard is not None
    assert wizard.isVisible()
    assert wizard.recordings.paths == [tmp_path / "takes"]
    drop(tmp_path / "takes" / "a.wav", tmp_path / "takes" / "b.wav")
    assert len(wizard.recordings.paths) == 3


def test_what_was_made_is_chosen_and_heard(
    window: MainWindow, instrument: FakeInstrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.actions_table["adapt"].trigger()
    wizard = window.adapting.wizard
    assert wizard is not None
    save_preset(Preset("hers", "Hers", technique={"growl": 1.0}))
    wizard.made.emit("hers")
    assert window.document.voice.preset == "hers"
    wizard.sing_asked.emit()
    assert instrument.live_preset is not None
    assert instrument.live_preset.id == "hers"
    wizard.play_asked.emit(np.zeros(480, dtype=np.float32))
    assert [len(sound) for sound in instrument.sounds] == [480]
    window.audition.stop()
    desk = window.adapting.desk
    assert isinstance(desk, FakeDesk)
    desk.left = [Unfinished(Path("/runs/x"), AdaptRequest((Path("/takes"),), "growl", name="Hers"), 0.0)]
    window.adapting.tell_unfinished()
    assert window.notice.text.startswith("Unfinished adaptation found: Hers.")
    desk.is_training = True
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Cancel)
    window.document.history.mark_saved()
    assert not window.close()
    desk.is_training = False
