"""The desk with real processes and tiny weights: looked at, trained, killed, resumed, installed, packed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from app.adapting.runs import adaptations_folder
from app.services.adapting import (
    LEAST_S,
    LEAST_SEGMENTS,
    AdaptingDesk,
    AdaptRequest,
    Failed,
    Finished,
    FoundRecording,
    Heard,
    Looked,
    News,
    Step,
    Stopped,
    Work,
)
from app.store.adapters import find_adapter
from app.store.packs.reader import read_pack
from app.store.presets import load_preset
from synth.adapt import material
from synth.errors import UserError
from tests.synth.corpus.recordings import voice, write
from tests.tiny_weights import save_tiny_weights

PATIENCE_S = 300.0  # processes that import torch, on a machine that may be busy


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[AdaptingDesk]:
    made = AdaptingDesk(tmp_path / "runs", tmp_path / "recordings")
    yield made
    made.close()


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    for index, name in enumerate("abcde"):
        write(tmp_path / "takes" / f"take_{name}.wav", voice(2.2, 110.0 + 20.0 * index, seed=index))
    return tmp_path / "takes"


def heard_until(desk: AdaptingDesk, *kinds: type) -> list[News]:
    """Everything up to the first news of these kinds."""
    news: list[News] = []
    deadline_s = time.monotonic() + PATIENCE_S
    while not any(isinstance(one, kinds) for one in news):
        assert time.monotonic() < deadline_s, news[-3:]
        news += [told for _, told in desk.poll()]
        time.sleep(0.02)
    return news


def asked(takes: Path, tmp_path: Path) -> AdaptRequest:
    return AdaptRequest(
        (takes,), "growl", name="Hers", author="Nobody", licence="CC0-1.0", consent="made by a formula",
        method="sara", minutes=0.05, bf16=False, weights=save_tiny_weights(tmp_path / "weights"), device="cpu",
        preview_every_s=0.5,
    )  # fmt: skip


def test_recordings_are_looked_at_beside_the_window(desk: AdaptingDesk, takes: Path) -> None:
    desk.look([takes])
    news = heard_until(desk, Looked)
    assert [one.name for one in news if isinstance(one, FoundRecording)] == [f"take_{name}.wav" for name in "abcde"]
    desk.look([takes / "gone.wav"])
    (failed,) = [one for one in heard_until(desk, Failed) if isinstance(one, Failed)]
    assert failed.message == "gone.wav is not there."


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_that_is_killed_goes_on_to_a_preset_that_packs(
    desk: AdaptingDesk, takes: Path, tmp_path: Path
) -> None:
    request = asked(takes, tmp_path)
    desk.train(replace(request, minutes=5.0))
    with pytest.raises(UserError, match="already training"):
        desk.train(request)
    assert not any(isinstance(one, Failed) for one in heard_until(desk, Step, Failed))
    pid = desk._tasks[Work.TRAINING].pid
    assert pid is not None
    psutil.Process(pid).kill()
    (failed,) = [one for one in heard_until(desk, Failed) if isinstance(one, Failed)]
    assert "was killed" in failed.message
    (left,) = desk.unfinished()
    assert left.request.name == "Hers"
    assert not adaptations_folder().exists(), "a desk keeps to its own folder"
    desk.resume(left)
    heard_until(desk, Heard, Failed)
    desk.stop()
    assert any(isinstance(one, Stopped) for one in heard_until(desk, Stopped, Failed))
    desk.resume(replace(left, request=request))
    news = heard_until(desk, Finished, Failed)
    assert isinstance(news[-1], Finished), news[-1]
    done = news[-1]
    preset = load_preset(done.preset_id)
    assert (preset.name, preset.author, preset.consent) == ("Hers", "Nobody", "made by a formula")
    assert find_adapter(preset.adapters[0].id).is_file()
    assert (done.previews / "1_after.flac").is_file()
    assert len(desk.sound(done.previews / "1_after.flac")) > 0
    assert not desk.is_training
    assert desk.unfinished() == []
    pack = tmp_path / "hers.stridorpack"
    assert desk.pack(done.preset_id, pack, name="Hers", version="1.0", description="") is False
    with pack.open("rb") as file:
        manifest = read_pack(Path(file.name)).manifest
    assert (manifest.author, manifest.licence) == ("Nobody", "CC0-1.0")


def test_what_cannot_be_learnt_from_is_one_line(desk: AdaptingDesk, tmp_path: Path) -> None:
    write(tmp_path / "one" / "short.wav", voice(1.5))
    desk.train(replace(asked(tmp_path / "one", tmp_path), technique="growl"))
    (failed,) = [one for one in heard_until(desk, Failed) if isinstance(one, Failed)]
    assert "too little to adapt to" in failed.message
    assert not desk.is_training
    desk.train(replace(asked(tmp_path / "gone", tmp_path), technique="growl"))
    (failed,) = [one for one in heard_until(desk, Failed) if isinstance(one, Failed)]
    assert "gone is not there" in failed.message


def test_without_a_microphone_it_is_said(desk: AdaptingDesk) -> None:
    path = desk.record("a microphone that there is not")
    (failed,) = [one for one in heard_until(desk, Failed) if isinstance(one, Failed)]
    assert failed.remedy
    assert not path.exists()


def test_the_window_knows_how_much_is_too_little() -> None:
    assert (LEAST_S, LEAST_SEGMENTS) == (material.LEAST_S, material.LEAST_CLIPS)
