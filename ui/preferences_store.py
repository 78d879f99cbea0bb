"""The settings in force, written to disk when they change."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app.store.settings import Settings, save_settings
from synth.errors import UserError


class PreferencesStore(QObject):
    """`changed` after each change; `failed(message, remedy)` when it could not be written."""

    changed = Signal()
    failed = Signal(str, str)

    def __init__(
        self, settings: Settings, save: Callable[[Settings], None] = save_settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._settings, self._save = settings, save

    @property
    def settings(self) -> Settings:
        return self._settings

    def change(self, settings: Settings) -> None:
        """Put these in force and on disk."""
        if settings == self._settings:
            return
        self._settings = settings
        try:
            self._save(settings)
        except UserError as error:
            self.failed.emit(error.message, error.remedy)
        self.changed.emit()
