"""The Qt application around the window: building it, running it, ending it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtWidgets import QApplication

from app.services import InstrumentLike
from app.services.adapting import AdaptingDesk, AdaptingLike
from app.state.passage import Passage
from app.state.preset import Preset
from app.store.passages import load_passage
from app.store.presets import DEMO_FOLDER
from app.store.recovery import RecoveryFile
from app.store.settings import Settings, save_settings
from synth.errors import UserError
from ui.asked import AskedCurves
from ui.canvas.axis import TimeAxis
from ui.canvas.context import CanvasContext, Playhead, ToolState
from ui.document import NEW_DURATION_S, Document
from ui.frame_probe import FrameProbe
from ui.measured import MeasuredCurves
from ui.preferences_store import PreferencesStore
from ui.presets.shelf import PresetShelf
from ui.session import Session
from ui.theme import Theme, ThemeChoice, ui_font
from ui.window import MainWindow, WindowParts

_logger = logging.getLogger(__name__)

FIRST_PASSAGE = "first_breath.stridor"
# Painting gives the interpreter up at every Qt call; with the default 5 ms a busy worker takes each of them that long.
_SWITCH_INTERVAL_S = 0.0005


def make_application() -> QApplication:
    """The one QApplication of this process, with the instrument's name, style and font."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    running = QApplication.instance()
    application = running if isinstance(running, QApplication) else QApplication(["stridor"])
    application.setApplicationName("stridor")
    application.setApplicationDisplayName("Stridor")
    application.setDesktopFileName("stridor")
    application.setStyle("Fusion")
    application.setFont(ui_font())
    return application


def build_window(
    instrument: InstrumentLike,
    settings: Settings,
    passage: Passage | None = None,
    *,
    presets: Sequence[Preset] | None = None,
    path: Path | None = None,
    save: Callable[[Settings], None] = save_settings,
    recovery: RecoveryFile | None = None,
    adapting: AdaptingLike | None = None,
) -> MainWindow:
    """A window on `passage` (default: an empty one), not shown yet; `session.start()` begins polling.

    Needs a QApplication. `instrument` has been started, or will be, by whoever calls.
    """
    shelf = PresetShelf(presets)
    document = Document(Passage(NEW_DURATION_S) if passage is None else passage, shelf.preset_of)
    document.path = path
    theme = Theme(ThemeChoice(settings.theme))
    playhead, measured = Playhead(), MeasuredCurves()
    context = CanvasContext(
        document=document,
        axis=TimeAxis(),
        theme=theme,
        playhead=playhead,
        tools=ToolState(),
        asked=AskedCurves(document),
        measured=measured,
        probe=FrameProbe(),
    )
    session = Session(instrument, document, playhead, measured, quality=settings.draw_quality)
    window = MainWindow(
        WindowParts(
            instrument=instrument,
            context=context,
            session=session,
            store=PreferencesStore(settings, save),
            presets=shelf,
            recovery=RecoveryFile() if recovery is None else recovery,
            adapting=AdaptingDesk() if adapting is None else adapting,
        )
    )
    for part in (
        document,
        shelf,
        theme,
        playhead,
        measured,
        session,
        context.axis,
        context.tools,
        context.asked,
        context.probe,
    ):
        part.setParent(window)  # so that they end with it
    return window


def run_window(instrument: InstrumentLike, settings: Settings, passage_path: Path | None) -> int:
    """Show the window until it is closed. The instrument is started and closed here. -> exit status"""
    application = make_application()
    window = build_window(instrument, settings)
    instrument.set_output_device(settings.output_device)
    instrument.set_midi_input(settings.midi_input)
    instrument.start()
    try:
        window.show()
        _open_first(window, passage_path)
        window.session.start()
        window.files.start()
        if passage_path is None:
            window.files.offer_recovery()
        window.adapting.tell_unfinished()
        return application.exec()
    finally:
        window.session.stop()
        window.adapting.close()
        instrument.close()


def _open_first(window: MainWindow, passage_path: Path | None) -> None:
    """The passage asked for; else the demo, so that space makes a sound at once."""
    if passage_path is not None:
        window.files.open_file(passage_path)
        return
    try:
        window.document.open(load_passage(DEMO_FOLDER / FIRST_PASSAGE), None)
    except UserError as error:
        _logger.info("Demo passage not opened: %s", error)
