"""The wizard in the main window: opened by its command or by a drop, and what becomes of a preset that was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QMimeData, QObject

from ui.adapting.wizard import AdaptingWizard
from ui.panels.files import AUDIO_SUFFIXES

if TYPE_CHECKING:
    from ui.window import MainWindow

_LOOKED_THROUGH: Final = 5_000  # names in a dropped folder, to see whether there is sound in it


class AdaptingDoor(QObject):
    """Makes the wizard when it is first wanted."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.desk = window.parts.adapting
        self.wizard: AdaptingWizard | None = None
        window.actions_table.on("adapt", self.open)

    def open(self, paths: Sequence[Path] = ()) -> None:
        """Show the wizard, with what was dropped."""
        if self.wizard is None:
            window = self._window
            self.wizard = AdaptingWizard(self.desk, window.context.theme, window)
            self.wizard.made.connect(self._choose)
            self.wizard.sing_asked.connect(self._sing)
            self.wizard.play_asked.connect(window.parts.instrument.play_sound)
        self.wizard.open_with(paths)

    def may_leave(self) -> bool:
        """Whether the window may close; a training is asked about."""
        return self.wizard is None or self.wizard.leave()

    def close(self) -> None:
        """End what runs; a training with a checkpoint."""
        if self.wizard is not None:
            self.wizard.hide()
            self.wizard.end()
        self.desk.close()

    def tell_unfinished(self) -> None:
        """At the start: what was left can be taken up again."""
        left = self.desk.unfinished()
        if left:
            name = left[0].request.name or left[0].request.technique
            self._window.notice.tell(
                f"Unfinished adaptation found: {name}.", "File, Adapt to a Voice… resumes or discards it.", "", False
            )

    def _choose(self, preset_id: str) -> None:
        shelf = self._window.parts.presets
        shelf.refresh()
        if shelf.preset(preset_id) is not None:
            self._window.document.set_preset(preset_id)
            shelf.note_used(preset_id)

    def _sing(self) -> None:
        self._window.audition.play(self._window.document.preset)


def dropped_recordings(data: QMimeData) -> list[Path]:
    """A folder with sound in it, or several sound files; one file alone is something else, and gives nothing."""
    if not data.hasUrls() or not all(url.isLocalFile() for url in data.urls()):
        return []
    paths = [Path(url.toLocalFile()) for url in data.urls()]
    if any(path.is_dir() for path in paths) or len(paths) > 1:
        return paths if all(_has_sound(path) for path in paths) else []
    return []


def _has_sound(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() in AUDIO_SUFFIXES
    for count, inner in enumerate(path.rglob("*")):
        if inner.suffix.lower() in AUDIO_SUFFIXES:
            return True
        if count >= _LOOKED_THROUGH:
            return False
    return False
