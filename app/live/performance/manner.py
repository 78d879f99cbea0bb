"""How a controller is played while a preset is current: by its own profile, with what the preset brings laid over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from app.state.controller_profile import MAX_BINDINGS, Binding, ControllerProfile
from app.state.preset import Preset

# What a preset's map decides where it says something else than a profile does by itself. Zones and bend ranges are the
# controller's: changing them would end its notes, and only it knows what it sends.
_MANNER: Final = (
    *("velocity_curve", "fixed_velocity", "polyphony", "stealing"),
    *("playing", "priority", "glide", "glide_s", "glide_semitones_per_s"),
)
_PLAIN: Final = ControllerProfile("plain")


def profile_in_force(
    profile: ControllerProfile, preset: Preset, preset_map: ControllerProfile | None = None
) -> ControllerProfile:
    """`profile` as it stands while `preset` is the current one.

    preset_map   the profile that the preset's midi_map names, None where it names none or there is no such profile:
                 each control it binds does what it says there, all others do what they do by `profile`
    """
    changes: dict[str, Any] = {}
    if preset_map is not None and preset_map.name != profile.name:
        changes["bindings"] = _laid_over(profile, preset_map)
        for name in _MANNER:
            if getattr(preset_map, name) != getattr(_PLAIN, name):
                changes[name] = getattr(preset_map, name)
    if preset.playing is not None:
        changes["playing"] = preset.playing
    return replace(profile, **changes) if changes else profile


def _laid_over(profile: ControllerProfile, preset_map: ControllerProfile) -> tuple[Binding, ...]:
    panic = f"cc{profile.panic_cc}"  # whoever plays must find it where it is
    over = [binding for binding in preset_map.bindings if binding.source != panic]
    taken = {binding.source for binding in over}
    return (*over, *(binding for binding in profile.bindings if binding.source not in taken))[:MAX_BINDINGS]
