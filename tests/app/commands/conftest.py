"""Running the program inside the test's process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from app.main import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the program left."""

    status: int
    out: str
    err: str


Program = Callable[..., Ran]


@pytest.fixture
def stridor(capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    """Run `stridor` with these words; its log handlers are taken away afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def run(*words: str) -> Ran:
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    yield run
    logging.captureWarnings(False)
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
