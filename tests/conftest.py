"""Strictness shared by every test.

Beyond pytest's own settings (see pyproject.toml): unexpected log records, Qt messages, leftover threads, child
processes and Qt timers fail the test that made them, and a test may only be skipped by a declared marker, which is
counted.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

# Before anything imports numpy, torch or Qt.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ["HF_HUB_OFFLINE"] = "1"
if "XDG_RUNTIME_DIR" not in os.environ:
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="stridor-runtime-")

REPOSITORY = Path(__file__).resolve().parent.parent
_SETTLE_S = 3.0  # how long threads and processes may take to end after their test
# Children that belong to the interpreter, not to a test.
_INTERPRETER_CHILDREN = re.compile(r"multiprocessing\.(resource_tracker|forkserver)")


def shared_data_dir() -> Path | None:
    """The folder of voice recordings kept beside the checkout, or None."""
    candidates = [REPOSITORY / "shared", REPOSITORY.parent / "shared"]
    if "STRIDOR_SHARED" in os.environ:
        candidates.insert(0, Path(os.environ["STRIDOR_SHARED"]))
    folders = [candidate / "data" / "voices" for candidate in candidates]
    return next((folder for folder in folders if (folder / "catalog.csv").is_file()), None)


# ---- declared skips


def _without_jack() -> str:
    return "" if shutil.which("jackd") else "jackd is not installed"


def _without_display() -> str:
    return "" if shutil.which("Xvfb") else "Xvfb is not installed"


def _without_shared_data() -> str:
    return "" if shared_data_dir() else "no shared/data/voices beside the checkout"


def _without_gpu() -> str:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch  # only when a test asks for a GPU: torch takes seconds to import

    return "" if torch.cuda.is_available() else "no CUDA device"


def _without_weights() -> str:
    folder = REPOSITORY / "presets" / "models" / "default"
    return "" if (folder / "denoiser.safetensors").is_file() else "no trained model in presets/models/default"


def _without_evaluation() -> str:
    missing = [name for name in ("parselmouth", "matplotlib") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _without_world() -> str:
    return "" if importlib.util.find_spec("pyworld") else "pyworld is not installed"


def _without_peers() -> str:
    return "" if importlib.util.find_spec("audio_diffusion_pytorch") else "the peers extra is not installed"


_REQUIREMENTS: dict[str, Callable[[], str]] = {
    "jack": _without_jack,
    "display": _without_display,
    "shared_data": _without_shared_data,
    "gpu": _without_gpu,
    "weights": _without_weights,
    "evaluation": _without_evaluation,
    "world": _without_world,
    "peers": _without_peers,
}
_DECLARED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out the tests marked slow")


class _SkipLedger:
    """Counts what each marker ran and skipped, for the line at the end."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}


_LEDGER = pytest.StashKey[_SkipLedger]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEDGER] = _SkipLedger()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, by marker only, and count it."""
    ledger = config.stash[_LEDGER]
    for item in items:
        for name in (*_REQUIREMENTS, "slow"):
            if item.get_closest_marker(name) is None:
                continue
            if name not in ledger.reasons:
                quick = "left out by --quick" if config.getoption("--quick") else ""
                ledger.reasons[name] = quick if name == "slow" else _REQUIREMENTS[name]()
            reason = ledger.reasons[name]
            if reason:
                ledger.skipped[name] += 1
                item.stash[_DECLARED] = True
                item.add_marker(pytest.mark.skip(reason=f"[{name}] {reason}"))
            else:
                ledger.ran[name] += 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A skip that no marker declared is a failure."""
    report: pytest.TestReport = yield  # pyright: ignore[reportAssignmentType]
    if report.skipped and not hasattr(report, "wasxfail") and not item.stash.get(_DECLARED, False):
        report.outcome = "failed"
        report.longrepr = f"undeclared skip (use a marker of pyproject.toml): {report.longrepr}"
    return report  # pyright: ignore[reportReturnType]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """The same for a module that skips itself while it is collected."""
    report: pytest.CollectReport = yield  # pyright: ignore[reportAssignmentType]
    if report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"undeclared skip of a whole module: {report.longrepr}"
    return report  # pyright: ignore[reportReturnType]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    ledger = config.stash[_LEDGER]
    parts = []
    for name in sorted(ledger.reasons):
        why = f" ({ledger.reasons[name]})" if ledger.reasons[name] else ""
        parts.append(f"{name} {ledger.ran[name]} ran, {ledger.skipped[name]} skipped{why}")
    terminalreporter.write_line("declared by marker: " + ("; ".join(parts) or "none"))


# ---- user folders


@pytest.fixture(autouse=True)
def _user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings, caches and logs of whoever runs it."""
    home = tmp_path_factory.mktemp("user")
    for kind in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))


# ---- logs


class _WarningCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class ExpectedLogs:
    """Log messages a test declares. Each pattern must be seen at least once."""

    def __init__(self) -> None:
        self.patterns: list[re.Pattern[str]] = []

    def expect(self, pattern: str) -> None:
        """Declare that a record of WARNING or above whose message matches `pattern` will appear."""
        self.patterns.append(re.compile(pattern))


@pytest.fixture
def expected_logs() -> ExpectedLogs:
    return ExpectedLogs()


@pytest.fixture(autouse=True)
def _strict_logs(request: pytest.FixtureRequest, expected_logs: ExpectedLogs) -> Iterator[None]:
    for marker in request.node.iter_markers("expects_log"):
        for pattern in marker.args:
            expected_logs.expect(pattern)
    collector = _WarningCollector()
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        yield
    finally:
        root.removeHandler(collector)
    messages = [f"{record.levelname} {record.name}: {record.getMessage()}" for record in collector.records]
    unexpected = [text for text in messages if not any(pattern.search(text) for pattern in expected_logs.patterns)]
    if unexpected:
        pytest.fail("unexpected log records:\n  " + "\n  ".join(unexpected), pytrace=False)
    unseen = [p.pattern for p in expected_logs.patterns if not any(p.search(text) for text in messages)]
    if unseen:
        pytest.fail(f"expected log records never appeared: {unseen}", pytrace=False)


# ---- leftovers


def _children() -> dict[int, str]:
    """Living child processes of this one, by pid, without zombies and the interpreter's own."""
    found: dict[int, str] = {}
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and not _INTERPRETER_CHILDREN.search(command):
                found[child.pid] = command
        except psutil.NoSuchProcess:
            continue
    return found


def _active_qt_timers() -> list[str]:
    """Descriptions of QTimer objects that still run."""
    import gc

    from PySide6.QtCore import QTimer
    from shiboken6 import isValid

    # By type(), not isinstance(): that asks an object for its __class__, and torch has one that warns when asked.
    timers = [found for found in gc.get_objects() if issubclass(type(found), QTimer) and isValid(found)]
    return [f"QTimer {timer.objectName() or timer!r} of {timer.parent()!r}" for timer in timers if timer.isActive()]


@pytest.fixture(autouse=True)
def _no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads, child processes and Qt timers end with the test that started them."""
    threads_before = set(threading.enumerate())
    children_before = set(_children())
    uses_qt = bool({"qtbot", "qapp"} & set(request.fixturenames))
    timers_before = set(_active_qt_timers()) if uses_qt else set()
    yield
    allowed = [re.compile(pattern) for marker in request.node.iter_markers("leaves") for pattern in marker.args]
    deadline_s = time.monotonic() + _SETTLE_S
    while True:
        left = [
            f"thread {thread.name}"
            for thread in threading.enumerate()
            if thread not in threads_before and not any(pattern.search(thread.name) for pattern in allowed)
        ]
        left += [f"process {pid}: {text}" for pid, text in _children().items() if pid not in children_before]
        if not left or time.monotonic() > deadline_s:
            break
        time.sleep(0.02)
    if uses_qt:
        left += [timer for timer in _active_qt_timers() if timer not in timers_before]
    if left:
        pytest.fail("left behind by this test:\n  " + "\n  ".join(left), pytrace=False)
