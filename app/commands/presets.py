"""`stridor presets list|show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import columns, show

if TYPE_CHECKING:
    from app.state.preset import Preset


@click.group("presets")
def command() -> None:
    """The voices to sing with."""


@stridor_command("list", example="stridor presets list")
def list_command(as_json: bool) -> None:
    """List the installed presets, factory presets and yours."""
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


@stridor_command("show", example="stridor presets show growl")
@click.argument("preset_id", metavar="PRESET")
def show_command(preset_id: str, as_json: bool) -> None:
    """Show one preset: technique, lane defaults, licence and whose voice it is."""
    from app.store.presets import load_preset

    preset = load_preset(preset_id)
    rows = [[lane_id, f"{value:g}"] for lane_id, value in sorted(preset.lane_defaults.items())]
    rows += [["pitch drift", f"{preset.pitch_drift:g}"], ["attack", f"{preset.attack_s:g} s"]]
    rows += [["release", f"{preset.release_s:g} s"]]
    lines = [f"{preset.name} ({preset.id})", preset.description, f"Technique: {technique_words(preset)}"]
    lines += [f"By {preset.author}; {preset.licence}. {preset.consent}", *columns(rows)]
    show(preset_values(preset), [line for line in lines if line.strip()], as_json=as_json)


def technique_words(preset: Preset) -> str:
    """"0.7 growl, 0.3 modal"; a whole technique goes without its number."""
    weights = sorted(((w, name) for name, w in preset.technique.items() if w > 0.0), reverse=True)
    return ", ".join(name if weight == 1.0 else f"{weight:g} {name}" for weight, name in weights) or "none"


def preset_values(preset: Preset) -> dict[str, Any]:
    """The preset as its file has it."""
    from app.store.presets import preset_to_document

    return preset_to_document(preset)


command.add_command(list_command)
command.add_command(show_command)
