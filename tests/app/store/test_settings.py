"""Settings and unsaved work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.state.passage import Lane, Passage, Voice
from app.state.places import PlacedError
from app.store.recovery import RecoveryFile, discard, find_recoverable
from app.store.settings import MAX_RECENT_FILES, Settings, load_settings, save_settings

PASSAGE = Passage(3.0, voices=(Voice(lanes={"fry": Lane(((0.0, 0.5),))}),))


def test_round_trip_and_first_start(tmp_path: Path) -> None:
    path = tmp_path / "config" / "settings.json"
    assert load_settings(path).settings == Settings()
    assert load_settings(path).fault is None
    chosen = replace(Settings(), theme="dark", output_device="Built-in ä", window_geometry="AdnQ").with_recent_file(
        tmp_path / "a.stridor"
    )
    save_settings(chosen, path)
    assert load_settings(path).settings == chosen


def test_recent_files_are_few_and_each_once(tmp_path: Path) -> None:
    settings = Settings()
    for number in (*range(20), 15):
        settings = settings.with_recent_file(tmp_path / f"{number}.stridor")
    assert len(settings.recent_files) == MAX_RECENT_FILES
    assert settings.recent_files[0].endswith("15.stridor")
    assert settings.recent_files[1].endswith("19.stridor")
    assert "15.stridor" not in str(settings.without_recent_file(tmp_path / "15.stridor").recent_files)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"revision": 1, "colour": "red"}',
        '{"revision": 9}',
        '{"revision": 1, "theme": "pink"}',
        '{"revision": 1, "theme": null}',
        '{"revision": 1, "recent_files": [1]}',
        '{"revision": 1, "recent_files": 3}',
        '{"revision": 1, "midi_input": 4}',
    ],
)
def test_settings_that_cannot_be_used_are_set_aside(content: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    loaded = load_settings(path)
    assert loaded.settings == Settings()
    assert loaded.fault is not None
    assert "settings.json.broken" in loaded.fault.remedy
    assert (tmp_path / "settings.json.broken").read_text() == content
    assert not path.exists()


def test_settings_are_checked_when_made() -> None:
    with pytest.raises(PlacedError, match="theme: 'pink' is not one of"):
        Settings(theme="pink")


def test_work_of_a_running_process_is_left_alone(tmp_path: Path) -> None:
    recovery = RecoveryFile(tmp_path)
    recovery.keep(PASSAGE, None, now_s=5.0)
    assert find_recoverable(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 1
    recovery.discard()
    assert list(tmp_path.iterdir()) == []
    recovery.discard()


def test_work_of_a_process_that_died_is_found(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from app.state.passage import *; from app.store.recovery import *;"
        "v = Voice(lanes={'fry': Lane(((0.0, 0.5),))});"
        "RecoveryFile(Path(sys.argv[1])).keep(Passage(3.0, voices=(v,)), Path('/music/a.stridor'), now_s=7.0);"
        "os._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == 1
    (found,) = find_recoverable(tmp_path)
    assert (found.passage, found.original, found.saved_at_s) == (PASSAGE, Path("/music/a.stridor"), 7.0)
    discard(found.file)
    assert find_recoverable(tmp_path) == []


def test_a_process_number_used_again_does_not_hide_the_work(tmp_path: Path) -> None:
    recovery = RecoveryFile(tmp_path)
    recovery.keep(PASSAGE, None, now_s=5.0)
    (file,) = tmp_path.iterdir()
    document = json.loads(file.read_text())
    document["process"] = {"id": os.getpid(), "born_s": 1.0}
    file.write_text(json.dumps(document))
    assert [found.passage for found in find_recoverable(tmp_path)] == [PASSAGE]


def test_broken_recovery_files_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "1-a.recovery").write_text('{"half')
    assert find_recoverable(tmp_path) == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["1-a.recovery.broken"]
