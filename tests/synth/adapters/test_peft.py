"""Our files and peft's: what peft trained sounds the same here, and what we wrote can be read there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from synth.adapt.lowrank import LowRankRecipe, collect_peft, inject_peft, peft_config_json
from synth.adapters.deltas import PEFT_SUFFIXES
from synth.adapters.file import export_for_peft, read_adapter, save_adapter
from synth.adapters.layout import linear_layers
from synth.adapters.mixing import AdaptedDenoiser
from tests.synth.adapters.test_mixing import inputs, sing, with_strengths
from tests.synth.adapters.tiny_adapters import info, stirred_denoiser


@pytest.mark.parametrize("method", PEFT_SUFFIXES)
def test_what_peft_computes_is_what_is_played(method: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="a dependency of the dev and training extras")
    base, trained = stirred_denoiser(), stirred_denoiser()
    recipe = LowRankRecipe(method, rank=2, alpha=3.0)
    layers = linear_layers(base)
    inject_peft(trained, layers, recipe)
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    trained.eval()
    path = tmp_path / "a.safetensors"
    described = info(method, rank=recipe.rank, alpha=recipe.alpha)
    save_adapter(path, described, collect_peft(trained, method), peft_config_json(layers, recipe))
    model = AdaptedDenoiser(base, [read_adapter(path)])
    x, sigma, condition = inputs()
    wanted = sing(trained, x, sigma, condition)
    assert (wanted - sing(base, x, sigma, condition)).abs().max() > 1e-2
    sung = sing(model, x, sigma, with_strengths(condition, torch.ones(3)))
    torch.testing.assert_close(sung, wanted, atol=2e-4, rtol=1e-3)

    there = peft.PeftModel.from_pretrained(stirred_denoiser(), str(export_for_peft(path, tmp_path / "peft")))
    torch.testing.assert_close(sing(there.base_model.model, x, sigma, condition), wanted, atol=1e-6, rtol=1e-5)
