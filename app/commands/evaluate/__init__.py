"""`stridor evaluate`: the whole report, or one measure at a time."""

from __future__ import annotations

import click

from app.commands.evaluate.real import proof, resynthesis, sustained
from app.commands.evaluate.voice import contradictions, controls, determinism, pitch, silence
from app.commands.evaluate.whole import report, steps

_WHOLE = "report"


class _ReportUnlessNamed(click.Group):
    """A group that runs the report where no sub-command is named: `stridor evaluate --quick`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [_WHOLE, *args]
        return super().parse_args(ctx, args)


@click.group("evaluate", cls=_ReportUnlessNamed)
def command() -> None:
    """Measure how well the model obeys, and how it sounds against real voices.

    Without a sub-command: the report, with its options.
    """


for _evaluation in (
    report, steps, controls, pitch, silence, determinism, contradictions, proof, resynthesis, sustained,
):  # fmt: skip
    command.add_command(_evaluation)
