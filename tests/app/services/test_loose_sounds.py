"""Samples become a file that the sound server can map, and old files go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.services.loose_sounds import LooseSounds
from synth.errors import UserError
from tests.app.services.bench import FakeSound


def test_samples_are_played_as_stereo_and_old_files_go(tmp_path: Path) -> None:
    server = FakeSound()
    sounds = LooseSounds(tmp_path, server)
    for index in range(6):
        sounds.play(np.full(10 + index, 0.25, dtype=np.float32))
    path, n_frames = server.previews[-1]
    assert path is not None
    assert n_frames == 15
    np.testing.assert_array_equal(np.fromfile(path, dtype="<f4"), np.full(30, 0.25, dtype=np.float32))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_has_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be played"):
        LooseSounds(tmp_path / "gone", FakeSound()).play(np.zeros(4, dtype=np.float32))
