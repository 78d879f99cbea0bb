"""The panic keys, in every window of ours: a dialog that keeps shortcuts from the main window does not keep these."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QWindow


class PanicKey(QObject):
    """Watches the window that has the focus. In the main window the shortcut comes first, so nothing happens twice."""

    def __init__(self, keys: Sequence[QKeySequence], panic: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent)
        self._keys, self._panic = tuple(keys), panic
        self._watched: QWindow | None = None
        application = QGuiApplication.instance()
        assert isinstance(application, QGuiApplication)
        application.focusWindowChanged.connect(self._watch)
        self._watch(application.focusWindow())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and not event.isAutoRepeat():
            pressed = QKeySequence(event.keyCombination())
            if any(pressed == key for key in self._keys):
                self._panic()
                return True
        return False

    def _watch(self, window: QWindow | None) -> None:
        if self._watched is not None:
            self._watched.removeEventFilter(self)
        self._watched = window
        if window is not None:
            window.installEventFilter(self)
            window.destroyed.connect(self._forget)

    def _forget(self) -> None:
        self._watched = None
