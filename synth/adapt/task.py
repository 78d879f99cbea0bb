"""What an adaptation learns: the recordings' own latents, without unlearning guidance, short samplings or other voices.

What is sung: of a base that takes few steps, a few recordings' conditions are sung twice from noise, by as few jumps
as will be played, and scored against the recordings (synth.adapt.scores); the gradient goes through the whole sampling.
A few of the other techniques' are sung as well, and shall sound as the base's from the same noise.

Beside that three kinds of rows in a batch. *Slopes* of the recordings: v at a random noise level, as the base learnt
it; where guidance was distilled into the base, what it adds there can be added to the target as well. *Jumps* of the
recordings, for a base that takes few steps: one jump lands where the network's own two half jumps do (self-consistency,
after Frans et al. 2024, "One Step Diffusion via Shortcut Models"; in the base it was distilled, synth.train.distill).
*Rehearsed* windows of other techniques: what the base says, slopes and jumps alike.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.adapt.scores import frame_distance, singing_score
from synth.adapt.sparse import NuclearPenalty
from synth.diffusion.solvers import cosine_sigmas
from synth.diffusion.unet import Denoiser
from synth.spec.lanes import Pathway
from synth.train.descent import Batch, move_batch
from synth.train.distill import clean_estimate, ddim_step, draw, dropped

_JUMP_SHARE = 0.3  # of the rows that could be jumps
_SUNG_JUMPS = (4, 4, 2, 1)  # what a sampling is drawn by, in turn at random: what is played most, most often
_VALIDATION_JUMPS, _VALIDATION_ROWS = 4, 16


@dataclass(slots=True)
class Outside:
    """What a task needs and does not learn; copies of the task (its moving average) share it.

    base        the frozen network
    guidance    what was distilled into the base and is to be learnt again, pathway -> weight; empty: nothing
    jumps       numbers of steps the base was distilled to, descending; empty: slopes only
    held_out    a batch that training never sees
    penalty     of SaRA's entries
    wanted      v of the held-out batch, kept from the first validation on
    average     the task's moving average: its first copy
    sung        rows of a batch that are sung and scored; 0, or a base without jumps: none
    kept        rows of rehearsal that are sung by student and base from the same noise, and shall sound the same
    """

    base: Denoiser
    guidance: Mapping[Pathway, float]
    jumps: tuple[int, ...]
    held_out: Batch | None = None
    penalty: NuclearPenalty | None = None
    wanted: Tensor | None = None
    average: AdaptTask | None = None
    sung: int = 0
    kept: int = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Outside:
        return self


@dataclass(frozen=True, slots=True)
class _Levels:
    """Noise levels [B, T] of a batch: from sigma over middle to target; all equal where a slope is learnt."""

    sigma: Tensor
    middle: Tensor
    target: Tensor
    n_steps: Tensor  # [B] of the grid a jump is on, 0 for slopes


class AdaptTask(nn.Module):
    """A student in which something is trained (peft's layers, sparse entries, whole matrices), and its loss.

    Its state is what is trained and nothing else, so that a checkpoint is small; its copies share what is frozen.
    """

    def __init__(self, student: Denoiser, outside: Outside, weight: NDArray[Any], *, use_bf16: bool = True) -> None:
        super().__init__()
        self.student = student
        self.outside = outside
        self.use_bf16 = use_bf16
        self.learnt = tuple(name for name, parameter in self.named_parameters() if parameter.requires_grad)
        self.weight: Tensor
        self.register_buffer("weight", torch.as_tensor(weight, dtype=torch.float32), persistent=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> AdaptTask:
        learnt = set(self.learnt)
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            if name not in learnt:
                memo[id(tensor)] = tensor
        copied = AdaptTask.__new__(AdaptTask)
        memo[id(self)] = copied
        for name, value in self.__dict__.items():
            copied.__dict__[name] = copy.deepcopy(value, memo)
        if self.outside.average is None:
            self.outside.average = copied
        return copied

    def state_dict(self, *arguments: Any, **settings: Any) -> dict[str, Any]:
        """Of what is trained."""
        whole = super().state_dict(*arguments, **settings)
        return {name: whole[name] for name in self.learnt}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """The inverse of `state_dict`; what is frozen stays."""
        missing = set(self.learnt) ^ set(state_dict)
        if strict and missing:
            raise RuntimeError(f"a state of other parameters: {sorted(missing)[0]}")
        return super().load_state_dict(dict(state_dict), strict=False, assign=assign)

    @property
    def n_trained(self) -> int:
        """Parameters that are trained."""
        learnt = set(self.learnt)
        return sum(parameter.numel() for name, parameter in self.named_parameters() if name in learnt)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-> (loss: error of v, what is sung, what has changed, penalty; figures of each).

        The error of v is the weighted mean square over the frames to be learnt.

        batch   as make_batch gives it, with "rehearsed" [B], 1 for rows of the rehearsal
        """
        levels = self._levels(batch)
        x = batch["latents"] + levels.sigma[..., None] * batch["noise"]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.use_bf16):
            wanted = self._wanted(batch, levels, x)
            made = _velocity(self.student, x, levels.sigma, levels.target, batch["condition"])
        learnt = batch["learnt"]
        squared = (made - wanted).square() * self.weight * learnt[..., None]
        per_row = squared.mean((1, 2)) / learnt.mean(1).clamp(min=1e-3)
        loss = per_row.mean()
        rehearsed = batch["rehearsed"]
        own = 1.0 - rehearsed
        figures = {
            "adapted": (per_row * own).sum().detach() / own.sum().clamp(min=1),
            "drift": (per_row * rehearsed).sum().detach() / rehearsed.sum().clamp(min=1),
        }
        if self.outside.sung and self.outside.jumps:
            n_jumps = _SUNG_JUMPS[int(torch.randint(len(_SUNG_JUMPS), ()))]
            score = self._score(batch, own.nonzero().flatten()[: self.outside.sung], n_jumps)
            figures["sung"] = score.detach()
            loss = loss + score
            others = rehearsed.nonzero().flatten()[: self.outside.kept]
            if len(others):
                changed = self._changed(batch, others, n_jumps)
                figures["changed"] = changed.detach()
                loss = loss + changed
        penalty = self.outside.penalty(self.student) if self.outside.penalty is not None else None
        if penalty is not None:
            figures["nuclear"] = penalty.detach()
            loss = loss + penalty
        return loss, figures

    def _score(self, batch: Batch, rows: Tensor, n_jumps: int) -> Tensor:
        """How the network sings some rows' conditions, twice each, against the rows' latents."""
        condition, real = batch["condition"][rows], batch["latents"][rows]
        noise = torch.cat([batch["noise"][rows], torch.randn_like(real)])
        with torch.autocast(real.device.type, torch.bfloat16, enabled=self.use_bf16):
            first, second = draw(self.student, condition.repeat(2, 1, 1), noise, n_jumps).float().chunk(2)
        return singing_score(first, second, real, self.weight)

    def _changed(self, batch: Batch, rows: Tensor, n_jumps: int) -> Tensor:
        """How far from the base the network sings some rows' conditions, from the same noise."""
        condition, noise = batch["condition"][rows], batch["noise"][rows]
        with torch.autocast(noise.device.type, torch.bfloat16, enabled=self.use_bf16):
            with torch.no_grad():
                before = draw(self.outside.base, condition, noise, n_jumps).float()
            return frame_distance(draw(self.student, condition, noise, n_jumps).float(), before, self.weight).mean()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On recordings that training never sees, always the same ones: the score of singing them, where singing is
        learnt, else the error of slopes."""
        held_out = self.outside.held_out
        if held_out is None:
            return {}
        held_out = move_batch(held_out, self.weight.device)
        if self.outside.sung and self.outside.jumps:
            rows = torch.arange(min(_VALIDATION_ROWS, len(held_out["latents"])), device=self.weight.device)
            return {"validation": float(self._score(held_out, rows, _VALIDATION_JUMPS))}
        sigma = held_out["sigma"]
        levels = _Levels(sigma, sigma, sigma, torch.zeros(len(sigma), device=sigma.device))
        x = held_out["latents"] + sigma[..., None] * held_out["noise"]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.use_bf16):
            if self.outside.wanted is None or self.outside.wanted.device != x.device:
                self.outside.wanted = self._wanted(held_out, levels, x)
            made = _velocity(self.student, x, sigma, sigma, held_out["condition"])
        squared = (made - self.outside.wanted).square() * self.weight * held_out["learnt"][..., None]
        return {"validation": float(squared.mean())}

    def _levels(self, batch: Batch) -> _Levels:
        """Slopes at the batch's own levels; of some rows jumps on the grids that the base knows."""
        own, n = batch["sigma"], len(batch["sigma"])
        n_steps = torch.zeros(n, device=own.device)
        if not self.outside.jumps:
            return _Levels(own, own, own, n_steps)
        sigma, middle, target = own.clone(), own.clone(), own.clone()
        heard = batch["learnt"] == 0.0
        chosen = torch.rand(n, device=own.device) < _JUMP_SHARE
        which = torch.randint(len(self.outside.jumps), (n,), device=own.device)
        for index, steps in enumerate(self.outside.jumps):
            grid = torch.tensor(cosine_sigmas(2 * steps), device=own.device)
            rows = chosen & (which == index)
            at = 2 * torch.randint(steps, (n,), device=own.device)
            placed = rows[:, None] & ~heard
            for place, offset in ((sigma, 0), (middle, 1), (target, 2)):
                place.copy_(torch.where(placed, grid[at + offset][:, None], place))
            n_steps = torch.where(rows, float(steps), n_steps)
        return _Levels(sigma, middle, target, n_steps)

    @torch.no_grad()
    def _wanted(self, batch: Batch, levels: _Levels, x: Tensor) -> Tensor:
        """v that is right for every row, [B, T, C]."""
        sigma, condition = levels.sigma, batch["condition"]
        s = sigma[..., None]
        alpha = (1 + s.square()).rsqrt()
        wanted = alpha * batch["noise"] - s * alpha * batch["latents"]
        jumps, rehearsed = levels.n_steps > 0, batch["rehearsed"] > 0
        slopes = ~jumps & ~rehearsed
        if self.outside.guidance and bool(slopes.any()):
            wanted[slopes] += self._guidance(x[slopes], sigma[slopes], condition[slopes])
        if bool(rehearsed.any()):
            rows = (x[rehearsed], sigma[rehearsed], levels.target[rehearsed], condition[rehearsed])
            wanted[rehearsed] = _velocity(self.outside.base, *rows)
        both = jumps & ~rehearsed
        if bool(both.any()):
            wanted[both] = self._two_half_jumps(_rows(levels, both), x[both], condition[both])
        return wanted

    def _guidance(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """What guidance adds to v in the base.

        Of weight w it is (w - 1) (full - without); the guided base says full + (w - 1) (full - without) with the
        pathway and about `without` where it is dropped, so its own difference is w (full - without).
        """
        total = torch.zeros_like(x)
        full = _velocity(self.outside.base, x, sigma, sigma, condition)
        for pathway, weight in self.outside.guidance.items():
            without = _velocity(self.outside.base, x, sigma, sigma, dropped(condition, pathway))
            total += (weight - 1.0) / weight * (full - without)
        return total

    def _two_half_jumps(self, levels: _Levels, x: Tensor, condition: Tensor) -> Tensor:
        """v whose one jump lands where the student's own two half jumps do.

        On the finest grid the halves are slopes, as when the base was distilled.
        """
        finest = (levels.n_steps == max(self.outside.jumps))[:, None]
        sigma, middle, target = levels.sigma, levels.middle, levels.target
        encoded = self.student.encode_condition(condition)
        first = clean_estimate(self.student, x, sigma, torch.where(finest, sigma, middle), encoded)
        x_middle = ddim_step(x, first, sigma, middle)
        second = clean_estimate(self.student, x_middle, middle, torch.where(finest, middle, target), encoded)
        x_target = ddim_step(x_middle, second, middle, target)
        ratio = (target / sigma)[..., None]
        # Frames that were heard before do not move (ratio 1), and are not learnt either.
        clean = (x_target - ratio * x) / (1 - ratio).clamp(min=1e-4)
        s = sigma[..., None]
        shrink = (1 + s.square()).rsqrt()
        return (x * shrink.square() - clean) / (s * shrink)


def _rows(levels: _Levels, chosen: Tensor) -> _Levels:
    return _Levels(levels.sigma[chosen], levels.middle[chosen], levels.target[chosen], levels.n_steps[chosen])


def _velocity(model: Denoiser, x: Tensor, sigma: Tensor, target: Tensor, condition: Tensor) -> Tensor:
    """v at x = clean + sigma * noise, sigma and target [B, T]."""
    shrink = (1 + sigma.square()).rsqrt()[..., None]
    return model(x * shrink, sigma, model.encode_condition(condition), target).float()
