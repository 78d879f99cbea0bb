"""The program as a whole: help, start-up time, exit codes, one line for every trouble."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from app.commands.command import COMMANDS, ExampleCommand, Stridor
from app.commands.doctor import SECTION_NAMES
from app.report import log_folder
from tests.app.commands.conftest import Program

REPOSITORY = Path(__file__).resolve().parents[3]


def all_commands() -> dict[str, click.Command]:
    """Every command that does something, by its words."""
    group = Stridor()
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        one = group.get_command(context, name)
        assert one is not None
        if isinstance(one, click.Group):
            found |= {f"{name} {inner}": command for inner, command in one.commands.items()}
        else:
            found[name] = one
    return found


def test_every_command_has_json_and_an_example() -> None:
    for words, command in all_commands().items():
        assert isinstance(command, ExampleCommand), words
        assert command.example.startswith(f"stridor {words}"), words
        assert any("--json" in option.opts for option in command.params), words
        assert command.help, words


@pytest.mark.parametrize("words", list(all_commands()))
def test_help_ends_with_the_example(words: str, stridor: Program) -> None:
    ran = stridor(*words.split(), "--help")
    assert ran.status == 0
    assert f"stridor {words}" in ran.out.split("Example:")[1]


def test_example_of_every_command_parses() -> None:
    """The words of an example are options and arguments that the command has."""
    for words, command in all_commands().items():
        assert isinstance(command, ExampleCommand)
        for line in command.example.splitlines():
            arguments = line.split()[1 + len(words.split()) :]
            command.make_context(words, arguments, resilient_parsing=False)


def test_help_answers_at_once() -> None:
    """Half a second of work at most, best of three: processor time, so that a busy machine does not count."""
    durations_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "app.main", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        durations_s.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert "render" in done.stdout
    assert min(durations_s) < 0.5


@pytest.mark.parametrize(
    "words",
    [
        ["nosuchcommand"],
        ["render"],
        ["render", "missing.stridor", "-o", "out.wav"],
        ["render", "missing.stridor", "-o", "out.wav", "--quality", "best"],
        ["render", "missing.mid", "-o", "out.wav", "--preset", "no-such-preset"],
        ["measure", "missing.wav"],
        ["extract", "missing.wav", "-o", "out.stridor"],
        ["extract", "missing.wav", "-o", "out.txt"],
        ["presets", "show", "no-such-preset"],
        ["corpus", "check", "missing"],
        ["train", "codec", "--corpus", "missing", "--run", "run"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_2(
    words: list[str], stridor: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = stridor(*words)
    assert ran.status == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("stridor: ")
    assert "Traceback" not in ran.err


@pytest.mark.expects_log("unhandled: stridor presets list")
def test_mistake_of_ours_is_one_line_and_1_with_the_trace_in_the_log(
    stridor: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise ZeroDivisionError("a slip of ours")

    monkeypatch.setattr("app.store.presets.read_shelf", fail)
    ran = stridor("presets", "list")
    assert ran.status == 1
    assert len(ran.err.splitlines()) == 1
    log = log_folder() / "cli.log"
    assert str(log) in ran.err
    assert "a slip of ours" in log.read_text()
    assert "Traceback" in log.read_text()


@pytest.mark.expects_log("unhandled: stridor --debug presets list")
def test_debug_shows_the_trace(stridor: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise ZeroDivisionError("a slip of ours")

    monkeypatch.setattr("app.store.presets.read_shelf", fail)
    ran = stridor("--debug", "presets", "list")
    assert ran.status == 1
    assert "Traceback" in ran.err


def test_interrupt_is_130(stridor: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.store.presets.read_shelf", interrupt)
    ran = stridor("presets", "list")
    assert ran.status == 130
    assert ran.err.strip() == "stridor: Stopped."


def test_group_without_command_shows_its_commands(stridor: Program) -> None:
    ran = stridor("corpus")
    assert ran.status == 2
    assert "build" in ran.err


@pytest.mark.parametrize("display", [None, ":987"])
def test_window_without_a_display_is_one_line(
    stridor: Program, monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    ran = stridor()
    assert ran.status == 2
    assert len(ran.err.splitlines()) == 1
    assert "display" in ran.err


def test_doctor_examines_everything_whatever_is_missing(stridor: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """One section that fails hides no other."""

    def fail() -> Any:
        raise ZeroDivisionError("no driver answers")

    monkeypatch.setattr("app.audio.probe.probe_devices", fail)
    ran = stridor("doctor", "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert set(found) == set(SECTION_NAMES)
    assert not found["sound"]["ok"]
    assert "no driver answers" in found["sound"]["words"][0]
    assert found["folders"]["ok"]
    assert found["crashes"]["records"] == []
    assert found["versions"]["packages"]["numpy"] != "not installed"
