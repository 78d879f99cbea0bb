"""Whether a window can be opened is known before Qt is asked."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from app.commands.display import display_trouble


@pytest.fixture
def x_display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A display without a screen."""
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    name = f":{process.stdout.readline().strip()}"
    monkeypatch.setenv("DISPLAY", name)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    try:
        yield name
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.mark.display
def test_display_that_answers_is_no_trouble(x_display: str) -> None:
    assert display_trouble() == ""


@pytest.mark.display
def test_missing_library_is_named(x_display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.commands.display._XCB_LIBRARIES", ("libxcb-no-such-thing.so.9",))
    assert "libxcb-no-such-thing.so.9" in display_trouble()


@pytest.mark.parametrize("name", [":987", "unix:987", ":987.0"])
def test_display_that_does_not_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", name)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "does not answer" in display_trouble()


def test_drawing_into_memory_needs_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert display_trouble() == ""
