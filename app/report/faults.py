"""What to say about an exception: to a person in one line, to a programmer in full."""

from __future__ import annotations

import errno
import logging
import platform
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

from synth.errors import Cancelled, UserError

_log = logging.getLogger(__name__)

EXIT_FAULT = 1  # ours
EXIT_BAD_INPUT = 2  # a person can mend it
EXIT_INTERRUPTED = 130  # the shell's convention for Ctrl-C

_MENDABLE_BY_ERRNO = {
    errno.ENOSPC: ("The disk is full", "Free some space or choose another folder."),
    errno.EDQUOT: ("The disk quota is used up", "Free some space or choose another folder."),
    errno.EROFS: ("The disk is read-only", "Choose another folder."),
    errno.EACCES: ("Permission denied", "Check the permissions or choose another folder."),
    errno.EPERM: ("Permission denied", "Check the permissions or choose another folder."),
    errno.ENOENT: ("No such file or folder", "Check the path."),
    errno.ENOTDIR: ("Not a folder", "Check the path."),
    errno.EISDIR: ("A folder, not a file", "Name a file."),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception in words. `details` is empty for trouble that a person can mend."""

    message: str
    remedy: str
    details: str
    exit_code: int

    @property
    def is_ours(self) -> bool:
        """Whether the program is to blame."""
        return self.exit_code == EXIT_FAULT


def fault_of(error: BaseException) -> Fault:
    """Sort an exception into what a person can mend and what is ours."""
    if isinstance(error, UserError):
        return Fault(error.message, error.remedy, "", EXIT_BAD_INPUT)
    if isinstance(error, KeyboardInterrupt | Cancelled):
        return Fault("Stopped.", "", "", EXIT_INTERRUPTED)
    if isinstance(error, OSError) and error.errno in _MENDABLE_BY_ERRNO:
        words, remedy = _MENDABLE_BY_ERRNO[error.errno]
        place = f": {error.filename}" if error.filename else ""
        return Fault(f"{words}{place}.", remedy, "", EXIT_BAD_INPUT)
    if isinstance(error, MemoryError):
        return Fault("There is not enough memory.", "Close other programs or shorten the passage.", "", EXIT_BAD_INPUT)
    details = "".join(traceback.format_exception(error)) + _versions()
    words = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
    return Fault(f"Stridor made a mistake ({what}).", "", details, EXIT_FAULT)


def line_for(fault: Fault, log_file: Path | None = None) -> str:
    """The one line for a terminal or a notification."""
    remedy = fault.remedy
    if fault.is_ours:
        remedy = f"The details are in {log_file}." if log_file else "Run it again with --debug for the details."
    return " ".join(f"{fault.message} {remedy}".split())


def install_hooks(on_fault: Callable[[Fault], None]) -> None:
    """Log whatever escapes a thread, then hand it to `on_fault`.

    `on_fault` runs on the thread that failed, and must not raise; a window posts it to its own thread.
    """

    def report(error: BaseException, where: str) -> None:
        fault = fault_of(error)
        if fault.is_ours:
            _log.error("unhandled in %s\n%s", where, fault.details)
        on_fault(fault)

    def main_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        report(error, "the main thread")

    def thread_hook(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            report(arguments.exc_value, f"thread {arguments.thread.name if arguments.thread else '?'}")

    sys.excepthook = main_hook
    threading.excepthook = thread_hook


def _versions() -> str:
    try:
        stridor = version("stridor")
    except PackageNotFoundError:  # run from a tree that was never installed
        stridor = "of this tree"
    return f"Stridor {stridor}, Python {platform.python_version()}, {platform.platform()}\n"
