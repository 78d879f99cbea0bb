"""Ruler, roll, lanes, waveform and spectrogram over one time axis."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollBar, QSplitter, QToolButton, QVBoxLayout, QWidget

from synth.spec import Float32Array, lane
from ui.canvas.context import CanvasContext
from ui.canvas.key_gutter import KEY_GUTTER_WIDTH_PX, KeyGutter
from ui.canvas.lane_row import GUTTER_WIDTH_PX
from ui.canvas.lane_stack import LaneStack
from ui.canvas.roll_view import RollView
from ui.canvas.ruler import RULER_HEIGHT_PX, Ruler
from ui.canvas.spectrogram import SpectrogramView
from ui.canvas.strip import Strip
from ui.canvas.waveform import WaveformView
from ui.formats import error_label, note_name
from ui.icons import icon
from ui.measured import lane_error
from ui.styled import label, styled

_SCROLL_UNIT_S = 0.01
_VERTICAL_BAR_PX = 12


class Timeline(QWidget):
    """Everything along the time axis. Scroll bar below; the roll, the lanes and the result share the height."""

    def __init__(self, context: CanvasContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = context
        self.ruler = Ruler(context)
        self.roll = RollView(context)
        self.keys = KeyGutter(context, self.roll)
        self.stack = LaneStack(context)
        self.stack.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.stack.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.waveform = WaveformView(context)
        self.spectrogram = SpectrogramView(context)
        self.lanes_button = QToolButton()
        self.lanes_button.setText(" Lanes")
        self.lanes_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.lanes_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.lanes_button.setToolTip("Show, hide and reorder lanes")
        self._pitch_value = label("", "dim")
        self._pitch_error = label("", "dim")
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.setHandleWidth(3)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(self._row(self._roll_gutter(), self.roll))
        self._splitter.addWidget(self.stack)
        self.result = QSplitter(Qt.Orientation.Vertical)
        self.result.setHandleWidth(1)
        self.result.addWidget(self._row(_caption("Result", "Waveform"), self.waveform))
        self.result.addWidget(self._row(_caption("", "Spectrogram"), self.spectrogram))
        self.result.setSizes([50, 90])
        self._splitter.addWidget(self.result)
        self._splitter.setStretchFactor(0, 4)
        self._splitter.setStretchFactor(1, 5)
        self._splitter.setStretchFactor(2, 2)
        self._splitter.setSizes([270, 380, 140])
        self._bar = QScrollBar(Qt.Orientation.Horizontal)
        self._bar.setAccessibleName("Position in the passage")
        self._bar.valueChanged.connect(self._on_bar)
        self._arrange()
        context.axis.changed.connect(self._show_axis)
        context.theme.changed.connect(self._show_icon)
        self._show_icon()
        context.document.changed.connect(lambda: context.axis.set_duration(context.document.passage.duration_s))
        context.tools.readout.connect(self._show_pitch)
        self._error_timer = QTimer(self)
        self._error_timer.setSingleShot(True)
        self._error_timer.setInterval(200)
        self._error_timer.timeout.connect(self._show_pitch_error)
        context.measured.changed.connect(self._error_timer.start)
        context.measured.stretch_changed.connect(self._on_measured)
        context.asked.changed.connect(self._error_timer.start)
        context.axis.set_duration(context.document.passage.duration_s)

    def show_audio(self, audio: Float32Array, start_s: float, end_s: float) -> None:
        """The rendered sound; [start_s, end_s) is new."""
        self.waveform.show_audio(audio, start_s, end_s)
        self.spectrogram.show_audio(audio, start_s, end_s)

    def fit(self) -> None:
        """The whole passage and the notes in use."""
        self.context.axis.set_duration(self.context.document.passage.duration_s)
        self.context.axis.fit()
        self.roll.fit_pitch()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.context.axis.set_width(self.roll_width())

    def roll_width(self) -> int:
        """Width of the strips."""
        return max(self.width() - GUTTER_WIDTH_PX - _VERTICAL_BAR_PX, 1)

    def _arrange(self) -> None:
        corner = styled(QFrame(), "lane_header")
        corner.setFixedWidth(GUTTER_WIDTH_PX)
        corner.setFixedHeight(RULER_HEIGHT_PX)
        row = QHBoxLayout(corner)
        row.setContentsMargins(6, 1, 6, 1)
        row.addWidget(self.lanes_button)
        row.addStretch(1)
        ruler = QHBoxLayout()
        ruler.setSpacing(0)
        ruler.addWidget(corner)
        ruler.addWidget(self.ruler, 1)
        ruler.addSpacing(_VERTICAL_BAR_PX)
        foot = QHBoxLayout()
        foot.addSpacing(GUTTER_WIDTH_PX)
        foot.addWidget(self._bar, 1)
        foot.addSpacing(_VERTICAL_BAR_PX)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(ruler)
        column.addWidget(self._splitter, 1)
        column.addLayout(foot)

    def _roll_gutter(self) -> QWidget:
        gutter = styled(QFrame(), "lane_header")
        gutter.setFixedWidth(GUTTER_WIDTH_PX)
        caption = QVBoxLayout()
        caption.setContentsMargins(12, 8, 8, 8)
        caption.setSpacing(2)
        title = label(lane("pitch").title, "title")
        caption.addWidget(title)
        caption.addWidget(label("notes and curve", "faint"))
        caption.addSpacing(6)
        caption.addWidget(self._pitch_value)
        caption.addWidget(self._pitch_error)
        caption.addStretch(1)
        row = QHBoxLayout(gutter)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addLayout(caption, 1)
        row.addWidget(self.keys)
        self.keys.setFixedWidth(KEY_GUTTER_WIDTH_PX)
        return gutter

    @staticmethod
    def _row(gutter: QWidget, strip: Strip) -> QWidget:
        row_widget = QWidget()
        row = QHBoxLayout(row_widget)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(gutter)
        row.addWidget(strip, 1)
        row.addSpacing(_VERTICAL_BAR_PX)
        return row_widget

    def _show_icon(self) -> None:
        self.lanes_button.setIcon(icon("lanes", self.context.theme.colours.text_dim))

    def _show_axis(self) -> None:
        view, axis = self.context.axis.view, self.context.axis
        self.context.asked.look_at(view.start_s)
        blocker = QSignalBlocker(self._bar)
        last_s = max(axis.duration_s - view.span_s * 0.75, view.start_s, 0.0)
        self._bar.setRange(0, int(last_s / _SCROLL_UNIT_S))
        self._bar.setPageStep(max(int(view.span_s / _SCROLL_UNIT_S), 1))
        self._bar.setSingleStep(max(int(view.span_s * 0.1 / _SCROLL_UNIT_S), 1))
        self._bar.setValue(int(view.start_s / _SCROLL_UNIT_S))
        blocker.unblock()

    def _on_bar(self, value: int) -> None:
        self.context.axis.scroll(value * _SCROLL_UNIT_S - self.context.axis.view.start_s)

    def _show_pitch(self, _text: str) -> None:
        hover = self.roll.hover
        self._pitch_value.setText("" if hover is None else note_name(self.roll.spec.clamp(hover.value)))

    def _on_measured(self, _start_s: float, _end_s: float) -> None:
        if not self._error_timer.isActive():  # a render measures many times a second: compare now and then
            self._error_timer.start()

    def _show_pitch_error(self) -> None:
        asked = self.context.asked
        measured = self.context.measured.curve(self.context.document.voice_index, "pitch")
        error = lane_error("pitch", asked.values("pitch"), asked.values("presence"), measured)
        self._pitch_error.setText(error_label(lane("pitch"), error))


def _caption(section: str, title: str) -> QWidget:
    gutter = styled(QFrame(), "lane_header")
    gutter.setFixedWidth(GUTTER_WIDTH_PX)
    column = QVBoxLayout(gutter)
    column.setContentsMargins(12, 6, 8, 4)
    column.setSpacing(1)
    column.addWidget(label(title, "title"))
    if section:
        column.addWidget(label("of the rendered voice", "faint"))
    column.addStretch(1)
    return gutter
