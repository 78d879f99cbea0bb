"""Requests keep; what a dead process left is offered; what a living one does is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import app.adapting.runs as runs
from app.adapting.request import REQUEST_FILE, AdaptRequest, load_request, save_request
from synth.errors import UserError

REQUEST = AdaptRequest(
    (Path("/takes/a.wav"), Path("/takes/b")), "growl", name="Hers", licence="CC0-1.0", consent="mine ü",
    method="sara", regions=("early", "late"), minutes=3.5, material_minutes=2.0, previews=Path("/heard"),
    preview_every_s=30.0, threshold=None, seed=4, install=True,
)  # fmt: skip


def test_a_request_comes_back(tmp_path: Path) -> None:
    save_request(tmp_path / "run", REQUEST)
    assert load_request(tmp_path / "run") == REQUEST


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda d: d.pop("paths"), "paths"),
        (lambda d: d.update(method="magic"), "not one of"),
        (lambda d: d.update(minutes="long"), "not a number"),
        (lambda d: d.update(revision=9), "revision"),
        (lambda d: d.update(colour="red"), "unknown key"),
        (lambda d: d.update(weights=3), "not a path"),
        (lambda d: d.update(regions="early"), "not a list"),
        (lambda d: d.update(licence=None), "not a text"),
    ],
)
def test_a_spoilt_request_is_a_line(spoil: Callable[[dict], object], why: str, tmp_path: Path) -> None:
    save_request(tmp_path, REQUEST)
    document = json.loads((tmp_path / REQUEST_FILE).read_text())
    spoil(document)
    (tmp_path / REQUEST_FILE).write_text(json.dumps(document))
    with pytest.raises(UserError, match=why):
        load_request(tmp_path)


def test_only_what_nobody_works_at_is_unfinished(tmp_path: Path) -> None:
    for name in ("left", "done", "running", "broken"):
        save_request(tmp_path / name, REQUEST)
    (tmp_path / "broken" / REQUEST_FILE).write_text("{")
    (tmp_path / "done" / "corpus").mkdir()
    runs.mark_finished(tmp_path / "done", "hers")
    assert not (tmp_path / "done" / "corpus").exists()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        born_s = psutil.Process(other.pid).create_time()
        for name in ("running", "left"):
            owner = {"id": other.pid, "born_s": born_s if name == "running" else born_s - 1000.0}
            (tmp_path / name / "process.json").write_text(json.dumps(owner))
        assert [entry.run.name for entry in runs.unfinished(tmp_path)] == ["left"]
        with pytest.raises(UserError, match="Another Stridor"):
            runs.claim(tmp_path / "running", patience_s=0.1)
        runs.claim(tmp_path / "left")
        other.kill()
    assert {entry.run.name for entry in runs.unfinished(tmp_path)} == {"left", "running"}, "it has died meanwhile"
    runs.claim(tmp_path / "made" / "by it")
    assert json.loads((tmp_path / "left" / "process.json").read_text())["id"] == os.getpid()


def test_discarding_takes_adaptations_only(tmp_path: Path) -> None:
    save_request(tmp_path / "run", REQUEST)
    runs.discard(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match="is no adaptation"):
        runs.discard(tmp_path / "photos")


def test_a_full_disk_is_told_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs.new_run(tmp_path).parent == tmp_path
    monkeypatch.setattr(runs.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 20_000_000})())
    with pytest.raises(UserError, match="Only 20 MB are free"):
        runs.new_run(tmp_path / "not" / "there")
