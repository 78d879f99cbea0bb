"""Where an adapter may touch the denoiser: its linear layers, by region and resolution.

The regions are a hypothesis to be played with and measured: early = noise and breath, middle = irregularity, late =
fine pitch detail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from torch import nn

from synth.diffusion.unet import Denoiser
from synth.errors import UserError

REGIONS: Final = ("early", "middle", "late")
# Of weights whose metadata does not say: entering and downward blocks, bottleneck, upward blocks.
DEFAULT_MAP: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "early": ("enter", "down", "shrink"),
        "middle": ("before", "attention", "middle"),
        "late": ("grow", "join", "up", "leave"),
    }
)
MAX_STRENGTH: Final = 1.5


@dataclass(frozen=True, slots=True)
class Layer:
    """One linear layer of the denoiser.

    name     as in `named_modules`
    kind     widen, narrow, condition, level, query, context, key_value, enter, leave, shrink, grow, join
    level    resolution at which it works: tokens there last 2 ** level times as long as at the first
    """

    name: str
    region: str
    kind: str
    level: int
    n_in: int
    n_out: int

    @property
    def n_weights(self) -> int:
        """Entries of its matrix."""
        return self.n_in * self.n_out


def region_map(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Region -> top-level modules, from the metadata of a denoiser's weights."""
    stored = config.get("regions") or DEFAULT_MAP
    return {region: tuple(stored.get(region, ())) for region in REGIONS}


def checked_regions(regions: Sequence[str]) -> tuple[str, ...]:
    """In their own order, each once. UserError for none or an unknown one."""
    unknown = next((name for name in regions if name not in REGIONS), None)
    if unknown is not None or not regions:
        what = "No region is named." if unknown is None else f"There is no region {unknown!r}."
        raise UserError(what, remedy=f"Use {', '.join(REGIONS)}.")
    return tuple(name for name in REGIONS if name in regions)


def linear_layers(denoiser: Denoiser, mapped: Mapping[str, Sequence[str]] = DEFAULT_MAP) -> list[Layer]:
    """Every linear layer that lies in a region, in the order of `named_modules`."""
    region_of = {top: region for region, tops in mapped.items() for top in tops}
    last = len(denoiser.config.widths) - 1
    found = []
    for name, module in denoiser.named_modules():
        top = name.split(".")[0]
        if top in region_of and isinstance(module, nn.Linear):
            kind, level = name.split(".")[-1], _level(name, last)
            kind = top if top in ("shrink", "grow", "join") else kind
            found.append(Layer(name, region_of[top], kind, level, module.in_features, module.out_features))
    return found


def _level(name: str, last: int) -> int:
    """The resolution of what a layer gives out."""
    top, *rest = name.split(".")
    match top:
        case "down" | "join" | "up":
            return int(rest[0])
        case "shrink" | "grow":  # both work on the shorter side's tokens
            return int(rest[0]) + 1
        case "enter" | "leave":
            return 0
        case _:
            return last


def n_parameters(denoiser: Denoiser) -> int:
    """All of the base's parameters: what shares are told of."""
    return sum(parameter.numel() for parameter in denoiser.parameters())
