"""The on-screen keyboard: mouse, and the computer's keys while it has the focus."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from ui.canvas.roll_view import BLACK_KEYS
from ui.formats import note_name
from ui.theme import Theme, ui_font, with_alpha

LOWEST_NOTE = 36
HIGHEST_NOTE = 84
_WHITES = tuple(n for n in range(LOWEST_NOTE, HIGHEST_NOTE + 1) if n % 12 not in BLACK_KEYS)
_COMPUTER_KEYS = "awsedftgyhujkolp"  # from C upwards, as on other instruments
_DEFAULT_OCTAVE = 4


class OnScreenKeyboard(QWidget):
    """Lower on a key is louder. Z and X shift the octave. Notes end when the key, or the focus, goes."""

    note_on = Signal(float, int)
    note_off = Signal(float)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._octave = _DEFAULT_OCTAVE
        self._by_key: dict[int, int] = {}
        self._by_mouse: int | None = None
        self.setFixedHeight(92)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("On-screen keyboard")
        self.setToolTip("Mouse, or the keys A W S E D F … while the keyboard has the focus; Z and X change the octave")
        theme.changed.connect(self.update)

    @property
    def held(self) -> set[int]:
        """Notes that sound."""
        return set(self._by_key.values()) | ({self._by_mouse} if self._by_mouse is not None else set())

    def release_all(self) -> None:
        """End every note."""
        for key in list(self._by_key):
            self._release_key(key)
        self._hold_mouse(None)

    def paintEvent(self, event: QPaintEvent) -> None:
        colours = self._theme.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(colours.panel))
        painter.setFont(ui_font(size_px=10))
        held = self.held
        for note in _WHITES:
            box = self._box(note)
            painter.setPen(QPen(with_alpha("#000000", 0.28), 1))
            painter.setBrush(QColor(colours.accent) if note in held else QColor(colours.key_white))
            painter.drawRoundedRect(box, 3, 3)
            if note % 12 == 0:
                painter.setPen(QColor("#5a6170"))
                painter.drawText(
                    box.adjusted(0, 0, 0, -5),
                    Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom,
                    note_name(note),
                )
        for note in range(LOWEST_NOTE, HIGHEST_NOTE + 1):
            if note % 12 in BLACK_KEYS:
                painter.setPen(QPen(with_alpha("#000000", 0.5), 1))
                painter.setBrush(QColor(colours.accent) if note in held else QColor(colours.key_black))
                painter.drawRoundedRect(self._box(note), 2, 2)
        if self.hasFocus():
            painter.fillRect(0, 0, self.width(), 2, QColor(colours.accent))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._hold_mouse(self._note_at(event.position().x(), event.position().y()), event.position().y())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._by_mouse is not None:
            note = self._note_at(event.position().x(), event.position().y())
            if note != self._by_mouse:
                self._hold_mouse(note, event.position().y())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._hold_mouse(None)

    def event(self, event: QEvent) -> bool:
        """Letters that play must not reach the shortcuts while the keyboard has the focus."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            text = event.text().lower()
            if text and not event.modifiers() and (text in _COMPUTER_KEYS or text in "zx"):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        text = event.text().lower()
        if event.isAutoRepeat() or not text or event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier:
            super().keyPressEvent(event)
        elif text in "zx":
            self._octave = min(max(self._octave + (1 if text == "x" else -1), 1), 6)
        elif text in _COMPUTER_KEYS:
            note = min(max(12 * (self._octave + 1) + _COMPUTER_KEYS.index(text), LOWEST_NOTE), HIGHEST_NOTE)
            self._by_key[event.key()] = note
            self.note_on.emit(float(note), 96)
            self.update()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if not event.isAutoRepeat() and event.key() in self._by_key:
            self._release_key(event.key())
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.release_all()
        super().focusOutEvent(event)

    def _release_key(self, key: int) -> None:
        self.note_off.emit(float(self._by_key.pop(key)))
        self.update()

    def _hold_mouse(self, note: int | None, y_px: float = 0.0) -> None:
        if self._by_mouse is not None:
            self.note_off.emit(float(self._by_mouse))
        self._by_mouse = note
        if note is not None:
            self.note_on.emit(float(note), int(min(max(40 + 87 * y_px / self.height(), 1), 127)))
        self.update()

    def _box(self, note: int) -> QRectF:
        width = self.width() / len(_WHITES)
        if note % 12 in BLACK_KEYS:
            left = (_WHITES.index(note - 1) + 1) * width - width * 0.31
            return QRectF(left, 3, width * 0.62, (self.height() - 6) * 0.6)
        return QRectF(_WHITES.index(note) * width, 3, width, self.height() - 6)

    def _note_at(self, x_px: float, y_px: float) -> int | None:
        notes = sorted(range(LOWEST_NOTE, HIGHEST_NOTE + 1), key=lambda note: note % 12 not in BLACK_KEYS)
        return next((note for note in notes if self._box(note).contains(x_px, y_px)), None)
