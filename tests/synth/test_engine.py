"""What the engine promises about threads: each of them computes on one core, and all give the same samples; and what it
refuses."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from synth.codec.weights import save_weights
from synth.diffusion.unet import Denoiser
from synth.engine import DENOISER_FILE, load_denoiser, sung_share
from synth.errors import UserError
from synth.spec.audio import WINDOW_FRAMES
from synth.spec.controls import ControlFrames
from synth.spec.lanes import LANES
from tests.tiny_weights import TINY_DENOISER, tiny_engine

REPOSITORY = Path(__file__).resolve().parents[2]
N_THREADS = 2

# In a process of its own: how many cores matrix products may use is decided once, when torch is loaded.
_SCRIPT = f"""
import os, sys
from pathlib import Path
import numpy as np
import torch
from synth.engine import Engine
from synth.spec.audio import WINDOW_FRAMES
from synth.spec.controls import ControlFrames
from synth.spec.lanes import LANES
from tests.tiny_weights import save_tiny_weights

engine = Engine.load(save_tiny_weights(Path(sys.argv[1])), device="cpu", n_threads={N_THREADS})
values = {{spec.id: np.full(WINDOW_FRAMES, spec.default, dtype=np.float32) for spec in LANES}}
values["presence"][:] = 1.0

def sample(cell):
    return engine.sample_cell(ControlFrames(values), seed=1, cell_index=cell, quality="draft")

alone = [sample(cell) for cell in range(2 * {N_THREADS})]
large = torch.ones(400, 400)
before = len(os.listdir("/proc/self/task"))
list(engine.threads.map(torch.mm, [large] * {N_THREADS}, [large] * {N_THREADS}))  # as wide as in a real network
together = list(engine.threads.map(sample, range(2 * {N_THREADS})))
print(all(map(np.array_equal, alone, together)), len(os.listdir("/proc/self/task")) - before)
"""


def test_every_thread_computes_on_one_core_and_gives_the_same_samples(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}  # as on three cores, wherever this runs
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path)],
        env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    same, n_started = done.stdout.split()
    assert same == "True"
    assert int(n_started) <= N_THREADS


def test_an_engine_that_nobody_holds_is_gone_with_its_threads(tmp_path: Path) -> None:
    engine = tiny_engine(tmp_path)
    held = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert held() is None
    finally:
        gc.enable()


def test_what_is_drawn_is_kept_where_somebody_sings_and_a_little_beside() -> None:
    presence = np.zeros(80, dtype=np.float32)
    presence[30:50] = 1.0
    share = sung_share(presence)
    assert (share[26:54] > 0.4).all()
    assert (share[30:50] == 1.0).all()
    assert (share[:22] == 0.0).all()
    assert (share[58:] == 0.0).all()
    assert np.abs(np.diff(share)).max() < 0.3  # nothing is cut
    assert (sung_share(np.full(10, np.nan, dtype=np.float32)) == 0.0).all()


def test_silence_is_that_of_the_weights_where_they_know_one(tmp_path: Path) -> None:
    engine = tiny_engine(tmp_path)
    values = {spec.id: np.full(WINDOW_FRAMES, spec.default, dtype=np.float32) for spec in LANES}
    values["presence"][:40] = 1.0

    def sing() -> np.ndarray:
        return engine.sample_cell(ControlFrames(values), seed=1, cell_index=0, quality="live")

    drawn = sing()
    engine._silence = np.linspace(-1.0, 1.0, engine.latent_dim, dtype=np.float32)
    silenced = sing()
    np.testing.assert_array_equal(silenced[:, :40], drawn[:, :40])
    np.testing.assert_array_equal(silenced[:, 60:], np.broadcast_to(engine._silence[:, None], silenced[:, 60:].shape))
    assert not np.array_equal(drawn[:, 60:], silenced[:, 60:])


def test_a_denoiser_of_the_first_kind_is_refused_in_one_line(tmp_path: Path) -> None:
    shape = TINY_DENOISER.as_dict()
    del shape["patch"]  # what the first ones did not know
    save_weights(tmp_path / DENOISER_FILE, Denoiser(TINY_DENOISER), "denoiser", {"denoiser": shape})
    with pytest.raises(UserError, match="first kind") as caught:
        load_denoiser(tmp_path / DENOISER_FILE)
    assert "stridor train diffusion" in caught.value.remedy
