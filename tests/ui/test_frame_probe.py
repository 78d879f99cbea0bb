"""The probe counts what is painted and how late the event loop comes."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from ui.window import MainWindow


def test_probe_sees_paints_and_a_blocked_event_loop(window: MainWindow, qtbot: QtBot) -> None:
    probe = window.context.probe
    probe.start()
    for step in range(5):
        window.context.playhead.show_position(step * 0.5)
        qtbot.wait(10)
    QTimer.singleShot(0, lambda: time.sleep(0.15))
    qtbot.wait(250)
    figures = probe.stop()
    assert figures.n_frames >= 3
    assert figures.paint_worst_ms > 0
    assert figures.latency_worst_ms > 100
    assert set(figures.as_dict()) >= {"paint_95_ms", "interval_95_ms", "latency_95_ms"}
