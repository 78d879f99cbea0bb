"""What the user chose, kept between starts: JSON in the user's configuration folder.

Revisions:
1  the first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import platformdirs

from app.state.places import PlacedError
from app.store.documents import Document, Fields, Migration, migrate, read_document, save_document, set_aside
from synth.errors import UserError

_logger = logging.getLogger(__name__)

SETTINGS_REVISION: Final = 1
MIGRATIONS: Final[Mapping[int, Migration]] = {}
MAX_RECENT_FILES: Final = 12
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "compute_device": ("auto", "cpu", "cuda"),
    "theme": ("system", "light", "dark"),
    "draw_quality": ("live", "draft", "final"),
    "export_quality": ("live", "draft", "final"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of one user on one machine.

    output_device, midi_input    names as the devices give them; None = the system's default, no MIDI input
    window_geometry, window_state    Qt's own bytes, in base64
    """

    recent_files: tuple[str, ...] = ()
    compute_device: str = "auto"
    output_device: str | None = None
    midi_input: str | None = None
    theme: str = "system"
    draw_quality: str = "draft"
    export_quality: str = "final"
    live_preset: str | None = None
    window_geometry: str = ""
    window_state: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "recent_files":
                if not all(isinstance(entry, str) for entry in value):
                    raise PlacedError(field.name, "not a list of paths.")
            elif value is None and field.default is not None:
                raise PlacedError(field.name, "missing.")
            elif value is not None and not isinstance(value, str):
                raise PlacedError(field.name, f"{value!r} where text belongs.")
        for key, known in _CHOICES.items():
            if getattr(self, key) not in known:
                raise PlacedError(key, f"{getattr(self, key)!r} is not one of {', '.join(known)}.")

    def with_recent_file(self, path: Path) -> Settings:
        """`path` first among the recent files, once, the oldest dropped."""
        name = str(path.absolute())
        others = tuple(other for other in self.recent_files if other != name)
        return replace(self, recent_files=(name, *others)[:MAX_RECENT_FILES])

    def without_recent_file(self, path: Path) -> Settings:
        """Forget a file that is no longer there."""
        name = str(path.absolute())
        return replace(self, recent_files=tuple(other for other in self.recent_files if other != name))


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings in force, and what to tell the user when the file was not usable."""

    settings: Settings
    fault: UserError | None = None


def settings_path() -> Path:
    """Where this user's settings live."""
    return platformdirs.user_config_path("stridor", appauthor=False) / "settings.json"


def load_settings(path: Path | None = None) -> LoadedSettings:
    """Read the settings; a file that cannot be used is set aside as `settings.json.broken` and defaults serve."""
    path = settings_path() if path is None else path
    if not path.exists():
        return LoadedSettings(Settings())
    try:
        return LoadedSettings(_from_document(read_document(path, what="settings")))
    except UserError as fault:
        _logger.info("Settings at %s not used: %s", path, fault)
        problem = f"The settings could not be used: {fault.message}"
        told = UserError(problem, remedy=f"Defaults are in force. {set_aside(path)}")
        return LoadedSettings(Settings(), told)


def save_settings(settings: Settings, path: Path | None = None) -> None:
    """Write the settings atomically. Raises UserError."""
    path = settings_path() if path is None else path
    document: Document = {"revision": SETTINGS_REVISION}
    for field in fields(settings):
        value: Any = getattr(settings, field.name)
        document[field.name] = list(value) if isinstance(value, tuple) else value
    save_document(path, document)


def _from_document(document: Document) -> Settings:
    entries = Fields(migrate(document, SETTINGS_REVISION, MIGRATIONS, what="settings file"), "")
    entries.take("revision")
    values: dict[str, Any] = {}
    for field in fields(Settings):
        default = field.default
        values[field.name] = entries.take(field.name, default)
    entries.finish()
    if not isinstance(values["recent_files"], list | tuple):
        raise PlacedError("recent_files", "not a list of paths.")
    values["recent_files"] = tuple(values["recent_files"])
    return Settings(**values)
