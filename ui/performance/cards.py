"""Cards of figures: a title, and lines of name, value and, where it helps, a bar. Only changes are drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from ui.performance.figures import UNKNOWN, Figure, Tone
from ui.styled import label, styled
from ui.theme import Theme, ui_font

_BAR_WIDTH_PX = 72
_BAR_HEIGHT_PX = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a card. `key` names its figure; `tip` says what it means."""

    key: str
    title: str
    tip: str
    has_bar: bool = False


class Value(QWidget):
    """A figure's text in its tone's colour, for eyes and screen readers.

    A label would have the whole page laid out anew at every change; this one only grows.
    """

    def __init__(self, theme: Theme, title: str, *, size_px: int = 12, bold: bool = False, words: str = "") -> None:
        """words   dim, behind the figure, which then stands to the left"""
        super().__init__()
        self._theme, self._title, self._words = theme, title, words
        self._figure = Figure(UNKNOWN, Tone.FAINT)
        self._font = ui_font(size_px=size_px, bold=bold)
        self._widest_px = 0
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"{title}: {UNKNOWN}")
        self._grow()
        theme.changed.connect(self.update)

    def text(self) -> str:
        """As it is shown."""
        return self._figure.text

    def show_figure(self, figure: Figure) -> None:
        """Nothing happens where it reads as before."""
        if (figure.text, figure.tone) != (self._figure.text, self._figure.tone):
            self._figure = figure
            self.setAccessibleName(f"{self._title}: {figure.text}")
            self._grow()
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._widest_px, QFontMetrics(self._font).height() + 1)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self._font)
        painter.setPen(QColor(getattr(self._theme.colours, self._figure.tone.value)))
        right, left, middle = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignVCenter
        painter.drawText(self.rect(), (left if self._words else right) | middle, self._figure.text)
        if self._words:
            metrics = QFontMetrics(self._font)
            baseline = (self.height() + metrics.ascent() - metrics.descent()) / 2
            painter.setFont(ui_font(size_px=11))
            painter.setPen(QColor(self._theme.colours.text_dim))
            painter.drawText(QPointF(metrics.horizontalAdvance(self._figure.text) + 9, baseline), self._words)
        painter.end()

    def _grow(self) -> None:
        width = QFontMetrics(self._font).horizontalAdvance(self._figure.text) + 1
        if self._words:
            width += QFontMetrics(ui_font(size_px=11)).horizontalAdvance(self._words) + 10
        if width > self._widest_px:
            self._widest_px = width
            self.updateGeometry()


class Bar(QWidget):
    """A share as a bar; hollow where it is not known."""

    def __init__(self, theme: Theme, *, width_px: int | None = _BAR_WIDTH_PX) -> None:
        super().__init__()
        self._theme = theme
        self._share: float | None = None
        self._tone = Tone.PLAIN
        if width_px is None:
            self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            self.setFixedHeight(_BAR_HEIGHT_PX + 4)
        else:
            self.setFixedSize(width_px, _BAR_HEIGHT_PX + 4)
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(_BAR_WIDTH_PX, _BAR_HEIGHT_PX + 4)

    def show_figure(self, figure: Figure) -> None:
        """Repaints where a pixel differs."""
        width = max(self.width(), 1)
        before = None if self._share is None else round(self._share * width)
        after = None if figure.share is None else round(figure.share * width)
        if (before, self._tone) != (after, figure.tone):
            self._share, self._tone = figure.share, figure.tone
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        top = (self.height() - _BAR_HEIGHT_PX) / 2
        painter.setBrush(QColor(colours.hover))
        painter.drawRoundedRect(QRectF(0, top, self.width(), _BAR_HEIGHT_PX), 2, 2)
        if self._share:
            shade = colours.accent if self._tone in (Tone.PLAIN, Tone.FAINT) else getattr(colours, self._tone.value)
            painter.setBrush(QColor(shade))
            painter.drawRoundedRect(QRectF(0, top, max(self.width() * self._share, 3.0), _BAR_HEIGHT_PX), 2, 2)
        painter.end()


class Card(QFrame):
    """A titled box. `column` takes what a kind of card adds below the title."""

    def __init__(self, title: str) -> None:
        super().__init__()
        styled(self, "card")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setAccessibleName(title)
        self.head = QHBoxLayout()
        self.head.addWidget(label(title.upper(), "section"))
        self.head.addStretch(1)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(14, 11, 14, 12)
        self.column.setSpacing(7)
        self.column.addLayout(self.head)


class FigureCard(Card):
    """Lines of figures, the first of them large where `leading` says so."""

    def __init__(self, theme: Theme, title: str, lines: Sequence[Line], *, leading: str = "") -> None:
        super().__init__(title)
        self.values: dict[str, Value] = {}
        self._bars: dict[str, Bar] = {}
        if leading:
            self._add_leading(theme, lines[0], leading)
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(1, 1)
        for row, line in enumerate(lines[1:] if leading else lines):
            name = label(line.title, "dim")
            name.setToolTip(line.tip)
            value = self.values[line.key] = Value(theme, line.title)
            value.setToolTip(line.tip)
            grid.addWidget(name, row, 0)
            grid.addWidget(value, row, 2)
            if line.has_bar:
                bar = self._bars[line.key] = Bar(theme)
                grid.addWidget(bar, row, 1, Qt.AlignmentFlag.AlignRight)
        self.column.addLayout(grid)
        self.column.addStretch(1)

    def show_figures(self, figures: Mapping[str, Figure]) -> None:
        """Take up those that this card has."""
        for key, value in self.values.items():
            value.show_figure(figures[key])
        for key, bar in self._bars.items():
            bar.show_figure(figures[key])

    def _add_leading(self, theme: Theme, line: Line, words: str) -> None:
        value = self.values[line.key] = Value(theme, line.title, size_px=26, bold=True, words=words)
        value.setToolTip(line.tip)
        self.column.addWidget(value)
