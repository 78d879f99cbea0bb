"""Which blocks of a network have grown alike, and a coupling between those that have.

Hidden units can be permuted, so weights of two blocks cannot be compared one by one. What can be compared is each
parameter's statistics: a block's signature is, for every one of its tensors, the log of its RMS and its sparsity
(log of mean |w| over RMS). Blocks are of one kind when they hold the same tensors; widths may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_TINY = 1e-3  # a tensor smaller than this counts as still at zero
_LEAST_BLOCKS = 3
_QUIET_CHECKS = 3


def alike_blocks(model: nn.Module) -> list[list[str]]:
    """Full parameter names of every block of the kind that holds most of the network's parameters, block by block."""
    kinds: dict[tuple[str, tuple[str, ...]], list[list[str]]] = {}
    for prefix, module in model.named_modules():
        names = [name for name, _ in module.named_parameters()]
        if prefix and len(names) > 2 and any(module.children()):
            kind = (type(module).__name__, tuple(names))
            kinds.setdefault(kind, []).append([f"{prefix}.{name}" for name in names])
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    several = [blocks for blocks in kinds.values() if len(blocks) >= _LEAST_BLOCKS]
    return max(several, key=lambda blocks: sum(sizes[name] for block in blocks for name in block), default=[])


def signatures(parameters: Mapping[str, Tensor], blocks: Sequence[Sequence[str]]) -> Tensor:
    """-> [n_blocks, 2 * tensors a block]; differentiable."""
    rows = []
    for names in blocks:
        row = []
        for name in names:
            values = parameters[name].flatten()
            rms = (values.square().mean() + _TINY**2).sqrt()
            row += [rms.log(), ((values.abs().mean() + _TINY) / (rms + _TINY)).log()]
        rows.append(torch.stack(row))
    return torch.stack(rows)


def similarity(signature: Tensor) -> Tensor:
    """exp(-squared distance / mean squared distance of all pairs): [n_blocks, n] -> [n_blocks, n_blocks], 0..1.

    Relative to the mean, because blocks start alike and drift apart: what counts is who stays together.
    """
    distance = (signature[:, None] - signature[None]).square().mean(-1)
    n_blocks = len(distance)
    return torch.exp(-distance / (distance.sum() / (n_blocks * (n_blocks - 1)) + _TINY**2))


def groups_of(similar: Tensor, threshold: float) -> list[int]:
    """Connected components of blocks more similar than `threshold` -> a group number for each block."""
    n_blocks = len(similar)
    group = list(range(n_blocks))
    for a in range(n_blocks):
        for b in range(a):
            if float(similar[a, b]) > threshold and group[a] != group[b]:
                joined, old = min(group[a], group[b]), max(group[a], group[b])
                group = [joined if value == old else value for value in group]
    return group


def coupling(signature: Tensor, membership: Tensor) -> Tensor:
    """Mean squared distance of each block's signature from its group's mean; 0 where every block stands alone.

    membership   [n_blocks, n_blocks], row b: 1 / size of b's group in the columns of its members, else 0
    """
    return (signature - membership @ signature).square().mean()


def membership_of(group: Sequence[int]) -> Tensor:
    """Group numbers -> the averaging matrix that `coupling` takes."""
    numbers = torch.tensor(group)
    same = (numbers[:, None] == numbers[None]).float()
    return same / same.sum(1, keepdim=True)


class GroupingMonitor:
    """Tells when the blocks' likeness has settled: plain numbers, one instance a training.

    At steps a tenth apart the similarity matrix is compared with the one before; when its mean change has stayed
    below `settled` three times in a row, the grouping has converged, and the groups are fixed.
    """

    def __init__(self, settled: float = 0.03, alike: float = 0.7) -> None:
        self._settled, self._alike = settled, alike
        self._next_step, self._quiet = 0.0, 0
        self._before: list[float] = []
        self.change = 1.0
        self.group: list[int] = []

    @property
    def converged(self) -> bool:
        """Whether the groups are known."""
        return bool(self.group)

    def due(self, step: int) -> bool:
        """Whether `observe` wants to see the similarity at this step."""
        return step >= self._next_step and not self.converged

    def observe(self, step: int, similar: Tensor) -> None:
        """similar [n_blocks, n_blocks], on any device (it is fetched)."""
        now = similar.detach().cpu().flatten()
        if self._before:
            self.change = float((now - torch.tensor(self._before)).abs().mean())
            self._quiet = self._quiet + 1 if self.change < self._settled else 0
        self._before = now.tolist()
        self._next_step = max(step * 1.1, step + 10)
        if self._quiet >= _QUIET_CHECKS:
            self.fix(similar)

    def fix(self, similar: Tensor) -> None:
        """Take the groups as they are now."""
        self.group = groups_of(similar.detach().cpu(), self._alike)

    def state(self) -> dict[str, Any]:
        """Plain numbers and lists, for a checkpoint's JSON."""
        return {
            "next_step": self._next_step,
            "quiet": self._quiet,
            "before": self._before,
            "change": self.change,
            "group": self.group,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._next_step, self._quiet = float(state["next_step"]), int(state["quiet"])
        self._before, self.change = list(state["before"]), float(state["change"])
        self.group = list(state["group"])
