"""Errors in three tiers, the log files and the crash marker."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.report import CrashMarker, Fault, fault_of, install_hooks, line_for, log_folder, set_up_logging
from app.report.faults import EXIT_BAD_INPUT, EXIT_FAULT, EXIT_INTERRUPTED
from synth.errors import Cancelled, UserError


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    logging.captureWarnings(False)
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_user_error_is_one_line_with_its_remedy() -> None:
    fault = fault_of(UserError("No such preset: growll.", remedy="See `stridor presets list`."))
    assert line_for(fault, Path("/x.log")) == "No such preset: growll. See `stridor presets list`."
    assert fault.exit_code == EXIT_BAD_INPUT
    assert not fault.details


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOENT])
def test_troubles_of_the_disk_are_mendable_and_name_the_file(code: int) -> None:
    fault = fault_of(OSError(code, os.strerror(code), "/somewhere/take.wav"))
    assert fault.exit_code == EXIT_BAD_INPUT
    assert "/somewhere/take.wav" in fault.message
    assert fault.remedy


def test_our_mistake_keeps_its_trace_and_points_to_the_log() -> None:
    fault = fault_of(raised(KeyError("lanes\nsecond line")))
    assert fault.exit_code == EXIT_FAULT
    assert "test_report.py" in fault.details
    assert "Python" in fault.details
    line = line_for(fault, Path("/logs/cli.log"))
    assert "/logs/cli.log" in line
    assert "\n" not in line


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Cancelled()])
def test_being_stopped_is_no_fault(error: BaseException) -> None:
    assert fault_of(error).exit_code == EXIT_INTERRUPTED


def test_log_lands_in_the_file_of_its_role(root_logger: logging.Logger) -> None:
    path = set_up_logging("window")
    assert path == log_folder() / "window.log"
    logging.getLogger("app.test").info("cells %s", 7)
    assert path is not None
    assert "app.test: cells 7" in path.read_text()


def test_log_folder_that_cannot_be_made_does_not_stop_the_work(
    root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert set_up_logging("window") is None
    logging.getLogger("app.test").info("nothing breaks")


@pytest.mark.expects_log("unhandled in thread loader")
def test_hooks_report_what_escapes_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    faults: list[Fault] = []
    install_hooks(faults.append)

    def fail() -> None:
        raise ValueError("of ours")

    thread = threading.Thread(target=fail, name="loader")
    thread.start()
    thread.join()
    assert len(faults) == 1
    assert "of ours" in faults[0].message
    mended = UserError("Theirs.")
    sys.excepthook(UserError, mended, None)
    assert faults[1].exit_code == EXIT_BAD_INPUT


def test_crash_of_a_process_is_told_once_with_its_trace(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from app.report import CrashMarker;"
        "CrashMarker(Path(sys.argv[1])).start(); os.kill(os.getpid(), signal.SIGSEGV)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert died.returncode == -signal.SIGSEGV
    marker = CrashMarker(tmp_path)
    marker.start()
    crashes = marker.earlier_crashes()
    assert len(crashes) == 1
    assert "Segmentation fault" in crashes[0].trace
    assert crashes[0].kept_at.read_text() == crashes[0].trace
    assert marker.earlier_crashes() == []
    marker.close()


def test_process_that_ends_well_leaves_no_marker(tmp_path: Path) -> None:
    marker = CrashMarker(tmp_path)
    marker.start()
    assert len(list(tmp_path.iterdir())) == 1
    assert marker.earlier_crashes() == []  # this process is alive
    marker.close()
    marker.close()
    assert list(tmp_path.iterdir()) == []
