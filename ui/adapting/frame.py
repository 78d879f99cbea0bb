"""What is around the wizard's pages: where one is above, what is wrong below that, Back and Next at the foot."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from ui.adapting.page import MARGIN_PX, Page
from ui.panels.notice import NoticeBar
from ui.styled import label
from ui.theme import Theme


class PageFrame(QWidget):
    """Shows one page at a time; what the buttons do is the wizard's affair."""

    def __init__(self, pages: Sequence[Page], theme: Theme) -> None:
        super().__init__()
        self._pages, self._theme = tuple(pages), theme
        self.notice = NoticeBar(theme)
        self.stack = QStackedWidget()
        self._steps = [label(page.step, "faint") for page in pages]
        self.back = QPushButton("&Back")
        self.next = QPushButton("&Next")
        self._why = label("", "faint")
        self._arrange()

    @property
    def index(self) -> int:
        """Of the page that is shown."""
        return self.stack.currentIndex()

    @property
    def page(self) -> Page:
        """The one that is shown."""
        return self._pages[self.index]

    def show_page(self, index: int) -> None:
        """Turn to a page; what was wrong on the one before is forgotten."""
        self.stack.setCurrentIndex(index)
        self.notice.hide()
        colours = self._theme.colours
        for place, words in enumerate(self._steps):
            shade = colours.text if place == index else colours.text_faint
            words.setStyleSheet(f"color: {shade}; font-weight: {600 if place == index else 400}; font-size: 11px")
        self.page.entered()

    def show_buttons(self, *, can_go_back: bool) -> None:
        """Next as the page says; Back where there is a page before."""
        trouble = self.page.trouble
        self.next.setText(self.page.next_title)
        self.next.setEnabled(not trouble)
        self.next.setDefault(not trouble)
        self.back.setEnabled(can_go_back and self.index > 0)
        self._why.setText(trouble)

    def _arrange(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(MARGIN_PX, 14, MARGIN_PX, 0)
        head.setSpacing(8)
        for place, words in enumerate(self._steps):
            if place:
                head.addWidget(label("›", "faint"))
            head.addWidget(words)
        head.addStretch(1)
        foot = QHBoxLayout()
        foot.setContentsMargins(MARGIN_PX, 6, MARGIN_PX, 16)
        foot.setSpacing(8)
        foot.addWidget(self._why, 1)
        foot.addWidget(self.back)
        foot.addWidget(self.next)
        self.back.setAutoDefault(False)
        for page in self._pages:
            self.stack.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.notice)
        column.addWidget(self.stack, 1)
        column.addLayout(foot)
