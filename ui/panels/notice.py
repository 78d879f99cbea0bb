"""One line of trouble or news, with its remedy; details on demand."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ui.icons import icon
from ui.theme import Theme


class NoticeBar(QFrame):
    """Hidden until something is told; stays until closed or replaced."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._theme = theme
        self._details = ""
        self._text = QLabel("")
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setWordWrap(True)
        self._text.setAccessibleName("Notice")
        self._more = QToolButton()
        self._more.setText("Details…")
        self._more.clicked.connect(self._show_details)
        self._close = QToolButton()
        self._close.setToolTip("Dismiss")
        self._close.setAccessibleName("Dismiss notice")
        self._close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 8, 6)
        row.addWidget(self._text, 1)
        row.addWidget(self._more)
        row.addWidget(self._close)
        theme.changed.connect(self._show_icon)
        self._show_icon()
        self.hide()

    @property
    def text(self) -> str:
        """What is shown, without markup."""
        return self._plain

    def tell(self, message: str, remedy: str, details: str, is_fault: bool) -> None:
        """Show a line; `details` behind a button."""
        self._plain = f"{message} {remedy}".strip()
        self._details = details
        dim = self._theme.colours.text_dim
        self._text.setTextFormat(Qt.TextFormat.RichText)
        self._text.setText(f"<b>{_escaped(message)}</b>&nbsp; <span style='color:{dim}'>{_escaped(remedy)}</span>")
        self._more.setVisible(bool(details))
        self.setProperty("tone", "fault" if is_fault else "info")
        self.style().unpolish(self)
        self.style().polish(self)
        self.show()

    _plain = ""

    def _show_icon(self) -> None:
        self._close.setIcon(icon("close", self._theme.colours.text_dim))

    def _show_details(self) -> None:
        dialog = QDialog(self.window())
        dialog.setWindowTitle("Details")
        dialog.resize(680, 360)
        text = QPlainTextEdit(f"{self._plain}\n\n{self._details}")
        text.setReadOnly(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        column = QVBoxLayout(dialog)
        column.addWidget(text)
        column.addWidget(buttons)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
