"""Previews while it trains: sung, measured, kept, gone on with; and what was nearest becomes a candidate."""

from __future__ import annotations

import errno
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import soundfile

import synth.adapt.adaptation as adaptation
import synth.adapt.training as training
from synth.adapt.adaptation import Wanted, adapt
from synth.adapt.listening import HEARD_FILE, Preview, read_previews
from synth.adapt.task import Outside
from synth.adapt.training import AdaptRecipe, TrainingPlan
from synth.adapters.file import read_adapter
from synth.corpus.importers.layouts import Terms
from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from tests.synth.corpus.recordings import voice, write
from tests.tiny_weights import save_tiny_weights


@pytest.fixture(scope="module")
def request_for(tmp_path_factory: pytest.TempPathFactory) -> Wanted:
    folder = tmp_path_factory.mktemp("takes")
    for index in range(5):
        write(folder / f"take_{'abcde'[index]}.wav", voice(2.3, 110.0 + 20.0 * index, seed=index))
    recipe = AdaptRecipe("sara", batch_size=8, share=0.05, use_bf16=False, learning_rate=1e-2, ema_decay=0.8)
    return Wanted(
        (folder,), "growl", Terms("CC0-1.0", "made by a formula", "Nobody"), folder / "run", "hers",
        save_tiny_weights(tmp_path_factory.mktemp("weights")), minutes=5.0, recipe=recipe, n_rehearsed=0, n_judged=1,
        device="cpu", max_steps=40, preview_every_s=1e-3,
    )  # fmt: skip


def test_previews_are_sung_while_it_trains_and_the_nearest_may_be_chosen(request_for: Wanted, tmp_path: Path) -> None:
    told: list[Preview] = []
    short = replace(request_for, run=tmp_path, previews=tmp_path / "heard", max_steps=2)
    done = adapt(short, on_preview=told.append)
    assert [preview.index for preview in told] == list(range(len(told)))
    assert 4 <= len(told) <= 6, "the base, and before every step of two stages"
    for preview in told:
        audio, rate_hz = soundfile.read(preview.sound)
        assert rate_hz == SAMPLE_RATE_HZ
        assert abs(audio).max() > 0.0
        assert 0.0 < preview.control_error < 1.0
    assert read_previews(tmp_path / "heard") == told
    assert (tmp_path / "heard" / "recording.flac").is_file()
    assert set(done.report["chosen"]["control_errors"]) >= {"last", "nearest"}
    assert read_adapter(tmp_path / "heard" / HEARD_FILE).info.method == "sara"


@pytest.mark.parametrize(("stage", "heard"), [(0, 2), (1, 3)])
def test_nothing_is_heard_before_something_was_learnt(stage: int, heard: int) -> None:
    """LoRA's file has all its layers before the first step already, which sing as the base does."""
    times: list[object] = []
    outside = Outside(cast(Any, None), {}, (), average=cast(Any, object()))
    hear = TrainingPlan.heard_by(cast(Any, None), times.append, stage, outside, {})
    assert not any(hear() for _ in range(3))
    assert len(times) == heard


def test_where_nobody_sings_in_what_chooses_the_last_is_taken(
    request_for: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "recordings_of", lambda *_given: [])
    given: Any = None
    material: Any = type("Nothing", (), {"corpus": None})
    for candidates, chosen in (({"last": {}, "nearest": {}}, "last"), ({"last": {}, "best": {}}, "best")):
        found = adaptation._best(given, given, candidates, given, material, request_for, lambda _what, _share: None)
        assert found == (chosen, {})


def test_listening_changes_nothing_of_the_training(request_for: Wanted, tmp_path: Path) -> None:
    short = replace(request_for, max_steps=3)
    heard = adapt(replace(short, run=tmp_path / "heard"))
    unheard = adapt(replace(short, run=tmp_path / "unheard", preview_every_s=None))
    losses = []
    for run in ("heard", "unheard"):
        rows = (tmp_path / run / "stage-1" / "log.jsonl").read_text().splitlines()
        losses.append([json.loads(row)["loss"] for row in rows])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert not (tmp_path / "unheard" / "previews" / "while-training").exists()
    assert heard.adapter is not None
    assert unheard.adapter is not None


def test_a_run_that_goes_on_goes_on_with_its_previews(request_for: Wanted, tmp_path: Path) -> None:
    asked = 0

    def after_2() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    wanted = replace(request_for, run=tmp_path, max_steps=4)
    stopped = adapt(wanted, should_stop=after_2)
    assert stopped.adapter is None
    before = read_previews(tmp_path / "previews" / "while-training")
    told: list[Preview] = []
    assert adapt(wanted, on_preview=told.append).adapter is not None
    assert told[: len(before)] == before
    assert len(told) > len(before)
    assert all(not math.isnan(preview.control_error) for preview in told)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full"),
        (OSError(errno.EIO, "Input/output error", "/media/stick/checkpoint"), "/media/stick/checkpoint: Input/output"),
    ],
)
def test_a_disk_that_fails_is_told_in_a_line_and_the_run_goes_on_later(
    fault: OSError, said: str, request_for: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = replace(request_for, run=tmp_path, max_steps=4, preview_every_s=None)

    def full(*_given: object, **_more: object) -> object:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(training, "train", full)
        with pytest.raises(UserError, match=said) as told:
            adapt(wanted)
    assert "goes on from its last checkpoint" in told.value.remedy
    assert adapt(wanted).adapter is not None
