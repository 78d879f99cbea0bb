"""What test_killed_runs.py runs: a training that is killed (SIGKILL) again and again, and one that is left alone."""

from __future__ import annotations

import os
import random
import runpy
import signal
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from synth.train.loop import LoopConfig, train

N_STEPS = 80
N_KILLS = 6
parts = runpy.run_path(str(Path(__file__).with_name("two_processes.py")))


def run(folder: Path) -> None:
    """The whole training, with a checkpoint after every step; leaves final.safetensors."""
    torch.manual_seed(0)
    task = parts["TwoLayers"]()
    loop = LoopConfig(
        minutes=100.0, max_steps=N_STEPS, learning_rate=0.02, warmup_steps=2, report_every_steps=10,
        checkpoint_every_s=0.0,
    )  # fmt: skip
    averaged, _ = train(task, parts["make_batch"], loop, folder)
    state = {f"model.{name}": value for name, value in task.state_dict().items()}
    save_file(state | {f"ema.{name}": value for name, value in averaged.state_dict().items()}, folder / "final.st")


def run_in_child(folder: Path, killed_after_s: float | None) -> bool:
    """Whether the child came to its end."""
    child = os.fork()
    if child == 0:
        try:
            run(folder)
        finally:
            os._exit(0 if (folder / "final.st").exists() else 1)
    if killed_after_s is not None:
        time.sleep(killed_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


if __name__ == "__main__":
    folder, whole = Path(sys.argv[1]), Path(sys.argv[2])
    started_s = time.monotonic()
    if not run_in_child(whole, None):
        sys.exit("the training that was left alone failed")
    whole_s = time.monotonic() - started_s
    moments = random.Random(7)
    kills = 0
    for _ in range(N_KILLS):
        if run_in_child(folder, moments.uniform(0.02, 0.25) * whole_s):
            break
        kills += 1
    if not (folder / "final.st").exists() and not run_in_child(folder, None):
        sys.exit("the training that was killed could not be resumed")
    sys.stdout.write(str(kills))
