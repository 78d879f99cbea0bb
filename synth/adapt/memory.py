"""Peak memory of a few training steps, each method in a process of its own: SaRA against full training, same mask.

    python -m synth.adapt.memory --weights presets/models/default [--batch 16] [--no-singing] -o memory.json

`peak_mb` is what the process held at most above what it held when base and batch were loaded. On Linux the kernel's
high-water mark is set back there; on a GPU the allocator's own figure is told beside it.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from synth.adapt.adaptation import load_base
from synth.adapt.figures import write_json
from synth.adapt.lowrank import make_peft_config
from synth.adapt.task import AdaptTask, Outside
from synth.adapt.training import MASKED, AdaptRecipe, Base, TrainingPlan
from synth.adapters.deltas import PEFT_SUFFIXES
from synth.errors import UserError
from synth.spec.audio import WINDOW_FRAMES
from synth.train.descent import Batch, Descent, resolve_device

log = logging.getLogger(__name__)

METHODS: Final = ("lora", "sara", MASKED, "full")
STEPS: Final = 6  # enough that one of them sings by the most jumps
_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")


def peak_of(method: str, base: Base, batch: Batch, recipe: AdaptRecipe, n_steps: int) -> dict[str, float]:
    """Memory of `n_steps` steps on one batch, MB, and what was trained. UserError where it is not Linux."""
    plan = TrainingPlan(base, base.layers(recipe), recipe)
    device = base.denoiser.device
    _warm_up(plan, device)
    before_mb = _status_mb("VmRSS")
    _CLEAR.write_text("5")  # sets VmHWM back to what is resident now
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    student = plan.student(0, {})
    assert student is not None
    outside = Outside(base.denoiser, {}, base.jumps, sung=recipe.sung, kept=recipe.kept)
    task = AdaptTask(student, outside, base.statistics.weight, use_bf16=recipe.use_bf16)
    descent = Descent(task.to(device), device, {"lr": 1e-4, "betas": (0.9, 0.98), "weight_decay": 0.0}, 1.0)
    built_mb = _status_mb("VmRSS")
    for step in range(n_steps):
        loss, figures = descent.gradients(batch, step)
        descent.step(loss, figures, 0.99)
    held = sum(p.grad.numel() for p in task.parameters() if p.grad is not None)
    state = sum(v.numel() for s in descent.optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor))
    on_device = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
    return {
        "trained": task.n_trained, "built_mb": built_mb - before_mb, "peak_mb": _status_mb("VmHWM") - before_mb,
        "peak_device_mb": on_device, "gradient_mb": held * 4 / 2**20, "optimizer_mb": state * 4 / 2**20,
    }  # fmt: skip


def _warm_up(plan: TrainingPlan, device: torch.device) -> None:
    """Let torch and peft load what they load at their first use: it is no method's own."""
    if plan.recipe.method in PEFT_SUFFIXES:
        make_peft_config(plan.layers, plan.recipe.low_rank())
    one = torch.nn.Linear(4, 4).to(device)
    optimizer = torch.optim.AdamW(one.parameters(), lr=1e-3, fused=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=plan.recipe.use_bf16):
        one(torch.zeros(1, 4, device=device)).sum().backward()
    torch.nn.utils.clip_grad_norm_(one.parameters(), 1.0)
    optimizer.step()


def random_batch(base: Base, n: int) -> Batch:
    """Numbers of the right shape: memory does not depend on what is learnt."""
    generator = torch.Generator().manual_seed(0)
    shape = (n, WINDOW_FRAMES)
    config, device = base.denoiser.config, base.denoiser.device
    made = {
        "latents": torch.randn((*shape, config.latent_dim), generator=generator),
        "noise": torch.randn((*shape, config.latent_dim), generator=generator),
        "condition": torch.randn((*shape, config.condition_dim), generator=generator),
        "sigma": torch.ones(shape), "learnt": torch.ones(shape),
        "rehearsed": (torch.arange(n) >= n - round(AdaptRecipe().rehearsal * n)).float(),
    }  # fmt: skip
    return {name: value.to(device) for name, value in made.items()}


def _status_mb(name: str) -> float:
    if not _STATUS.is_file():
        raise UserError("Peak memory is measured by Linux only.", remedy="Measure on a Linux machine.")
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return float(line.split()[1]) / 1024.0


def measure_all(
    weights: Path | None, batch: int, n_steps: int, share: float, device: str, *, singing: bool = True
) -> dict[str, Any]:
    """Every method in a process of its own -> method -> figures, and SaRA's share of the masked full training's.

    singing   with what is sung and scored in every step, whose activations are most of the memory
    """
    results: dict[str, Any] = {}
    for method in METHODS:
        words = [sys.executable, "-m", "synth.adapt.memory", "--method", method, "--batch", str(batch)]
        words += ["--steps", str(n_steps), "--share", str(share), "--device", device]
        words += ["--weights", str(weights)] if weights is not None else []
        words += [] if singing else ["--no-singing"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UserError(f"Measuring {method} failed: {done.stderr.strip().splitlines()[-1]}", remedy="See above.")
        results[method] = json.loads(done.stdout.splitlines()[-1])
        log.info("%s: %s", method, results[method])
    ratio = results["sara"]["peak_mb"] / max(results[MASKED]["peak_mb"], 1e-9)
    asked = {"batch": batch, "steps": n_steps, "share": share, "singing": singing}
    return {**asked, "methods": results, "sara_to_masked": ratio}


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--batch", type=int, default=AdaptRecipe().batch_size)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--no-singing", dest="singing", action="store_false", help="slopes and jumps only")
    parser.add_argument("--share", type=float, default=AdaptRecipe().share)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--method", choices=METHODS, help="of one, in this process")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.method is None:
        found = measure_all(
            arguments.weights, arguments.batch, arguments.steps, arguments.share, arguments.device,
            singing=arguments.singing,
        )  # fmt: skip
        if arguments.output is not None:
            write_json(arguments.output, found)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    base, _ = load_base(arguments.weights, resolve_device(arguments.device))
    recipe = AdaptRecipe(arguments.method, share=arguments.share, reselect=1.0, nuclear=0.0)
    recipe = recipe if arguments.singing else replace(recipe, sung=0, kept=0)
    figures = peak_of(arguments.method, base, random_batch(base, arguments.batch), recipe, arguments.steps)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
