"""WORLD (Morise et al. 2016): the classical analysis and resynthesis a model has to be heard beside."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_FRAME_PERIOD_MS = 5.0


def resynthesise(audio: Float32Array) -> Float32Array:
    """Harvest, CheapTrick and D4C, then synthesis of the same length [n]. Raises UserError without the extra."""
    world = _pyworld()
    samples = audio.astype(np.float64)
    f0_hz, t_s = world.harvest(samples, SAMPLE_RATE_HZ, frame_period=_FRAME_PERIOD_MS)
    envelope = world.cheaptrick(samples, f0_hz, t_s, SAMPLE_RATE_HZ)
    aperiodicity = world.d4c(samples, f0_hz, t_s, SAMPLE_RATE_HZ)
    made = world.synthesize(f0_hz, envelope, aperiodicity, SAMPLE_RATE_HZ, _FRAME_PERIOD_MS)
    result = np.zeros(len(audio), dtype=np.float32)
    n_samples = min(len(audio), len(made))
    result[:n_samples] = made[:n_samples]
    return result


@cache
def _pyworld() -> Any:
    """The module. It asks pkg_resources for its own version; new setuptools lack that and older ones warn of it, so a
    stand-in that answers just this is there while it is imported."""
    stand_in = ModuleType("pkg_resources")
    vars(stand_in)["get_distribution"] = lambda name: SimpleNamespace(version=importlib.metadata.version(name))
    before = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stand_in
    try:
        return importlib.import_module("pyworld")
    except ImportError as fault:
        raise UserError("WORLD is not installed.", remedy="Install the evaluation extra: .[evaluation].") from fault
    finally:
        del sys.modules["pkg_resources"]
        if before is not None:
            sys.modules["pkg_resources"] = before
