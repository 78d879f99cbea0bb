"""`stridor presets gallery|registry`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import show

FILE = click.Path(path_type=Path)


@stridor_command("gallery", example="stridor presets gallery packs -o public --title North")
@click.argument("folder", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The folder to write.")
@click.option("--title", default="Voices", show_default=True)
def gallery_command(folder: Path, output: Path, title: str, as_json: bool) -> None:
    """Turn a folder of packs into a web page with previews that anyone can host, and an index for installing them."""
    from app.store.packs.gallery import PAGE, write_gallery

    entries, faults = write_gallery(folder, output, title=title)
    lines = [f"{output / PAGE}: {len(entries)} packs", *(f"Left out: {fault}" for fault in faults)]
    result = {"output": output, "packs": [asdict(entry) for entry in entries], "faults": [str(f) for f in faults]}
    show(result, lines, as_json=as_json)


@stridor_command("registry", example="stridor presets registry public/registry.json")
@click.argument("index", metavar="INDEX")
def registry_command(index: str, as_json: bool) -> None:
    """List the packs of a registry: a file, or an address that you were given."""
    from app.store.packs.registry import read_registry

    registry = read_registry(index)
    lines = [f"{p.id}  {p.name} {p.version} by {p.author}, {p.licence}, {p.size / 1e6:.2f} MB" for p in registry.packs]
    lines = [registry.name, *lines, f"`stridor presets install ID --from {index}` installs one."]
    show({"name": registry.name, "packs": [asdict(pack) for pack in registry.packs]}, lines, as_json=as_json)
