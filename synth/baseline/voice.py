"""The trained baseline as a voice: controls in, audio out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from synth.baseline.model import DEFAULT_STEPS, WEIGHTS_KIND, WaveformConfig, WaveformDiffusion
from synth.codec.weights import content_hash, load_weights, read_config
from synth.diffusion.conditioning import TimbreScale, condition_array, typical_timbre
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES
from synth.spec.controls import ControlFrames, Float32Array

BASELINE_FILE: Final = "baseline.safetensors"


class WaveformVoice:
    """One trained network on one device. Not thread-safe."""

    def __init__(
        self, network: WaveformDiffusion, config: Mapping[str, Any], weights_hash: str, device: torch.device
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.weights_hash = weights_hash
        self.device = device
        self.device_name = str(device)
        self.config = config
        self._scale = TimbreScale(tuple(config["timbre_mean"]), tuple(config["timbre_std"]))
        self._typical = {
            name: np.asarray(values, dtype=np.float32) for name, values in config["technique_timbre"].items()
        }

    @classmethod
    def load(cls, weights_dir: Path, device: str = "cpu") -> WaveformVoice:
        """Read baseline.safetensors of a run folder. UserError when it is missing, damaged or not the baseline's."""
        path = weights_dir / BASELINE_FILE
        config = read_config(path, WEIGHTS_KIND)
        try:
            shape = config["baseline"]
            known = {name: config[name] for name in ("timbre_mean", "timbre_std", "technique_timbre")}
        except KeyError as fault:
            raise UserError(f"{path.name} lacks {fault}.", remedy="Train the baseline again.") from fault
        network = WaveformDiffusion(WaveformConfig.from_dict(shape))
        load_weights(path, network.net)
        return cls(network, config | known, content_hash(path), torch.device(device))

    def sing(
        self, controls: ControlFrames, *, seed: int, timbre: Float32Array | None = None, n_steps: int = DEFAULT_STEPS
    ) -> Float32Array:
        """Mono audio [n_frames * HOP_SAMPLES], drawn in one piece as the package does.

        timbre   [TIMBRE_DIM] or [n_frames, TIMBRE_DIM]; None: that of the controls, else the technique's typical one
        """
        wanted = controls.timbre if timbre is None else timbre
        if wanted is None:
            wanted = typical_timbre(controls.values, self._typical)
        condition = condition_array(controls.values, wanted, self._scale)
        on_device = torch.from_numpy(condition)[None].to(self.device)
        # Noise from the CPU's generator: the same seed is the same noise on every device.
        drawn = self.network.sample(on_device, torch.Generator().manual_seed(seed), n_steps)
        return drawn[0, : controls.n_frames * HOP_SAMPLES].float().cpu().numpy()
