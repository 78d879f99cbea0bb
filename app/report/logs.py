"""Where log records go: one rotating file for each process role, and the terminal when somebody is debugging.

Every module asks for `logging.getLogger(__name__)`; only a process's entry point calls `set_up_logging`.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

from platformdirs import user_log_path

_MAX_BYTES = 1_000_000
_N_OLD_FILES = 3
_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
_log = logging.getLogger(__name__)


def log_folder() -> Path:
    """Folder of the logs, following the desktop's convention (XDG on Linux). It may not exist yet."""
    return user_log_path("stridor", appauthor=False)


def set_up_logging(role: str, *, debug: bool = False) -> Path | None:
    """Send this process's records to `<log folder>/<role>.log` from now on; call it once, from an entry point.

    role    "window", "sampler", "sound", "cli": a file each, because processes must not rotate each other's
    debug   also DEBUG records, and everything on stderr too
    Returns the log file, or None where the folder cannot be written (a read-only home): logging never stops the work.
    """
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for noisy in ("numba", "matplotlib", "PIL", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    formatter = logging.Formatter(_FORMAT)
    if debug:
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setFormatter(formatter)
        root.addHandler(terminal)
    path = log_folder() / f"{role}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(
            path, maxBytes=_MAX_BYTES, backupCount=_N_OLD_FILES, encoding="utf-8"
        )
    except OSError as error:
        if not root.handlers:
            root.addHandler(logging.NullHandler())  # else Python prints records on stderr
        _log.info("no log file: %s", error)
        return None
    file.setFormatter(formatter)
    root.addHandler(file)
    return path
