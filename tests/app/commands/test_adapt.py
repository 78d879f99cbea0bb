"""`stridor adapt` as a person meets it: recordings in, a preset that sings out, one line for every trouble."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.font_manager  # noqa: F401 (looks for fonts now, not in each test's own empty home)
import pytest

import app.adapting.training as adapting
from app.store.adapters import find_adapter
from app.store.presets import load_preset, load_preset_file
from synth.adapters.file import read_adapter
from tests.app.commands.conftest import Program
from tests.synth.corpus.recordings import voice, write
from tests.tiny_weights import save_tiny_weights


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    for index, name in enumerate("abcde"):
        write(tmp_path / "her growl" / f"take_{name}.wav", voice(2.2, 110.0 + 20.0 * index, seed=index))
    return tmp_path / "her growl"


def words(takes: Path, run: Path, *more: str) -> list[str]:
    return ["adapt", str(takes), "--technique", "growl", "--run", str(run), "--workers", "0", "--threads", "1", *more]


CONSENT = ("--licence", "CC0-1.0", "--consent", "made by a formula")


def test_recordings_become_an_installed_preset(stridor: Program, takes: Path, tmp_path: Path) -> None:
    weights, run = save_tiny_weights(tmp_path / "weights"), tmp_path / "run"
    given = words(takes, run, *CONSENT, "--weights", str(weights), "--minutes", "0.02", "--method", "sara", "--no-bf16")
    done = stridor(*given, "--regions", "middle,late", "--author", "Nobody", "--install", "--json")
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert report["material"]["segments"]["train"] >= 1
    adapter = read_adapter(Path(report["adapter"]))
    assert (adapter.info.regions, adapter.info.author) == (("middle", "late"), "Nobody")
    preset = load_preset_file(Path(report["preset"]))
    assert (preset.name, preset.consent, preset.technique) == ("her growl", "made by a formula", {"growl": 1.0})
    assert preset.adapter_strengths() == {f"adapter.{adapter.id}.{region}": 1.0 for region in ("middle", "late")}
    assert preset.timbre is not None
    assert find_adapter(adapter.id).read_bytes() == Path(report["adapter"]).read_bytes()
    assert load_preset("her_growl").adapters == preset.adapters


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ((), "licence and the singer's consent"),
        ((*CONSENT, "--regions", "upper"), "There is no region 'upper'"),
        ((*CONSENT, "--regions", ""), "No region is named"),
        ((*CONSENT, "--weights", "nowhere"), "missing"),
    ],
)
def test_trouble_is_one_line(more: tuple[str, ...], why: str, stridor: Program, takes: Path, tmp_path: Path) -> None:
    weights = save_tiny_weights(tmp_path / "weights")
    done = stridor(*words(takes, tmp_path / "run", "--method", "sara", "--weights", str(weights), *more))
    assert done.status == 2
    assert why in done.err.splitlines()[-1]


def test_without_peft_another_method_is_named(
    stridor: Program, takes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapting.importlib.util, "find_spec", lambda _name: None)
    done = stridor(*words(takes, tmp_path / "run", *CONSENT))
    assert done.status == 2
    assert "--method sara" in done.err


def test_a_run_is_heard_while_it_trains_and_resumed_by_its_folder_alone(
    stridor: Program, takes: Path, tmp_path: Path
) -> None:
    weights, run = save_tiny_weights(tmp_path / "weights"), tmp_path / "run"
    given = words(takes, run, *CONSENT, "--weights", str(weights), "--minutes", "0.02", "--method", "sara", "--no-bf16")
    first = stridor(*given, "--preview-every", "1", "--previews", str(tmp_path / "heard"), "--name", "Hers")
    assert first.status == 0, first.err
    assert (tmp_path / "heard" / "recording.flac").is_file()
    assert (tmp_path / "heard" / "preview-000.flac").is_file()
    assert "preview 0 after 0 s" in first.err
    again = stridor("adapt", "--run", str(run), "--resume", "--json")
    assert again.status == 0, again.err
    report = json.loads(again.out)
    assert report["name"] == "Hers"
    assert load_preset_file(Path(report["preset"])).name == "Hers"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--resume",), "Nothing was begun in"),
        (("a.wav", "--resume"), "are those it was begun with"),
        ((), "No recordings are named"),
        (("a.wav",), "No technique is named"),
        (("a.wav", "--technique", "growl", "--previews", "heard"), "--previews without --preview-every"),
    ],
)
def test_what_does_not_go_together_is_told(given: tuple[str, ...], why: str, stridor: Program, tmp_path: Path) -> None:
    done = stridor("adapt", *given, "--run", str(tmp_path / "run"))
    assert done.status == 2
    assert why in done.err.splitlines()[-1]
