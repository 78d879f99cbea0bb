"""Maps that presets name reach the engine once, as they are now, and are missed in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.live.stage.messages import UseMap
from app.services.preset_maps import PresetMaps
from app.state.controller_profile import Binding, ControllerProfile
from app.state.preset import NEUTRAL_PRESET
from app.store.controller_profiles import profile_path, save_profile

BREATH = ControllerProfile("Breath", (Binding("cc2", "breathiness", 0.0, 1.0),))


def test_maps_are_read_once_and_again_when_they_change(tmp_path: Path) -> None:
    save_profile(BREATH, tmp_path)
    told: list[UseMap] = []
    maps = PresetMaps(told.append, tmp_path)
    preset = replace(NEUTRAL_PRESET, midi_map="Breath")
    assert maps.tell([NEUTRAL_PRESET, preset, preset]) == []
    assert told == [UseMap(BREATH)]
    changed = replace(BREATH, playing="legato")
    maps.changed(changed)
    maps.changed(replace(changed, name="another"))
    assert told[1:] == [UseMap(changed)]


def test_a_map_that_is_not_there_or_broken_is_one_line(tmp_path: Path) -> None:
    told: list[UseMap] = []
    maps = PresetMaps(told.append, tmp_path)
    (notice,) = maps.tell([replace(NEUTRAL_PRESET, midi_map="nobody's")])
    assert "'nobody's'" in notice.message
    assert maps.tell([replace(NEUTRAL_PRESET, midi_map="nobody's")]) == []
    profile_path("torn", tmp_path).write_text("{")
    (notice,) = maps.tell([replace(NEUTRAL_PRESET, midi_map="torn")])
    assert "could not be used" in notice.message
    assert told == []
