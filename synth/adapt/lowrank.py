"""LoRA and its relatives by region, through peft: the base frozen, thin matrices beside its linear layers.

The recipe: rank 4 on every linear layer of the chosen regions but those of the noise level, alpha twice the rank. On
a base of 7 million parameters that is 1.9 % of them and a file of 0.3 MB. The noise level's layers stay out because
what an adapter learns has nothing to do with how noisy the latents are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor, nn

from synth.adapters.deltas import PEFT_PREFIX, PEFT_SUFFIXES
from synth.adapters.layout import Layer
from synth.diffusion.unet import Denoiser
from synth.errors import UserError

if TYPE_CHECKING:
    from peft import PeftConfig

KINDS: Final = (
    "enter", "leave", "shrink", "grow", "join", "widen", "narrow", "condition", "query", "context", "key_value",
)  # fmt: skip
_NAME: Final = "default"  # peft's own name for the adapter in training


@dataclass(frozen=True, slots=True)
class LowRankRecipe:
    """How an adapter is laid out.

    method    a name of PEFT_SUFFIXES: lora, rslora (rank-stabilised), dora (weight-decomposed), loha, lokr
    alpha     the product is scaled by alpha / rank
    kinds     of layers that are adapted (synth.adapters.layout.Layer.kind)
    """

    method: str = "lora"
    rank: int = 4
    alpha: float = 8.0
    dropout: float = 0.0
    kinds: tuple[str, ...] = KINDS


def chosen_layers(layers: Sequence[Layer], regions: Sequence[str], kinds: Sequence[str]) -> list[Layer]:
    """Those of some regions and kinds."""
    return [layer for layer in layers if layer.region in regions and layer.kind in kinds]


def make_peft_config(layers: Sequence[Layer], recipe: LowRankRecipe) -> PeftConfig:
    """peft's configuration for exactly these layers. UserError where peft is not installed."""
    try:
        import peft  # seconds to import, and only adapting needs it
    except ImportError as fault:
        raise UserError(
            "Adapting by LoRA goes through peft, which is not installed.",
            remedy="Install the training extra: .[training]; or use --method sara.",
        ) from fault
    # A pattern is matched against whole names; of a list peft would take the endings.
    pattern = "|".join(re.escape(layer.name) for layer in layers)
    shared: dict[str, Any] = {"target_modules": pattern, "r": recipe.rank}
    alpha: Any = recipe.alpha  # peft annotates it as a whole number, and only ever scales by it
    match recipe.method:
        case "lora" | "rslora" | "dora":
            return peft.LoraConfig(
                **shared, lora_alpha=alpha, lora_dropout=recipe.dropout,
                use_rslora=recipe.method == "rslora", use_dora=recipe.method == "dora",
            )  # fmt: skip
        case "loha":
            return peft.LoHaConfig(**shared, alpha=alpha)
        case "lokr":
            return peft.LoKrConfig(**shared, alpha=alpha)
        case _:
            raise UserError(
                f"There is no method {recipe.method!r} of peft here.", remedy=f"Use {', '.join(PEFT_SUFFIXES)}."
            )


def peft_config_json(layers: Sequence[Layer], recipe: LowRankRecipe) -> str:
    """The same as peft writes it beside its own files."""
    config = make_peft_config(layers, recipe)
    values = {name: sorted(v) if isinstance(v, set) else v for name, v in config.to_dict().items()}
    return json.dumps(values | {"inference_mode": True}, sort_keys=True, default=str)


def inject_peft(denoiser: Denoiser, layers: Sequence[Layer], recipe: LowRankRecipe) -> None:
    """Put peft's layers into `denoiser`, in place; only theirs are trained from here on."""
    from peft import inject_adapter_in_model

    denoiser.requires_grad_(False)
    inject_adapter_in_model(make_peft_config(layers, recipe), denoiser, _NAME)


def collect_peft(denoiser: nn.Module, method: str) -> dict[str, dict[str, Tensor]]:
    """What was trained, layer -> suffix -> tensor, by the names of the file."""
    from peft import get_peft_model_state_dict

    layers: dict[str, dict[str, Tensor]] = {}
    suffixes = sorted(PEFT_SUFFIXES[method], key=len, reverse=True)
    for name, value in get_peft_model_state_dict(denoiser, adapter_name=_NAME).items():
        bare = name.removeprefix(PEFT_PREFIX)
        suffix = next(suffix for suffix in suffixes if bare.endswith(f".{suffix}"))
        layers.setdefault(bare[: -len(suffix) - 1], {})[suffix] = value.detach().cpu().clone()
    return layers
