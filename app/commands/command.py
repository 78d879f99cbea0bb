"""What all commands share: found by name, an example in the help, --json."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import click

# name -> (module, what it does). The words are here so that `stridor --help` imports none of the modules.
COMMANDS: Final = MappingProxyType(
    {
        "render": "A passage or a MIDI file becomes a WAV or FLAC file.",
        "extract": "A recording becomes a passage.",
        "measure": "What every lane of a recording is, and how far from what was asked.",
        "play": "Render a passage and play it.",
        "live": "Play a preset from a MIDI keyboard, without a window.",
        "presets": "The voices to sing with.",
        "doctor": "What this machine has: sound card, MIDI, display, model, versions.",
        "bench": "How fast this machine renders and draws.",
        "corpus": "The recordings and gestures a model learns from.",
        "train": "Train a model on a corpus.",
        "distill": "Teach a trained model to need fewer steps.",
        "adapt": "Adapt the voice to somebody's recordings.",
        "evaluate": "Measure how well the model obeys, and how it sounds against real voices.",
    }
)


class Stridor(click.Group):
    """The program's group. Imports a command's module when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"app.commands.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it, from our own words."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class ExampleCommand(click.Command):
    """A command whose help ends with an example."""

    def __init__(self, *arguments: Any, example: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.example = example

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, whole: the terminal may wrap it."""
        return super().get_short_help_str(limit=max(limit, 200))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"  {line}\n")


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], ExampleCommand]:
    """Make a function a command with an example and --json (its argument `as_json`)."""

    def wrap(function: Callable[..., Any]) -> ExampleCommand:
        with_json = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
        return click.command(name, cls=ExampleCommand, example=example)(with_json(function))

    return wrap
