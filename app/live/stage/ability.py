"""Whether a voice can be played live, told from its weights' description alone: no torch, no weights are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

SHIPPED_FOLDER: Final = Path(__file__).resolve().parents[3] / "presets" / "models" / "default"
_DENOISER_FILE: Final = "denoiser.safetensors"  # as synth.engine.DENOISER_FILE, which needs torch


def can_stream(weights_folder: Path | None = None) -> bool:
    """Whether the denoiser there tells frame from frame, so that it can go on from what has been heard.

    weights_folder   None: the shipped voice. False where nothing readable lies: whoever loads it says why.
    """
    try:
        with safe_open((weights_folder or SHIPPED_FOLDER) / _DENOISER_FILE, framework="numpy") as file:
            metadata: dict[str, Any] = file.metadata() or {}
        return "patch" in json.loads(metadata["config"])["denoiser"]
    except (SafetensorError, OSError, KeyError, ValueError):
        return False
