"""Any Hugging Face audio encoder from a folder of the user's, behind the same protocol. Nothing is ever downloaded."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ

_LOBES = 12  # zero crossings of the resampling filter on either side


class HuggingFaceEncoder:
    """A waveform encoder (wav2vec 2.0, HuBERT, WavLM, data2vec-audio and their like): the mean of its hidden layers."""

    hears_mel = False

    def __init__(self, model: Any, rate_hz: int, *, normalises: bool, device: torch.device | str = "cpu") -> None:
        self._model = model.eval().requires_grad_(False).to(device)
        self._normalises = normalises
        self._kernel = _lowpass(rate_hz).to(device)
        self._step = SAMPLE_RATE_HZ // rate_hz

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> HuggingFaceEncoder:
        """From a local folder with config.json and safetensors weights.

        UserError without transformers, without such a model in the folder, or where its rate does not divide 48 kHz.
        """
        try:
            transformers = importlib.import_module("transformers")  # optional, and seconds to import
        except ImportError as fault:
            raise UserError(
                "Hugging Face encoders need the package transformers.", remedy="pip install transformers."
            ) from fault
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} holds no Hugging Face model.", remedy="Name a folder with a config.json.")
        try:
            model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, KeyError, RuntimeError) as fault:
            raise UserError(f"The model in {folder} cannot be loaded: {fault}.", remedy="Check the folder.") from fault
        rate_hz, normalises = _preprocessing(folder)
        if SAMPLE_RATE_HZ % rate_hz or not hasattr(model, "feature_extractor"):
            raise UserError(
                f"The model in {folder} does not take waveforms at a rate that divides 48 kHz.",
                remedy="Use a waveform encoder such as wav2vec 2.0, HuBERT or WavLM.",
            )
        return cls(model, rate_hz, normalises=normalises, device=device)

    def embed(self, audio: Tensor) -> Tensor:
        """[B, n] at 48 kHz -> [B, T, D]; differentiable."""
        half = self._kernel.shape[-1] // 2
        low = nn.functional.conv1d(audio[:, None], self._kernel, stride=self._step, padding=half)[:, 0]
        if self._normalises:
            centred = low - low.mean(-1, keepdim=True)
            low = centred / (centred.square().mean(-1, keepdim=True) + 1e-7).sqrt()
        hidden = self._model(low, output_hidden_states=True).hidden_states[1:]
        return torch.stack([nn.functional.layer_norm(x, x.shape[-1:]) for x in hidden]).mean(0)

    def embed_mel(self, mel: Tensor) -> Tensor:
        """Not possible: these encoders hear waveforms."""
        raise TypeError("a waveform encoder cannot hear log-mel frames")


def _preprocessing(folder: Path) -> tuple[int, bool]:
    """(sampling rate, whether the waveform is brought to unit variance), 16 kHz and yes where it is not said."""
    path = folder / "preprocessor_config.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return int(stored.get("sampling_rate", 16_000)), bool(stored.get("do_normalize", True))
    except (OSError, ValueError, AttributeError) as fault:
        raise UserError(f"{path} cannot be read.", remedy="Restore it.") from fault


def _lowpass(rate_hz: int) -> Tensor:
    """Windowed-sinc decimation filter from 48 kHz -> [1, 1, taps]."""
    step = SAMPLE_RATE_HZ / rate_hz
    half = int(_LOBES * step)
    at = torch.arange(-half, half + 1) / step
    kernel = torch.sinc(0.92 * at) * 0.92 / step * torch.cos(0.5 * math.pi * at / (_LOBES + 1 / step)).square()
    return (kernel / kernel.sum())[None, None]
