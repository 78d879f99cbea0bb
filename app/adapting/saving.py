"""From an adapter to a preset: the singer's timbre, usual lanes, technique, and the adapter at full strength."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.state.preset import Preset
from app.state.preset_parts import AdapterReference, ModelReference
from app.store.adapters import ADAPTER_SUFFIX, user_adapter_folder
from app.store.presets import load_preset, save_preset
from synth.errors import UserError
from synth.spec.lanes import lane

if TYPE_CHECKING:
    from synth.adapt.adaptation import Adapted

PRESET_FOLDER: Final = "presets"
_LANES: Final = (
    "loudness", "breathiness", "roughness", "fry", "tension", "vowel_open", "vowel_front", "tract", "pitch",
)  # fmt: skip


def save_adapted_preset(done: Adapted, run: Path, technique: str, voice: str) -> Preset:
    """The preset, in the run's folder. voice: what the base is called. Raises UserError."""
    assert done.adapter is not None
    info = done.adapter.info
    means = {name: mean for name, (mean, _) in done.material.lanes.items() if name in _LANES}
    limits = {name: (lane(name).minimum, lane(name).maximum) for name in means}
    preset = Preset(
        id=_id_of(info.name), name=info.name, author=info.author, licence=info.licence, consent=info.consent,
        tags=(technique, "adapted"), technique={technique: 1.0},
        description=f"Adapted by {info.method} to {done.material.seconds('train'):.0f} s of recordings.",
        lane_defaults={name: round(min(max(v, limits[name][0]), limits[name][1]), 3) for name, v in means.items()},
        timbre=tuple(round(float(value), 3) for value in done.material.timbre),
        model=ModelReference(voice, done.report["weights_hash"]),
        adapters=(AdapterReference(done.adapter.id, done.adapter.sha256, dict.fromkeys(info.regions, 1.0)),),
    )  # fmt: skip
    folder = run / PRESET_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    save_preset(preset, folder)
    return preset


def install_adapted(done: Adapted, preset: Preset) -> Preset:
    """Adapter and preset among the user's own, under an id that is free. Raises UserError."""
    assert done.adapter is not None
    assert done.path is not None
    target = user_adapter_folder() / f"{done.adapter.id}{ADAPTER_SUFFIX}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            part = target.with_name(target.name + ".part")
            shutil.copyfile(done.path, part)
            part.replace(target)
    except OSError as fault:
        raise UserError(f"{target} cannot be written: {fault.strerror}.", remedy="Check its folder.") from fault
    installed = replace(preset, id=_free_id(preset))
    save_preset(installed)
    return installed


def _id_of(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "_".join(words)[:56] or "adapted"


def _free_id(preset: Preset) -> str:
    """Its id, or with a number where another has that; one that sings with the same adapter is this one."""
    for number in range(1, 1_000):
        tried = preset.id if number == 1 else f"{preset.id}_{number}"
        try:
            known = load_preset(tried)
        except UserError:
            return tried
        if known.adapters == preset.adapters:
            return tried
    raise UserError(f"There are a thousand presets called {preset.id!r}.", remedy="Give another name.")
