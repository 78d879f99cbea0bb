"""What a pack's presets will be on the weights that are installed here: the same, other, or nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from app.store.packs.reader import Pack
from synth.errors import UserError

_PIECE_BYTES = 1 << 20
_CODEC_FILE, _DENOISER_FILE = "codec.safetensors", "denoiser.safetensors"


@dataclass(frozen=True, slots=True)
class Weights:
    """Hashes of installed weights, as synth.codec.weights.content_hash has them.

    whole    codec and denoiser, the engine's weights_hash;  base: the denoiser, which adapters name
    """

    whole: str
    base: str


def installed_weights(folder: Path) -> Weights:
    """Hashes of the weights in `folder`, without loading them. Raises UserError where they cannot be read."""
    whole, base = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    for name, digests in ((_CODEC_FILE, (whole,)), (_DENOISER_FILE, (whole, base))):
        try:
            with (folder / name).open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    for digest in digests:
                        digest.update(piece)
        except OSError as fault:
            remedy = "`stridor doctor` shows what is missing."
            raise UserError(f"The weights in {folder} cannot be read: {fault.strerror}.", remedy=remedy) from fault
    return Weights(whole.hexdigest(), base.hexdigest())


def differences(pack: Pack, weights: Weights | None) -> tuple[str, ...]:
    """One line for each thing that will sound otherwise here, or not at all; empty when all will be as it was made.

    weights    None: not known here, so nothing can be said of the weights
    """
    lines = [
        f"The adapter {adapter_id} is not in the pack; presets that sing with it will be silent until it is there."
        for adapter_id in pack.missing_adapters
    ]
    if weights is None:
        return tuple(lines)
    models = {preset.model for preset in pack.presets.values() if preset.model is not None}
    if pack.manifest.model is not None:
        models.add(pack.manifest.model)
    others = sorted(model.name for model in models if model.hash != weights.whole)
    if others:
        lines.append(f"Made with other weights ({', '.join(others)}): lanes mean the same, the voice will differ.")
    for facts in pack.adapters.values():
        if facts.base_hash != weights.base:
            lines.append(
                f"The adapter {facts.name} was trained on another base: it may not fit, and will not sing alike."
            )
    return tuple(lines)
