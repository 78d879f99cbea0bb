"""A training killed at any moment, also while it writes its checkpoint, ends where one ends that was left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from synth.train.run_log import read_log

REPOSITORY = Path(__file__).resolve().parents[3]


def test_a_run_killed_again_and_again_ends_the_same(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed_runs.py")
    folders = tmp_path / "killed", tmp_path / "whole"
    done = subprocess.run(
        [sys.executable, str(script), *map(str, folders)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout) >= 3, "too few kills hit the training"
    killed, whole = (load_file(folder / "final.st") for folder in folders)
    assert killed.keys() == whole.keys()
    assert all(torch.equal(value, whole[name]) for name, value in killed.items())
    assert [row["step"] for row in read_log(folders[0])] == [row["step"] for row in read_log(folders[1])]
