"""The controller profiles that presets name as their maps: read here, once each, and told to the live engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from app.live.stage.messages import UseMap
from app.services.events import Notice
from app.state.controller_profile import ControllerProfile
from app.state.preset import Preset
from app.store.controller_profiles import load_profile, profile_path


class PresetMaps:
    """Main thread."""

    def __init__(self, play: Callable[[UseMap], None], folder: Path | None = None) -> None:
        """folder   of controller profiles; None: this user's"""
        self._play, self._folder = play, folder
        self._told: set[str] = set()

    def tell(self, presets: Iterable[Preset]) -> list[Notice]:
        """Let the engine know the maps of these presets -> a line for each that cannot be used, the first time."""
        notices: list[Notice] = []
        for preset in presets:
            name = preset.midi_map
            if name is None or name in self._told:
                continue
            self._told.add(name)
            if not profile_path(name, self._folder).exists():
                notices.append(
                    Notice(
                        f"'{preset.name}' is meant for the controller map '{name}', which is not here.",
                        "It is played by the controller's own.",
                    )
                )
                continue
            loaded = load_profile(name, self._folder)
            if loaded.fault is None:
                self._play(UseMap(loaded.profile))
            else:
                notices.append(Notice(loaded.fault.message, loaded.fault.remedy))
        return notices

    def changed(self, profile: ControllerProfile) -> None:
        """A profile was learnt or edited: presets that name it get it as it is now."""
        if profile.name in self._told:
            self._play(UseMap(profile))
