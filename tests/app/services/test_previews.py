"""Previews are made one at a time while nobody waits, and play at once where they are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.render.messages import MakePreview, PreviewMade
from app.render.previews import keep_preview, preview_path, recording_path
from app.services.previews import Previews, PreviewWish
from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from tests.app.services.bench import Bench, FakeSound

GROWL, SIGH = Preset("growl", "Growl", technique={"growl": 1.0}), Preset("sigh", "Sigh", technique={"sigh": 1.0})
SOUND = np.full(4_800, 0.1, dtype=np.float32)


@pytest.fixture
def previews(tmp_path: Path) -> Previews:
    made = Previews(tmp_path, FakeSound())
    made.use_weights("w")
    return made


def due(previews: Previews) -> list[MakePreview]:
    """What is asked for, each carried out, until nothing more is."""
    found: list[MakePreview] = []
    for _ in range(20):
        command = previews.due()
        if command is not None:
            assert previews.due() is None, "one at a time"
            found.append(command)
            keep_preview(command.path, SOUND)
            previews.hear(PreviewMade(command.path))
    return found


def test_recordings_are_read_before_anything_is_sung_and_nothing_is_made_twice(
    previews: Previews, tmp_path: Path
) -> None:
    recording = tmp_path / "sigh.flac"
    wishes = [PreviewWish(GROWL), PreviewWish(SIGH, recording)]
    previews.want(wishes)
    sung = [preview_path(tmp_path, preset, "w") for preset in (GROWL, SIGH)]
    assert [command.path for command in due(previews)] == [recording_path(tmp_path, recording), *sung]
    previews.want(wishes[::-1])
    assert due(previews) == []
    previews.use_weights("other")
    assert [command.preset.id for command in due(previews)] == ["sigh", "growl"]


def test_nothing_is_sung_before_the_weights_are_known(tmp_path: Path) -> None:
    previews = Previews(tmp_path, FakeSound())
    previews.want([PreviewWish(GROWL)])
    assert due(previews) == []
    assert not previews.play(PreviewWish(GROWL))
    previews.use_weights("w")
    assert [command.preset for command in due(previews)] == [GROWL]


def test_what_fails_or_kills_the_sampler_is_not_asked_again(previews: Previews) -> None:
    previews.want([PreviewWish(GROWL), PreviewWish(SIGH)])
    command = previews.due()
    assert command is not None
    previews.hear(PreviewMade(command.path, "The adapter is not installed."))
    assert previews.due() is not None
    previews.forget()
    previews.want([PreviewWish(SIGH), PreviewWish(GROWL)])
    assert due(previews) == []


def test_what_is_sung_here_goes_before_what_the_pack_brought(tmp_path: Path) -> None:
    sound, wish = FakeSound(), PreviewWish(SIGH, tmp_path / "sigh.flac")
    previews = Previews(tmp_path, sound)
    previews.use_weights("w")
    assert not previews.play(wish)
    recorded, sung = recording_path(tmp_path, tmp_path / "sigh.flac"), preview_path(tmp_path, SIGH, "w")
    keep_preview(recorded, SOUND)
    assert previews.play(wish)
    keep_preview(sung, SOUND)
    assert previews.play(wish)
    previews.stop()
    assert sound.previews == [(recorded, 4_800), (sung, 4_800), (None, 0)]


def test_an_idle_instrument_makes_what_is_wanted_and_plays_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.instrument.start()
    try:
        bench.instrument.render(Passage(2.0, voices=(Voice(notes=(Note(0.0, 1.5, 60.0),)),)))
        bench.instrument.want_previews([PreviewWish(GROWL)])
        assert not bench.instrument.preview(PreviewWish(GROWL))
        bench.until(lambda: bench.instrument.preview(PreviewWish(GROWL)))
        (path, n_frames) = bench.sound.previews[-1]
        assert path is not None
        assert path.stat().st_size == 8 * n_frames
    finally:
        bench.instrument.close()
