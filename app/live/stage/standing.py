"""What a performer has been told that still holds: the next one is greeted with it. Pure bookkeeping."""

from __future__ import annotations

from typing import Final

from app.live.stage.messages import (
    KnowPreset,
    LockVariation,
    Tell,
    ToPerformer,
    UseBank,
    UseMap,
    UsePreset,
    UseProfile,
    UsePrograms,
)
from app.state.preset import Preset

# What a performer that has just started is told anyway.
GREETED: Final = (UseBank, UsePreset, KnowPreset, UsePrograms, UseProfile, UseMap, Tell, LockVariation)


class Standing:
    """How things stand. Its owner holds the lock.

    chosen_id   of the preset that the next note sings, as the performer has said or will say
    """

    def __init__(self, locked_variation: int | None) -> None:
        self.chosen_id: str | None = None
        self._presets: tuple[Preset, ...] = ()
        self._beside: dict[str, Preset] = {}  # sung beside the bank, or in place of one of it
        self._profile: UseProfile | None = None
        self._maps: dict[str, UseMap] = {}
        self._is_telling = False
        self._locked = LockVariation(locked_variation)

    def take(self, message: ToPerformer) -> None:
        """The performer is told this."""
        match message:
            case UseBank(presets, chosen):
                self._presets = presets
                self._beside.clear()
                self.chosen_id = presets[min(max(chosen, 0), len(presets) - 1)].id if presets else None
            case UsePreset(preset):
                self._beside[preset.id] = preset
                self.chosen_id = preset.id
            case UseProfile():
                self._profile = message
            case UseMap(profile):
                self._maps[profile.name] = message
            case Tell(is_wanted):
                self._is_telling = is_wanted
            case LockVariation():
                self._locked = message
            case _:
                pass

    def use_programs(self, presets: tuple[Preset, ...]) -> list[ToPerformer]:
        """Program changes choose from these -> what to tell a performer that plays, in small pieces."""
        known = {preset.id: preset for preset in self._presets}
        new = {preset.id: preset for preset in presets if known.get(preset.id) != preset}
        for preset_id in new.keys() - {self.chosen_id}:
            self._beside.pop(preset_id, None)
        if self.chosen_id in known and self.chosen_id not in [preset.id for preset in presets]:
            self._beside.setdefault(self.chosen_id, known[self.chosen_id])  # it was taken out, and is sung on
        self._presets = presets
        return [*(KnowPreset(preset) for preset in new.values()), UsePrograms(tuple(each.id for each in presets))]

    def greetings(self) -> list[ToPerformer]:
        """What a new performer is told first."""
        told: list[ToPerformer] = [*self._maps.values()]
        presets = tuple(self._beside.get(preset.id, preset) for preset in self._presets)
        ids = [preset.id for preset in presets]
        presets += tuple(preset for preset_id, preset in self._beside.items() if preset_id not in ids)
        ids = [preset.id for preset in presets]
        if presets:
            told.append(UseBank(presets, ids.index(self.chosen_id) if self.chosen_id in ids else 0))
        if self._profile is not None:
            told.append(self._profile)
        return [*told, Tell(self._is_telling), self._locked]
