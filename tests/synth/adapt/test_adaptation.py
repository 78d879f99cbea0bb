"""From sound files to an adapter: everything runs, learns, is stopped and goes on, and says what it found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synth.adapt.adaptation import ADAPTER_FILE, Adapted, Wanted, adapt
from synth.adapt.compare import compare_methods, methods_table, summarise
from synth.adapt.material import deal_splits, find_recordings
from synth.adapt.training import AdaptRecipe
from synth.adapters.file import read_adapter
from synth.corpus.importers.layouts import Terms
from synth.corpus.manifest import ClipRecord
from synth.engine import Engine
from synth.errors import UserError
from tests.synth.corpus.recordings import voice, write
from tests.tiny_weights import save_tiny_weights

TERMS = Terms("CC0-1.0", "made by a formula", "Nobody")
N_STEPS = 42  # a report every 20 and at the end


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("takes")
    for index in range(5):
        write(folder / f"take_{'abcde'[index]}.wav", voice(2.3, 110.0 + 20.0 * index, seed=index))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights"))


def wanted(recordings: Path, weights: Path, run: Path, method: str = "lora", n_steps: int = N_STEPS) -> Wanted:
    recipe = AdaptRecipe(method, batch_size=8, rank=2, share=0.05, use_bf16=False, learning_rate=1e-2, ema_decay=0.8)
    return Wanted(
        (recordings,), "growl", TERMS, run, "hers", weights, minutes=5.0, recipe=recipe, n_rehearsed=6, n_judged=1,
        device="cpu", max_steps=n_steps,
    )  # fmt: skip


@pytest.fixture(scope="module")
def adapted(recordings: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    return adapt(wanted(recordings, weights, tmp_path_factory.mktemp("lora")))


def test_recordings_become_an_adapter_that_sings(adapted: Adapted, weights: Path) -> None:
    assert adapted.path is not None
    adapter = read_adapter(adapted.path)
    assert adapter.info.technique == "growl"
    assert (adapter.info.licence, adapter.info.consent) == ("CC0-1.0", "made by a formula")
    assert adapter.info.training["steps"] == N_STEPS
    assert 0 < adapter.info.share < 1
    assert set(adapter.info.features) >= {"roughness", "breathiness", "pitch"}
    engine = Engine.load(weights, "cpu", 1)
    said: list[str] = []
    engine.on_trouble = lambda message, _: said.append(message)
    engine.adapters.load(adapted.path)
    assert said == []  # it names the base it was made for


def test_training_learns_without_forgetting(adapted: Adapted) -> None:
    assert adapted.path is not None
    rows = [json.loads(line) for line in (adapted.path.parent / "stage-1" / "log.jsonl").read_text().splitlines()]
    validation = [row["validation"] for row in rows if row.get("validation") is not None]
    assert validation[-1] < validation[0]
    assert rows[-1]["drift"] < rows[-1]["adapted"]


def test_the_report_says_what_was_found_and_gained(adapted: Adapted) -> None:
    assert adapted.path is not None
    report = json.loads((adapted.path.parent / "report.json").read_text())
    assert report["material"]["segments"]["train"] >= 1
    assert report["material"]["segments"]["test"] >= 1
    held = report["held_out"]
    assert held["before"]["control_error"] > 0
    assert held["after"]["control_error"] > 0
    assert {"value", "low", "high", "n"} == set(held["change"]["log_mel_db"])
    assert report["file"]["bytes"] == adapted.path.stat().st_size
    previews = {path.name for path in (adapted.path.parent / "previews").iterdir()}
    assert {"1_real.flac", "1_before.flac", "1_after.flac"} <= previews


@pytest.mark.parametrize("method", ["sara", "full"])
def test_other_methods_go_the_same_way(method: str, recordings: Path, weights: Path, tmp_path: Path) -> None:
    done = adapt(wanted(recordings, weights, tmp_path, method, n_steps=6))
    assert done.path is not None
    assert read_adapter(done.path).info.method == method
    assert len(done.trained.reports) == (2 if method == "sara" else 1)


def test_a_run_that_was_stopped_goes_on(recordings: Path, weights: Path, tmp_path: Path) -> None:
    """Stopped after some steps, and taken up by the same call: the same steps as one that was left alone."""
    asked = 0

    def after_six() -> bool:
        nonlocal asked
        asked += 1
        return asked > 6

    request = wanted(recordings, weights, tmp_path / "stopped", n_steps=12)
    stopped = adapt(request, should_stop=after_six)
    assert stopped.trained.stopped
    assert stopped.adapter is None
    assert not (tmp_path / "stopped" / ADAPTER_FILE).exists()
    resumed = adapt(request)
    whole = adapt(replace(request, run=tmp_path / "whole"))
    assert resumed.adapter is not None
    assert whole.adapter is not None
    assert resumed.trained.reports["stage 1"].steps == 12
    for name, parts in whole.trained.candidates["last"].items():
        for suffix, value in parts.items():
            again = resumed.trained.candidates["last"][name][suffix]
            # The moving average forgets the schedule's clock: learning rates go by time.
            np.testing.assert_allclose(again.float(), value.float(), atol=5e-3)


def test_methods_are_compared_on_the_same_material(recordings: Path, weights: Path, tmp_path: Path) -> None:
    arms = compare_methods(wanted(recordings, weights, tmp_path, n_steps=3), [4], ("lora", "sara"))
    assert [(arm.method, arm.seed) for arm in arms] == [("lora", 4), ("sara", 4)]
    assert {path.name for path in tmp_path.iterdir()} == {"lora-4", "sara-4", "shared"}
    before = [arm.report["held_out"]["before"] for arm in arms]
    assert before[0] == before[1]  # the base sings the same recordings the same
    assert methods_table(summarise(arms), None).count("\n") == 6


def test_another_adaptation_s_folder_is_refused(adapted: Adapted, recordings: Path, weights: Path) -> None:
    assert adapted.path is not None
    request = wanted(recordings, weights, adapted.path.parent)
    with pytest.raises(UserError, match="another adaptation \\(recipe\\)"):
        adapt(replace(request, recipe=replace(request.recipe, rank=3)))


def test_consent_and_licence_are_asked_for(recordings: Path, weights: Path, tmp_path: Path) -> None:
    request = wanted(recordings, weights, tmp_path)
    for terms in (Terms("", "mine", ""), Terms("CC0-1.0", " ", "")):
        with pytest.raises(UserError, match="licence and the singer's consent"):
            adapt(replace(request, terms=terms))


def test_only_the_technique_s_recordings_are_taken(tmp_path: Path) -> None:
    for label in ("growl", "whisper"):
        write(tmp_path / "set" / label / "a.wav", voice(0.2))
    found, said = find_recordings([tmp_path / "set"], "growl")
    assert [entry.name for entry in found] == ["set/growl/a.wav"]
    assert said == ["1 recordings of whisper are no growl."]
    with pytest.raises(UserError, match="no scream in what was named"):
        find_recordings([tmp_path / "set"], "scream")
    (tmp_path / "words.txt").write_text("la")
    with pytest.raises(UserError, match="neither a folder nor a sound file"):
        find_recordings([tmp_path / "words.txt"], "growl")
    with pytest.raises(UserError, match="is not there"):
        find_recordings([tmp_path / "gone.wav"], "growl")
    for folder in "ab":
        write(tmp_path / folder / "take.wav", voice(0.2))
    apart, _ = find_recordings([tmp_path / "a" / "take.wav", tmp_path / "b" / "take.wav"], "growl")
    assert len({entry.name for entry in apart}) == 2


def record(index: int, split: str = "train", duration_s: float = 5.0) -> ClipRecord:
    return ClipRecord(
        f"clip-{index}", "real", "own", {"growl": 1.0}, "growl", split, "f", "CC0", "mine", "", duration_s,  # type: ignore[arg-type]
        None, (f"{index}.wav",), (0.0,), "0" * 64,
    )  # fmt: skip


def test_little_material_is_shared_out_by_clip_and_said_so() -> None:
    dealt, held_by = deal_splits([record(index) for index in range(20)])
    assert held_by == "clip"
    counts = {split: sum(clip.split == split for clip in dealt) for split in ("train", "validation", "test")}
    assert counts == {"train": 16, "validation": 2, "test": 2}
    kept, held_by = deal_splits([record(0), record(1), record(2, "validation"), record(3, "test")])
    assert held_by == "recording"
    assert [clip.split for clip in kept] == ["train", "train", "validation", "test"]


def test_material_beyond_what_is_wanted_is_held_out() -> None:
    records = [record(index) for index in range(20)] + [record(20, "validation"), record(21, "test")]
    dealt, _ = deal_splits(records, most_minutes=0.5)
    learnt_s = sum(clip.duration_s for clip in dealt if clip.split == "train")
    assert learnt_s == 30.0
    assert sum(clip.split == "test" for clip in dealt) == 15


def test_takes_of_one_source_are_learnt_or_held_out_together() -> None:
    takes = [replace(record(index), family=f"source {index // 3}") for index in range(18)]
    dealt, _ = deal_splits([*takes, record(20, "validation"), record(21, "test")], most_minutes=0.8)
    sides = {family: {clip.split for clip in dealt if clip.family == family} for family in {c.family for c in takes}}
    assert all(len(found) == 1 for found in sides.values())
    assert {"train", "test"} == set().union(*sides.values())


def test_too_little_is_told() -> None:
    with pytest.raises(UserError, match="too little to adapt to"):
        deal_splits([record(0, duration_s=2.0), record(1, duration_s=2.0)])
