"""`stridor doctor` run beside the window: measuring takes seconds of a core, and drivers may hang."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

LIMIT_S: Final = 120.0
SECTIONS: Final = ("machine", "live", "sound", "periods")


def doctor_command(sections: Sequence[str] = SECTIONS) -> list[str]:
    """How the doctor is asked about these parts, as JSON."""
    chosen = [word for section in sections for word in ("--section", section)]
    return [sys.executable, "-m", "app.main", "doctor", "--json", *chosen]


class MachineCheck:
    """Runs once. `answer` or `fault` is there when it `is_over`; close() ends it early. Main thread."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = list(command) if command is not None else doctor_command()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="machine-check", daemon=True)
        self.answer: dict[str, Any] | None = None
        self.fault = ""

    def start(self) -> None:
        """Begin; returns at once. Raises OSError where no process can be started."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return self._process is not None and not self._thread.is_alive()

    def close(self) -> None:
        """End it. Idempotent."""
        if self._process is not None and self._thread.is_alive():
            self._process.kill()
            self._thread.join()

    def _run(self) -> None:
        process = self._process
        assert process is not None
        with process:
            try:
                said, complaints = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                self.fault = f"The check was not over after {LIMIT_S:.0f} s."
                return
        try:
            self.answer = json.loads(said) if process.returncode == 0 else None
        except (ValueError, KeyError, TypeError):
            self.answer = None
        if self.answer is None:
            last = complaints.strip().splitlines()[-1:] or [f"exit status {process.returncode}"]
            self.fault = last[0]
