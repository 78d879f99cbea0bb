"""`stridor presets`: the voices to sing with, packs of them, and who may be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.presets_check import check_command
from app.commands.presets_packs import (
    install_command,
    keys_command,
    pack_command,
    remove_command,
    undo_command,
    verify_command,
)
from app.commands.presets_web import gallery_command, registry_command
from app.commands.terminal import columns, show
from synth.errors import UserError

if TYPE_CHECKING:
    from app.state.preset import Preset
    from app.store.installed_packs import InstalledPack


@click.group("presets")
def command() -> None:
    """The voices to sing with."""


@stridor_command("list", example="stridor presets list\nstridor presets list --packs")
@click.option("--packs", is_flag=True, help="The installed packs instead.")
def list_command(packs: bool, as_json: bool) -> None:
    """List the installed presets: yours, the factory's, and those of packs."""
    from app.store.packs.factory import install_factory_packs

    install_factory_packs()  # as the first start of the window does
    if packs:
        _list_packs(as_json=as_json)
        return
    from app.store.presets import read_shelf

    shelf = read_shelf()
    rows = [[preset.id, preset.name, technique_words(preset), preset.licence] for preset in shelf.presets.values()]
    width = max((len(row[0]) for row in rows), default=0)
    lines = [f"{name.ljust(width)}  {title}: {technique}" for name, title, technique, _ in rows]
    lines += [f"Left out: {fault}" for fault in shelf.faults]
    result = {
        "presets": [preset_values(preset) for preset in shelf.presets.values()],
        "faults": [str(fault) for fault in shelf.faults],
    }
    show(result, lines, as_json=as_json)


def _list_packs(*, as_json: bool) -> None:
    from dataclasses import asdict

    from app.store.installed_packs import read_installed

    installed = read_installed()
    lines = [
        f"{pack.id}  {pack.name} {pack.version} by {pack.author}, {pack.licence}: {', '.join(pack.presets)}"
        for pack in installed.packs
    ]
    steps = [step.name for step in installed.steps]
    lines += [f"`stridor presets undo` would take back: {steps[-1]}"] if steps else []
    result = {"packs": [asdict(pack) for pack in installed.packs], "steps": steps}
    show(result, lines or ["No packs are installed."], as_json=as_json)


@stridor_command("show", example="stridor presets show growl\nstridor presets show orcs")
@click.argument("preset_id", metavar="PRESET|PACK")
def show_command(preset_id: str, as_json: bool) -> None:
    """Show one preset: technique, lane defaults, licence and whose voice it is; or an installed pack."""
    from app.store.installed_packs import read_installed
    from app.store.presets import load_preset

    try:
        preset = load_preset(preset_id)
    except UserError:
        pack = read_installed().find(preset_id)
        if pack is None:
            raise
        _show_pack(pack, as_json=as_json)
        return
    rows = [[lane_id, f"{value:g}"] for lane_id, value in sorted(preset.lane_defaults.items())]
    rows += [["pitch drift", f"{preset.pitch_drift:g}"], ["attack", f"{preset.attack_s:g} s"]]
    rows += [["release", f"{preset.release_s:g} s"], ["level", f"{preset.level_db:g} dB"]]
    rows += [[f"{name} range", f"{low:g} to {high:g}"] for name, (low, high) in preset.lane_ranges.items()]
    rows += [[name, f"{value:g}"] for adapter in preset.adapters for name, value in adapter.lane_strengths().items()]
    lines = [f"{preset.name} ({preset.id}), edition {preset.edition}", preset.description, preset.notes]
    lines += [f"Technique: {technique_words(preset)}", f"By {preset.author}; {preset.licence}. {preset.consent}"]
    lines += [f"Made with {preset.model.name}."] if preset.model is not None else []
    lines += columns(rows)
    show(preset_values(preset), [line for line in lines if line.strip()], as_json=as_json)


def _show_pack(pack: InstalledPack, *, as_json: bool) -> None:
    from dataclasses import asdict

    from app.store.atomic import read_bytes
    from app.store.installed_packs import packs_folder
    from app.store.packs.manifest import parse_manifest
    from app.store.packs.names import MANIFEST

    manifest = parse_manifest(read_bytes(packs_folder() / pack.folder / MANIFEST))
    signed = f"Signed by {pack.fingerprint}." if pack.fingerprint else "Not signed."
    lines = [f"{pack.name} {pack.version} ({pack.id}), by {pack.author}. {signed}", manifest.description]
    lines += [f"{pack.licence}. {manifest.consent}", f"Presets: {', '.join(pack.presets)}"]
    lines += [f"Made with {manifest.model.name}."] if manifest.model is not None else []
    lines += columns([[file.path, f"{file.size / 1000:.1f} kB"] for file in manifest.files])
    told = {"description": manifest.description, "consent": manifest.consent}
    files = {file.path: file.size for file in manifest.files}
    show({**asdict(pack), **told, "files": files}, [line for line in lines if line.strip()], as_json=as_json)


def technique_words(preset: Preset) -> str:
    """ "0.7 growl, 0.3 modal"; a whole technique goes without its number."""
    weights = sorted(((w, name) for name, w in preset.technique.items() if w > 0.0), reverse=True)
    return ", ".join(name if weight == 1.0 else f"{weight:g} {name}" for weight, name in weights) or "none"


def preset_values(preset: Preset) -> dict[str, Any]:
    """The preset as its file has it."""
    from app.store.presets import preset_to_document

    return preset_to_document(preset)


for _command in (
    list_command,
    show_command,
    pack_command,
    verify_command,
    install_command,
    remove_command,
    undo_command,
    keys_command,
    gallery_command,
    registry_command,
    check_command,
):
    command.add_command(_command)
