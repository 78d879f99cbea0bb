"""Takes come back bit for bit, or say why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.state.edits import set_takes
from app.state.passage import Passage, Take
from app.store.passages import load_passage, save_passage
from app.store.takes import TakeContent, copy_takes, load_take, missing_takes, save_take, takes_folder
from synth.errors import UserError


def content(peak: float = 0.5) -> TakeContent:
    rng = np.random.default_rng(11)
    audio = rng.standard_normal((4800, 2)).astype(np.float32)
    return TakeContent(
        rng.standard_normal((32, 10)).astype(np.float32), (audio * (peak / np.abs(audio).max())).astype(np.float32)
    )


def kept(path: Path, what: TakeContent) -> Take:
    return save_take(path, what, name="first", start_s=0.8, seed=7, weights="abc", quality="final")


@pytest.mark.parametrize("peak", [0.0, 0.5, 1.0, 3.7])
def test_what_is_loaded_is_what_was_kept(peak: float, tmp_path: Path) -> None:
    path = tmp_path / "a.stridor"
    what = content(peak)
    take = kept(path, what)
    back = load_take(path, take)
    assert np.array_equal(back.latents, what.latents)
    assert back.audio.dtype == np.float32
    assert back.audio.shape == what.audio.shape
    # Rounded to 24 bits of its own power of two, once: keeping it again changes nothing.
    assert np.abs(back.audio - what.audio).max() <= 2.0**take.audio_exponent * 2.0**-23
    again = kept(path, back)
    assert np.array_equal(load_take(path, again).audio, back.audio)
    assert again == take


def test_a_take_survives_its_passage_file_and_save_as(tmp_path: Path) -> None:
    path, other = tmp_path / "a.stridor", tmp_path / "b.stridor"
    take = kept(path, content())
    passage = set_takes(Passage(4.0), 0, [take])
    save_passage(passage, path)
    loaded = load_passage(path)
    assert loaded.voices[0].takes == (take,)
    assert missing_takes(path, loaded) == []
    assert missing_takes(other, loaded) == [take]
    copy_takes(path, other, loaded)
    assert np.array_equal(load_take(other, take).audio, load_take(path, take).audio)


def test_missing_and_changed_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.stridor"
    take = kept(path, content())
    flac = takes_folder(path) / f"{take.audio_sha256}.flac"
    flac.write_bytes(flac.read_bytes()[:-7] + b"garbage")
    with pytest.raises(UserError, match="is not the file that was saved"):
        load_take(path, take)
    with pytest.raises(UserError, match="is not the file that was saved"):
        copy_takes(path, tmp_path / "b.stridor", set_takes(Passage(4.0), 0, [take]))
    flac.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        load_take(path, take)
    with pytest.raises(UserError, match="cannot be read"):
        load_take(path, replace(take, latents_sha256="0" * 64))


def test_nan_is_no_take(tmp_path: Path) -> None:
    what = content()
    what.audio[3, 0] = np.nan
    with pytest.raises(ValueError):
        kept(tmp_path / "a.stridor", what)
