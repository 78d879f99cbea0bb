"""The program: every start of Stridor comes through `main`, and every way out of it ends in one line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from app.commands.command import COMMANDS, Stridor
from app.report import fault_of, line_for, set_up_logging
from app.report.faults import EXIT_BAD_INPUT, EXIT_INTERRUPTED

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. -> exit status: 0, 2 for what a person can mend, 1 for a mistake of ours, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    role = "cli" if COMMANDS.keys() & set(words) else "window"
    log_file = set_up_logging(role, debug="--debug" in words)
    try:
        status = _program().main(words, prog_name="stridor", standalone_mode=False, obj=log_file)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:  # `stridor corpus` alone
        error.show()
        return EXIT_BAD_INPUT
    except click.ClickException as error:
        usage = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "stridor"
        _complain(f"{error.format_message()} See `{usage} --help`.")
        return EXIT_BAD_INPUT
    except click.Abort:
        _complain("Stopped.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        fault = fault_of(error)
        if fault.is_ours:
            _log.error("unhandled: stridor %s\n%s", " ".join(words), fault.details)
        _complain(line_for(fault, log_file))
        return fault.exit_code


def _program() -> click.Group:
    return Stridor(
        help="Stridor: draw or play a voice that screams, sighs, growls and whispers. Without a command: the window.",
        params=[
            click.Option(["--open", "passage"], type=click.Path(path_type=Path), help="A passage for the window."),
            click.Option(["--debug"], is_flag=True, help="Log everything, also on the terminal."),
            click.Option(
                ["--or-demo"],
                is_flag=True,
                help="Where there is no display, render the demo passage into this folder instead of the window.",
            ),
        ],
        invoke_without_command=True,
        callback=_without_command,
    )


@click.pass_context
def _without_command(context: click.Context, passage: Path | None, debug: bool, or_demo: bool) -> None:
    if context.invoked_subcommand is None:
        from app.commands.window import open_window  # Qt takes its time to import; `--help` must not wait for it

        context.exit(open_window(passage, or_demo=or_demo, log_file=context.obj))


def _complain(line: str) -> None:
    sys.stderr.write(f"stridor: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
