"""`stridor evaluate`: the whole report, or one measure at a time."""

from __future__ import annotations

import click

from app.commands.evaluate.curve import curve
from app.commands.evaluate.hearing import analyse, listen, sheets
from app.commands.evaluate.real import codec, proof, resynthesis, sustained
from app.commands.evaluate.voice import contradictions, controls, determinism, pitch, silence
from app.commands.evaluate.voice_in import voice_in
from app.commands.evaluate.whole import report, steps

_WHOLE, _LISTEN = "report", "listen"


class _ReportUnlessNamed(click.Group):
    """A group that runs the report where no sub-command is named: `stridor evaluate --quick`; and the listening test
    for `stridor evaluate --listen`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] == f"--{_LISTEN}":
            args = [_LISTEN, *args[1:]]
        elif not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [_WHOLE, *args]
        return super().parse_args(ctx, args)


@click.group("evaluate", cls=_ReportUnlessNamed)
def command() -> None:
    """Measure how well the model obeys, and how it sounds against real voices.

    Without a sub-command: the report, with its options. With --listen: a blind listening test.
    """


for _evaluation in (
    report, steps, controls, pitch, silence, determinism, contradictions, proof, resynthesis, sustained, codec, listen,
    analyse, sheets, curve, voice_in,
):  # fmt: skip
    command.add_command(_evaluation)
