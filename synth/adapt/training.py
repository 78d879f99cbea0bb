"""Training one adapter: a method is put into a copy of the base, trained in a time box, and taken out as in a file.

SaRA trains in two stages with a folder each: the entries chosen first, then those of them that still lie below the
threshold. Everything is resumed from its checkpoint.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from synth.adapt.dense import collect_dense, mask_gradients, unfreeze
from synth.adapt.lowrank import KINDS, LowRankRecipe, chosen_layers, collect_peft, inject_peft, peft_config_json
from synth.adapt.rehearsal import Rehearsal
from synth.adapt.sparse import (
    NuclearPenalty,
    Places,
    collect_sparse,
    inject_sparse,
    joined_sparse,
    quantile_threshold,
    select_below,
    still_below,
)
from synth.adapt.task import AdaptTask, Outside
from synth.adapters.deltas import METHODS, PEFT_SUFFIXES
from synth.adapters.layout import REGIONS, Layer, linear_layers, n_parameters, region_map
from synth.adapters.mixing import sharing_copy
from synth.diffusion.unet import Denoiser
from synth.errors import UserError
from synth.spec.lanes import Pathway
from synth.train.checkpoint import load_average
from synth.train.descent import Batch
from synth.train.diffusion import Statistics, make_batch
from synth.train.latents import LatentStore
from synth.train.loop import BEST_FILE, LoopConfig, LoopReport, generator_of, train

Layers = dict[str, dict[str, Tensor]]
Listen = Callable[[Callable[[], Layers]], None]  # called between steps; takes out what is learnt when it is time
Clock = Literal["wall", "processor"]
MASKED: Final = "masked"  # full fine-tuning of SaRA's entries, the plain way: what SaRA's memory is held against
# Tried on an unknown voice, 40 steps: at a quarter of these all learn less; at four times SaRA's it gets worse, and at
# three times LoRA's it learns a little more and drifts twice as far.
_RATES: Final[Mapping[str, float]] = {"sara": 4e-3, "full": 4e-4, MASKED: 4e-3}
_PEFT_RATE: Final = 4e-3


@dataclass(frozen=True, slots=True)
class AdaptRecipe:
    """How an adapter is trained.

    method            one of METHODS, or MASKED
    rank, alpha, dropout   of LoRA and its relatives; dropout of the input takes a fifth of a step's time, and minutes
                      are too few to overfit in
    share, threshold  SaRA trains this share of the base's parameters, the smallest; or those up to a threshold
    nuclear, nuclear_every   weight of the nuclear norm of what SaRA learns, and steps between two looks at its gradient
    reselect          share of the time after which SaRA's entries are chosen anew; 1: never
    kinds             of layers that are adapted (synth.adapters.layout.Layer.kind); full training takes all
    rehearsal         share of a batch's rows that rehearse other techniques
    keep_guidance     add to the target what guidance was distilled into the base: a step takes twice as long, and the
                      singer is exaggerated as the base's voices are
    sung, kept        rows of a batch, of the recordings and of the rehearsal, that are sung as they will be played, and
                      scored (synth.adapt.scores) or held to what the base sings
    learning_rate     None: the method's own
    """

    method: str = "lora"
    regions: tuple[str, ...] = REGIONS
    rank: int = 4
    alpha: float = 8.0
    dropout: float = 0.0
    share: float = 0.018
    threshold: float | None = None
    nuclear: float = 3e-4
    nuclear_every: int = 16
    reselect: float = 0.5
    kinds: tuple[str, ...] = KINDS
    batch_size: int = 16
    rehearsal: float = 0.25
    keep_guidance: bool = False
    sung: int = 4
    kept: int = 2
    learning_rate: float | None = None
    ema_decay: float = 0.99
    use_bf16: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in (*METHODS, MASKED):
            raise UserError(f"There is no method {self.method!r}.", remedy=f"Use {', '.join(METHODS)}.")
        if not 0 < self.share <= 1 or self.rank < 1 or not 0 <= self.rehearsal < 1 or not 0 < self.reselect <= 1:
            raise UserError("The recipe's shares or rank are out of range.", remedy="Shares are 0..1, rank 1 or more.")

    def low_rank(self) -> LowRankRecipe:
        """The part that is peft's."""
        return LowRankRecipe(self.method, self.rank, self.alpha, self.dropout, self.kinds)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        values = asdict(self)
        return values | {"regions": list(self.regions), "kinds": list(self.kinds)}


@dataclass(frozen=True, slots=True)
class Base:
    """A voice to adapt: its frozen denoiser and what its metadata says.

    base_hash     of the denoiser's file; weights_hash: of codec and denoiser together
    """

    denoiser: Denoiser
    config: Mapping[str, Any]
    statistics: Statistics
    base_hash: str
    weights_hash: str

    @property
    def guidance(self) -> dict[Pathway, float]:
        """What was distilled into it."""
        stored = dict(self.config.get("guidance") or {})
        return {Pathway(name): float(weight) for name, weight in stored.items() if float(weight) != 1.0}

    @property
    def jumps(self) -> tuple[int, ...]:
        """Numbers of steps it was distilled to."""
        stored = (self.config.get("distilled") or {}).get("numbers_of_steps", [])
        return tuple(sorted((int(steps) for steps in stored), reverse=True))

    def layers(self, recipe: AdaptRecipe) -> list[Layer]:
        """What may be adapted; of full fine-tuning every linear layer of the regions."""
        every = linear_layers(self.denoiser, region_map(self.config))
        kinds = {layer.kind for layer in every} if recipe.method == "full" else recipe.kinds
        return chosen_layers(every, recipe.regions, tuple(kinds))


@dataclass(frozen=True, slots=True)
class Trained:
    """What training left: candidates by name ("last", "best"), each as a file has it.

    n_trained   parameters; share: of the base's
    stopped     before its time: there are no candidates to be trusted, and the same call goes on
    """

    candidates: Mapping[str, Layers]
    peft_config: str
    n_trained: int
    share: float
    reports: Mapping[str, LoopReport]
    stopped: bool
    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)


def adapt_loop(
    minutes: float, recipe: AdaptRecipe, device: str, max_steps: int = 10**9, clock: Clock = "wall"
) -> LoopConfig:
    """Gentle warm-up, a short moving average, checkpoints every half minute: an adaptation is short."""
    rate = recipe.learning_rate or _RATES.get(recipe.method, _PEFT_RATE)
    return LoopConfig(
        minutes=minutes, learning_rate=rate, warmup_steps=20, ema_decay=recipe.ema_decay, weight_decay=0.0,
        checkpoint_every_s=30.0, report_every_steps=20, max_steps=max_steps, seed=recipe.seed, device=device,
        batch_threads=0, clock=clock,
    )  # fmt: skip


def make_adapt_batch(
    latents: LatentStore, base: Base, rehearsal: Rehearsal | None, recipe: AdaptRecipe, rng: np.random.Generator
) -> Batch:
    """Excerpts of the recordings, and behind them rehearsed windows of other techniques ("rehearsed" [B])."""
    multiple = base.denoiser.config.frame_multiple
    n_rehearsed = round(recipe.rehearsal * recipe.batch_size) if rehearsal is not None else 0
    batch = make_batch(
        latents, base.statistics, rng, batch_size=recipe.batch_size - n_rehearsed, frame_multiple=multiple
    )
    own, n_frames = batch["latents"].shape[:2]
    kept = {name: batch[name] for name in ("latents", "condition", "sigma", "learnt", "noise")}
    kept["rehearsed"] = torch.zeros(own, device=kept["sigma"].device)
    if rehearsal is None or n_rehearsed == 0:
        return kept
    generator = generator_of(rng, kept["sigma"].device)
    clean, condition = rehearsal.rows(n_rehearsed, n_frames, generator)
    # Noise levels are as those of the recordings' rows, drawn again; nothing was heard before.
    picked = torch.randint(own, (n_rehearsed,), generator=generator, device=clean.device)
    sigma = kept["sigma"][picked, -1:].expand(-1, n_frames)
    more = {
        "latents": clean, "condition": condition, "sigma": sigma, "learnt": torch.ones_like(sigma),
        "noise": torch.randn(clean.shape, generator=generator, device=clean.device),
        "rehearsed": torch.ones(n_rehearsed, device=clean.device),
    }  # fmt: skip
    return {name: torch.cat([kept[name], more[name]]) for name in kept}


def train_adapter(
    base: Base,
    latents: LatentStore,
    rehearsal: Rehearsal | None,
    held_out: Batch | None,
    recipe: AdaptRecipe,
    run_dir: Path,
    *,
    minutes: float,
    max_steps: int = 10**9,
    clock: Clock = "wall",
    should_stop: Callable[[], bool] = lambda: False,
    listen: Listen | None = None,
) -> Trained:
    """Train, or go on training, within `minutes` over all resumed runs. UserError when it diverges.

    clock   what the minutes are counted by, as LoopConfig's
    listen  may take out what the moving average has learnt, before any step
    """
    layers = base.layers(recipe)
    plan = TrainingPlan(base, layers, recipe)

    def batch(rng: np.random.Generator) -> Batch:
        return make_adapt_batch(latents, base, rehearsal, recipe, rng)

    reports: dict[str, LoopReport] = {}
    candidates: dict[str, Layers] = {}
    for index, share in enumerate(plan.stages):
        torch.manual_seed(recipe.seed)
        student = plan.student(index, candidates.get("last", {}))
        if student is None:
            break
        outside = Outside(
            base.denoiser, base.guidance if recipe.keep_guidance else {}, base.jumps, held_out,
            penalty=NuclearPenalty(recipe.nuclear, recipe.nuclear_every) if recipe.method == "sara" else None,
            sung=recipe.sung, kept=recipe.kept,
        )  # fmt: skip
        task = AdaptTask(student, outside, base.statistics.weight, use_bf16=recipe.use_bf16).to(base.denoiser.device)
        task.student.train()
        folder = run_dir / f"stage-{index + 1}"
        loop = adapt_loop(minutes * share, recipe, str(base.denoiser.device), max_steps, clock)
        heard = plan.heard_by(listen, index, outside, candidates.get("last", {}))
        averaged, report = train(task, batch, loop, folder, lambda heard=heard: heard() or should_stop())
        reports[f"stage {index + 1}"] = report
        best = folder / BEST_FILE if report.best_step < report.steps else None
        candidates = plan.collected(index, averaged, best, candidates.get("last", {}))
        plan.n_trained = max(plan.n_trained, task.n_trained)
        if report.stopped:
            break
    stopped = any(report.stopped for report in reports.values())
    total = n_parameters(base.denoiser)
    peft_config = peft_config_json(layers, recipe.low_rank()) if recipe.method in PEFT_SUFFIXES else ""
    seconds = sum(report.seconds for report in reports.values())
    return Trained(
        candidates, peft_config, plan.n_trained, plan.n_trained / total, reports, stopped, seconds, plan.details
    )


class TrainingPlan:
    """How a method goes into a copy of the base and out of it again, stage by stage."""

    def __init__(self, base: Base, layers: list[Layer], recipe: AdaptRecipe) -> None:
        self.base, self.layers, self.recipe = base, layers, recipe
        self.n_trained = 0
        self.stages = (1.0,)
        self.details: dict[str, Any] = {}
        self._places: Places = {}
        if recipe.method in ("sara", MASKED):
            budget = round(recipe.share * n_parameters(base.denoiser))
            self._threshold = recipe.threshold or quantile_threshold(base.denoiser, layers, budget)
            self._places = select_below(base.denoiser, layers, self._threshold)
            self.details = {"threshold": self._threshold, "entries": sum(map(len, self._places.values()))}
        if recipe.method == "sara" and recipe.reselect < 1.0:
            self.stages = (recipe.reselect, 1.0 - recipe.reselect)

    def student(self, stage: int, learnt: Layers) -> Denoiser | None:
        """A copy of the base with the method in it; None when nothing is left to train."""
        student = sharing_copy(self.base.denoiser)
        assert isinstance(student, Denoiser)
        student.requires_grad_(False)
        match self.recipe.method:
            case "sara":
                if stage > 0:
                    self._places = still_below(self.base.denoiser, self._places, learnt, self._threshold)
                    self.details["entries_reselected"] = sum(map(len, self._places.values()))
                    if not self._places:
                        return None
                    _add_sparse(student, learnt)
                inject_sparse(student, self._places)
            case "full":
                unfreeze(student, self.layers)
            case "masked":
                named = [layer for layer in self.layers if layer.name in self._places]
                unfreeze(student, named)
                for layer in named:
                    student.get_parameter(f"{layer.name}.bias").requires_grad_(False)
                mask_gradients(student, self._places)
            case _:
                inject_peft(student, self.layers, self.recipe.low_rank())
        return student

    def collected(self, stage: int, averaged: AdaptTask, best: Path | None, earlier: Layers) -> dict[str, Layers]:
        """Candidates: the moving average, and the best of the run where it is another. best: its file, or None."""
        found = {"last": self._taken_out(stage, averaged.student, earlier)}
        if best is not None and best.is_file():
            kept = copy.deepcopy(averaged)
            load_average(best, kept)
            found["best"] = self._taken_out(stage, kept.student, earlier)
        return found

    def heard_by(self, listen: Listen | None, stage: int, outside: Outside, earlier: Layers) -> Callable[[], bool]:
        """Lets what is learnt be heard; always False, for it stops nothing. To be asked before every step."""
        has_begun = stage > 0

        def hear() -> bool:
            nonlocal has_begun
            average = outside.average
            if listen is not None and average is not None and has_begun:
                listen(lambda: self._taken_out(stage, average.student, earlier))
            has_begun = True  # before the first step there is the base, which has been heard
            return False

        return hear

    def _taken_out(self, stage: int, student: nn.Module, earlier: Layers) -> Layers:
        match self.recipe.method:
            case "sara":
                learnt = collect_sparse(student)
                return _halved(joined_sparse(earlier, learnt) if stage > 0 else learnt)
            case "full" | "masked":
                named = [layer for layer in self.layers if not self._places or layer.name in self._places]
                return collect_dense(student, self.base.denoiser, named)
            case _:
                return _halved(collect_peft(student, self.recipe.method))


def _add_sparse(student: Denoiser, learnt: Layers) -> None:
    """Work what was learnt into matrices of the student's own."""
    for name, parts in learnt.items():
        layer = student.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        weight = layer.weight.detach().clone()
        weight.view(-1)[parts["indices"].long().to(weight.device)] += parts["values"].float().to(weight.device)
        layer.weight = nn.Parameter(weight, requires_grad=False)


def _halved(layers: Layers) -> Layers:
    """Numbers in half precision: what is evaluated is what is in the file."""
    return {
        name: {suffix: value.half() if value.is_floating_point() else value for suffix, value in parts.items()}
        for name, parts in layers.items()
    }
