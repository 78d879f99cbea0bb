"""What every page of the wizard has."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QScrollArea, QVBoxLayout, QWidget

from ui.styled import label
from ui.theme import Theme

MARGIN_PX = 22


class Page(QWidget):
    """One page: a heading, a line below it, what the page is about.

    changed   whether one may go on has changed, or the words beside the buttons
    told      (message, remedy, is_fault) for the wizard's notice
    """

    changed = Signal()
    told = Signal(str, str, bool)

    heading = ""
    step = ""  # a word for the row of steps
    next_title = "Next"

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.lead = wrapped("", "dim")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(MARGIN_PX, 14, MARGIN_PX, 10)
        self.column.setSpacing(10)
        self.column.addWidget(label(self.heading, "heading"))
        self.column.addWidget(self.lead)

    @property
    def trouble(self) -> str:
        """Why one may not go on yet; "" when one may."""
        return ""

    def entered(self) -> None:
        """The page is shown."""


def wrapped(text: str, name: str = "") -> QLabel:
    """A label whose words go on in the next line, as plain text."""
    words = label(text, name) if name else QLabel(text)
    words.setWordWrap(True)
    words.setTextFormat(Qt.TextFormat.PlainText)
    return words


def scrolled(inner: QWidget) -> QScrollArea:
    """`inner` with a scroll bar where it is too tall."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setObjectName("page")
    area.viewport().setObjectName("page")
    inner.setObjectName("page")
    area.setWidget(inner)
    return area


def clock(seconds: float) -> str:
    """125 -> 2:05"""
    whole = max(round(seconds), 0)
    return f"{whole // 60}:{whole % 60:02d}"
