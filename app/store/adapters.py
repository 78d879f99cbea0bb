"""Where adapter files lie: the user's own, those of installed packs, the factory's. Each is called by its content."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import platformdirs

from app.store.installed_packs import packs_folder, read_installed
from app.store.presets import FACTORY_FOLDER
from synth.errors import UserError

ADAPTER_SUFFIX: Final = ".safetensors"


def user_adapter_folder() -> Path:
    """Where this user's own adapters live; it need not exist."""
    return platformdirs.user_data_path("stridor", appauthor=False) / "adapters"


def adapter_folders() -> tuple[Path, ...]:
    """Folders of files called <id>.safetensors, in the order in which they are looked in. Raises UserError."""
    packs = packs_folder()
    installed = tuple(packs / pack.folder / "adapters" for pack in read_installed(packs).packs)
    return user_adapter_folder(), FACTORY_FOLDER / "adapters", *installed


def find_adapter(adapter_id: str) -> Path:
    """The adapter's file. Raises UserError where it is nowhere."""
    for folder in adapter_folders():
        path = folder / f"{adapter_id}{ADAPTER_SUFFIX}"
        if Path(adapter_id).name == adapter_id and path.is_file():
            return path
    raise UserError(f"The adapter {adapter_id} is not installed.", remedy="Install the pack that brings it.")
