"""The bar at the top: tools, transport, clock, render state, level."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QFontDatabase, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QWidget

from app.services import EngineReady
from ui.actions import Actions
from ui.formats import clock_label
from ui.panels.meter import LevelMeter
from ui.styled import Chooser, label
from ui.theme import Theme

QUALITIES = (("live", "Live"), ("draft", "Draft"), ("final", "Final"))
_METER_FROM_PX = 1000
TOOL_COMMANDS = ("pen", "line", "erase", "select", "note")


def command_button(action: QAction, *, grouped: bool = False) -> QToolButton:
    """A button for a command, named for screen readers."""
    button = QToolButton()
    button.setDefaultAction(action)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
    button.setIconSize(QSize(18, 18))
    button.setAccessibleName(action.text())
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setFixedSize(32, 30)
    if grouped:
        button.setObjectName("group")
    return button


class TransportBar(QFrame):
    """Emits only what the user does; shows what it is told."""

    quality_chosen = Signal(str)

    def __init__(self, actions: Actions, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self.meter = LevelMeter(theme)
        self._clock = label(clock_label(0.0), "clock")
        self._clock.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._clock.setMinimumWidth(104)
        self._clock.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._clock.setAccessibleName("Playhead position")
        self._under_runs = label("", "faint")
        self._under_runs.setToolTip("Blocks the sound card did not get in time since the start")
        self._quality = Chooser()
        self._quality.setToolTip("Quality of background renders")
        self._quality.setAccessibleName("Render quality")
        for value, title in QUALITIES:
            self._quality.addItem(title, value)
        self._quality.activated.connect(lambda _index: self.quality_chosen.emit(self._quality.currentData()))
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 7, 12, 7)
        row.setSpacing(4)
        self.tool_group = QActionGroup(self)
        for name in TOOL_COMMANDS:
            self.tool_group.addAction(actions[name])
            row.addWidget(command_button(actions[name], grouped=True))
        row.addSpacing(6)
        row.addWidget(command_button(actions["snap"]))
        row.addSpacing(10)
        row.addWidget(command_button(actions["undo"]))
        row.addWidget(command_button(actions["redo"]))
        row.addStretch(1)
        for name in ("rewind", "stop", "play", "loop", "follow"):
            row.addWidget(command_button(actions[name]))
        row.addSpacing(8)
        row.addWidget(self._clock)
        row.addStretch(1)
        row.addWidget(self._quality)
        row.addSpacing(10)
        row.addWidget(self.meter)
        row.addWidget(self._under_runs)
        row.addSpacing(8)
        for name in ("panic", "performance", "keyboard", "side"):
            row.addWidget(command_button(actions[name]))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.meter.setVisible(event.size().width() >= _METER_FROM_PX)  # commands come first

    def show_position(self, t_s: float) -> None:
        """The clock."""
        self._clock.setText(clock_label(t_s))

    def show_quality(self, quality: str) -> None:
        """The chosen quality."""
        self._quality.setCurrentIndex(max(self._quality.findData(quality), 0))

    def show_under_runs(self, count: int) -> None:
        """The counter, silent at 0."""
        self._under_runs.setText(f"{count} under-run{'s' if count != 1 else ''}" if count else "")


def engine_label(event: EngineReady) -> str:
    """What the status line says of the model."""
    return f"{event.device} · model {event.weights_hash[:8]}"
