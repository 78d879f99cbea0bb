"""The output: level with a held peak, and what the hearing-safe limiter takes off."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QLinearGradient, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from app.services import LiveMeter
from ui.performance.cards import Card, Value
from ui.performance.figures import Figure, Tone
from ui.styled import label
from ui.theme import Theme, ui_font

_FLOOR_DB = -60.0
_FALL_DB = 1.4
_HOLD_PICTURES = 60
_REDUCTION_SPAN_DB = 12.0
_MARKS_DB = (-48, -36, -24, -12, -6, 0)
_BAR_PX = 9
_MINUS = "\N{MINUS SIGN}"


class OutputBars(QWidget):
    """Left, right and the limiter's reduction. Click: forget what is held."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._levels_db = [_FLOOR_DB, _FLOOR_DB]
        self.held_db = [_FLOOR_DB, _FLOOR_DB]
        self._age = [0, 0]
        self._reduction_db = 0.0
        self.most_reduced_db = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(62)
        self.setAccessibleName("Output level and limiter")
        self.setToolTip(
            "Output level, dB re full scale, with the peak held; below: what the limiter takes off. Click: reset"
        )
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(220, 62)

    def show_levels(self, levels_db: tuple[float, float], limiter_db: float) -> None:
        """The levels now; bars fall slowly, peaks are held for two seconds."""
        before = (*self._levels_db, *self.held_db, self._reduction_db)
        for channel, level_db in enumerate(levels_db):
            self._levels_db[channel] = max(level_db, self._levels_db[channel] - _FALL_DB, _FLOOR_DB)
            self._age[channel] += 1
            if level_db >= self.held_db[channel] or self._age[channel] > _HOLD_PICTURES:
                self.held_db[channel], self._age[channel] = max(level_db, _FLOOR_DB), 0
        self._reduction_db = limiter_db
        self.most_reduced_db = min(self.most_reduced_db, limiter_db)
        if before != (*self._levels_db, *self.held_db, self._reduction_db):
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.held_db = [_FLOOR_DB, _FLOOR_DB]
        self.most_reduced_db = 0.0
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = float(self.width())
        gradient = QLinearGradient(0, 0, width, 0)
        for stop, shade in ((0.0, colours.good), (0.75, colours.good), (0.9, colours.warning), (1.0, colours.danger)):
            gradient.setColorAt(stop, QColor(shade))
        painter.setPen(Qt.PenStyle.NoPen)
        for channel in range(2):
            top = channel * (_BAR_PX + 4.0)
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(QRectF(0, top, width, _BAR_PX), 3, 3)
            share = 1.0 - self._levels_db[channel] / _FLOOR_DB
            if share > 0.0:
                painter.setBrush(gradient)
                painter.drawRoundedRect(QRectF(0, top, width * min(share, 1.0), _BAR_PX), 3, 3)
            held = 1.0 - self.held_db[channel] / _FLOOR_DB
            if held > 0.0:
                painter.fillRect(QRectF(min(width * held, width - 2), top, 2, _BAR_PX), QColor(colours.text))
        painter.setFont(ui_font(size_px=9))
        painter.setPen(QColor(colours.text_faint))
        for mark_db in _MARKS_DB:
            x = width * (1.0 - mark_db / _FLOOR_DB)
            box = QRectF(x - 30, 25, 30, 12) if mark_db == 0 else QRectF(x - 15, 25, 30, 12)
            align = Qt.AlignmentFlag.AlignRight if mark_db == 0 else Qt.AlignmentFlag.AlignHCenter
            painter.drawText(box, align, str(mark_db).replace("-", _MINUS))
        self._paint_reduction(painter, width, 44.0)
        painter.end()

    def _paint_reduction(self, painter: QPainter, width: float, top: float) -> None:
        """From the right: the limiter pushes down."""
        colours = self._theme.colours
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.hover))
        painter.drawRoundedRect(QRectF(0, top, width, _BAR_PX - 2), 3, 3)
        share = min(-self._reduction_db / _REDUCTION_SPAN_DB, 1.0)
        if share > 0.0:
            painter.setBrush(QColor(colours.warning))
            painter.drawRoundedRect(QRectF(width * (1.0 - share), top, width * share, _BAR_PX - 2), 3, 3)
        most = min(-self.most_reduced_db / _REDUCTION_SPAN_DB, 1.0)
        if most > 0.0:
            painter.fillRect(QRectF(max(width * (1.0 - most) - 2, 0), top, 2, _BAR_PX - 2), QColor(colours.text))


class OutputCard(Card):
    """Level, held peak, limiter: how much it takes off, the most it took off, and how often it worked."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("Output")
        self.bars = OutputBars(theme)
        self.column.addWidget(self.bars)
        self.values: dict[str, Value] = {}
        grid = QGridLayout()
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(1, 1)
        for row, (key, title, tip) in enumerate(
            (
                ("held", "Held peak", "The loudest of the last two seconds, dB re full scale"),
                ("limiter", "Limiter takes off", "Now; and the most since the last reset"),
                ("limited blocks", "Blocks it worked in", "Since playing began"),
            )
        ):
            name = label(title, "dim")
            name.setToolTip(tip)
            value = self.values[key] = Value(theme, title)
            value.setToolTip(tip)
            grid.addWidget(name, row, 0)
            grid.addWidget(value, row, 2)
        self.column.addLayout(grid)
        self.column.addStretch(1)

    def show_levels(self, levels_db: tuple[float, float], meter: LiveMeter | None) -> None:
        """The bars, as often as there are pictures."""
        self.bars.show_levels(levels_db, 0.0 if meter is None else meter.limiter_db)

    def show_figures(self, figures: Mapping[str, Figure]) -> None:
        """The words, less often."""
        held_db = max(self.bars.held_db)
        is_silent = held_db <= _FLOOR_DB
        held = f"{held_db:.1f} dB".replace("-", _MINUS)
        self.values["held"].show_figure(Figure("silence", Tone.FAINT) if is_silent else Figure(held))
        limiter = figures["limiter"]
        if self.bars.most_reduced_db < 0.0:
            most = f"{self.bars.most_reduced_db:.1f}".replace("-", _MINUS)
            limiter = Figure(f"{limiter.text}, at most {most} dB", limiter.tone)
        self.values["limiter"].show_figure(limiter)
        self.values["limited blocks"].show_figure(figures["limited blocks"])
