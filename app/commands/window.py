"""`stridor` without a command: the window, or where there is no display, the demo passage as a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.display import display_trouble
from app.report import CrashMarker, Fault, install_hooks, line_for, log_folder
from synth.errors import UserError

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from app.store.settings import LoadedSettings


def open_window(passage: Path | None = None, *, or_demo: bool = False, log_file: Path | None = None) -> int:
    """Open the window and stay until it is closed. -> exit status. Raises UserError where there is no display."""
    trouble = display_trouble()
    if trouble and or_demo:
        return _demo_instead(trouble)
    if trouble:
        remedy = "Use `stridor render`, or `stridor doctor` to see what is missing."
        raise UserError(trouble, remedy=remedy)

    from app.commands.instrument import make_instrument
    from app.store.packs.factory import install_factory_packs
    from app.store.settings import load_settings
    from ui.application import make_application, run_window

    marker = CrashMarker(log_folder())
    loaded = load_settings()
    install_factory_packs()
    application = make_application()
    install_hooks(_tell_faults(application, log_file))
    _tell_when_shown(application, marker, loaded)
    marker.start()
    try:
        settings = loaded.settings
        instrument = make_instrument(device=settings.compute_device, output_device=settings.output_device)
        return run_window(instrument, settings, passage)
    finally:
        marker.close()


def _demo_instead(trouble: str) -> int:
    from app.commands.demo import render_demo

    print(f"{trouble} Rendering the demo passage instead of opening the window.", flush=True)
    sound, picture = render_demo(Path.cwd())
    print(f"Listen to {sound}")
    print(f"Its curves, asked and measured: {picture}")
    return 0


def _tell(message: str, remedy: str, details: str, *, is_fault: bool) -> None:
    """Put one line into the window's notice bar. Main thread only."""
    from PySide6.QtWidgets import QApplication

    from ui.window import MainWindow

    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, MainWindow):
            widget.session.told.emit(message, remedy, details, is_fault)


def _tell_faults(application: QApplication, log_file: Path | None) -> Callable[[Fault], None]:
    """What to do with an unhandled exception of any thread: say so in the window, on the window's thread."""
    from PySide6.QtCore import QObject, Qt, Signal

    class Teller(QObject):
        """Carries a fault from the thread it happened on to the window's."""

        happened = Signal(object)

    teller = Teller(application)

    def tell(fault: Fault) -> None:
        _tell(fault.message, line_for(fault, log_file).removeprefix(fault.message), fault.details, is_fault=True)

    teller.happened.connect(tell, Qt.ConnectionType.QueuedConnection)

    def on_fault(fault: Fault) -> None:
        sys.stderr.write(f"stridor: {line_for(fault, log_file)}\n")
        teller.happened.emit(fault)

    return on_fault


def _tell_when_shown(application: QApplication, marker: CrashMarker, loaded: LoadedSettings) -> None:
    """Once the window is there: settings that could not be used, and crashes since the last start."""
    from PySide6.QtCore import QTimer

    crashes = marker.earlier_crashes()

    def tell() -> None:
        if loaded.fault is not None:
            _tell(loaded.fault.message, loaded.fault.remedy, "", is_fault=True)
        for crash in crashes:
            words = f"Stridor ended unexpectedly on {crash.when}."
            _tell(words, f"What is known is in {crash.kept_at}.", crash.trace, is_fault=False)

    QTimer.singleShot(0, application, tell)
