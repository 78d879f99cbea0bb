"""A window on a fake instrument, closed again after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.state.passage import Lane, Note, Passage, Voice
from app.state.preset import Preset
from app.store.recovery import RecoveryFile
from app.store.settings import Settings
from tests.ui.fake_desk import FakeDesk
from tests.ui.fake_instrument import FakeInstrument
from ui.application import build_window, make_application
from ui.window import MainWindow

PRESETS = (
    Preset("growl", "Growl", tags=("low",), description="False folds.", technique={"growl": 1.0}),
    Preset("whisper", "Whisper", tags=("soft", "breath"), description="No voice.", technique={"whisper": 1.0}),
)


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    return make_application()


@pytest.fixture
def instrument() -> FakeInstrument:
    return FakeInstrument()


@pytest.fixture
def passage() -> Passage:
    notes = (Note(1.0, 1.0, 57.0), Note(2.0, 1.0, 60.0))
    return Passage(
        8.0, voices=(Voice(preset="growl", notes=notes, lanes={"roughness": Lane(((0.0, 0.2), (8.0, 0.8)))}),)
    )


@pytest.fixture
def make_window(
    qtbot: QtBot, qapp: QApplication, instrument: FakeInstrument, tmp_path: Path
) -> Iterator[Callable[..., MainWindow]]:
    """Builds shown windows; each is closed without questions and deleted."""
    windows: list[MainWindow] = []

    def make(passage: Passage, settings: Settings | None = None) -> MainWindow:
        saved: list[Settings] = []
        window = build_window(
            instrument,
            settings or Settings(theme="dark"),
            passage,
            presets=PRESETS,
            save=saved.append,
            recovery=RecoveryFile(tmp_path / "recovery"),
            adapting=FakeDesk(),
        )
        window.resize(1200, 800)
        window.show()
        qtbot.waitExposed(window)
        window.timeline.fit()
        window.context.asked.finish()
        windows.append(window)
        return window

    yield make
    for window in windows:
        window.document.history.mark_saved()
        window.close()
        window.deleteLater()
    qapp.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def window(make_window: Callable[..., MainWindow], passage: Passage) -> MainWindow:
    return make_window(passage)
