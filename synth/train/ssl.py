"""Training the self-supervised encoder: hear half of an excerpt, say what is in the other half.

Read from the top: spans of log-mel frames are hidden; the student predicts there what a moving average of itself, which
hears everything, makes of them (data2vec: Baevski et al. 2022; the average is BYOL's, Grill et al. 2020). With
`--target spectrogram` it predicts the hidden frames themselves: another encoder, for comparison.
"""

from __future__ import annotations

import argparse
import copy
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.errors import UserError
from synth.ssl.encoder import KIND, AudioEncoder, SslConfig, SslEncoder
from synth.ssl.log_mel import N_BANDS
from synth.train.descent import resolve_device
from synth.train.loop import LoopConfig, LoopReport, describe, train
from synth.train.mel_bank import MelBank

log = logging.getLogger(__name__)

BATCH_SIZE = 48
EXCERPT_FRAMES = 256
WEIGHTS_FILE = "ssl.safetensors"
_SPAN_TOKENS = 10  # 200 ms, as wav2vec 2.0 hides it
_SPAN_START = 0.065
_FIRST_DECAY, _LAST_DECAY, _DECAY_STEPS = 0.99, 0.999, 2_000.0
_NEIGHBOURS = 5


def span_mask(rng: np.random.Generator, n: int, n_tokens: int) -> NDArray[np.bool_]:
    """Where nothing may be heard -> bool [n, n_tokens]; every row hides at least one span."""
    starts = rng.random((n, n_tokens)) < _SPAN_START
    starts[np.arange(n), rng.integers(0, n_tokens, n)] = True
    mask = np.zeros_like(starts)
    for offset in range(_SPAN_TOKENS):
        mask[:, offset:] |= starts[:, : n_tokens - offset]
    return mask


class SslTask(nn.Module):
    """Student, teacher and what the student is judged by, so that the loop sees one module."""

    def __init__(self, encoder: SslEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        n_outputs = encoder.config.dim if encoder.config.target == "latent" else encoder.config.patch * N_BANDS
        self.predict = nn.Linear(encoder.config.dim, n_outputs)
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros(()))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """batch: mel [B, T, N_BANDS], mask bool [B, T / patch] -> (loss, figures)."""
        mel, mask = batch["mel"], batch["mask"]
        if self.encoder.config.target == "latent":
            self._follow()
            with torch.no_grad():
                target = _normalised_mean(self.teacher.layer_outputs(mel))
        else:
            target = mel.unflatten(1, (-1, self.encoder.config.patch)).flatten(2)
        predicted = self.predict(self.encoder.layer_outputs(mel, mask)[-1])
        weight = mask[..., None].to(mel.dtype)
        loss = ((predicted - target).square() * weight).sum() / (weight.sum() * target.shape[-1])
        spread = (target * weight).sum((0, 1)) / weight.sum()
        explained = 1.0 - loss / (((target - spread).square() * weight).sum() / (weight.sum() * target.shape[-1]))
        return loss, {"explained": explained.detach()}

    @torch.no_grad()
    def _follow(self) -> None:
        self.updates += 1
        rise = (self.updates / _DECAY_STEPS).clamp(max=1.0)
        step = 1.0 - (_FIRST_DECAY + (_LAST_DECAY - _FIRST_DECAY) * rise)
        for averaged, current in zip(self.teacher.parameters(), self.encoder.parameters(), strict=True):
            averaged.lerp_(current, step)


def _normalised_mean(outputs: list[Tensor]) -> Tensor:
    """Each layer to zero mean and unit variance over time in every channel, then averaged: a constant cannot win."""
    whitened = [nn.functional.instance_norm(x.transpose(1, 2)).transpose(1, 2) for x in outputs]
    return nn.functional.layer_norm(torch.stack(whitened).mean(0), whitened[0].shape[-1:])


def train_ssl(
    corpus_dir: Path,
    run_dir: Path,
    loop: LoopConfig,
    config: SslConfig | None = None,
    *,
    device: torch.device | str = "cpu",
) -> tuple[SslEncoder, LoopReport]:
    """Train (or go on training) an encoder on a corpus; leaves ssl.safetensors in `run_dir`."""
    bank = MelBank.of_store(ClipStore(Corpus.open(corpus_dir), "train"), device)
    return train_on_bank(bank, run_dir, loop, config)


def train_on_bank(
    bank: MelBank,
    run_dir: Path,
    loop: LoopConfig,
    config: SslConfig | None = None,
    *,
    batch_size: int = BATCH_SIZE,
) -> tuple[SslEncoder, LoopReport]:
    """As train_ssl, on log-mel frames at hand; on the device they lie on."""
    device = bank.frames.device
    loop = replace(loop, device=str(device))
    config = config or SslConfig(seed=loop.seed)
    if config.target not in ("latent", "spectrogram"):
        raise UserError(f"There is no training target {config.target!r}.", remedy="Use latent or spectrogram.")
    torch.manual_seed(loop.seed)
    task = SslTask(SslEncoder(config)).to(device)

    def make_batch(rng: np.random.Generator) -> dict[str, Tensor]:
        mask = span_mask(rng, batch_size, EXCERPT_FRAMES // config.patch)
        return {"mel": bank.sample(rng, batch_size, EXCERPT_FRAMES), "mask": torch.from_numpy(mask).to(device)}

    averaged, report = train(task, make_batch, loop, run_dir)
    encoder = averaged.encoder
    assert isinstance(encoder, SslEncoder)
    notes = {"recipe": describe(loop), "steps": report.steps, "loss": report.loss}
    save_encoder(run_dir / WEIGHTS_FILE, encoder, notes)
    return SslEncoder.load(run_dir / WEIGHTS_FILE).to(device), report


def save_encoder(path: Path, encoder: SslEncoder, notes: dict[str, Any]) -> None:
    """Write the weights in half precision with their configuration, all or nothing."""
    save_weights(path, encoder, KIND, {"encoder": encoder.config.as_dict()} | notes)


@torch.no_grad()
def clip_means(encoder: AudioEncoder, bank: MelBank) -> Tensor:
    """Every clip's mean embedding, centred over clips, unit length -> [n_clips, D]."""
    means = torch.cat([encoder.embed_mel(bank.clip(index)).mean(1) for index in range(len(bank.lengths))])
    return nn.functional.normalize(means - means.mean(0), dim=-1)


def neighbour_accuracy(encoder: AudioEncoder, known: MelBank, asked: MelBank) -> dict[str, float]:
    """How often the techniques of a clip's nearest training clips name its own -> {"real": ..., "simulated": ...},
    as far as there are such clips.

    Five neighbours by cosine vote; techniques count alike. No label was used in training.
    """
    reference, queries = clip_means(encoder, known), clip_means(encoder, asked)
    nearest = (queries @ reference.T).topk(min(_NEIGHBOURS, len(reference)), dim=1).indices.cpu().numpy()
    votes = [np.bincount(known.technique[row]).argmax() for row in nearest]
    right = np.array(votes) == asked.technique
    result = {}
    for kind, chosen in (("real", asked.is_real), ("simulated", ~asked.is_real)):
        labels = np.unique(asked.technique[chosen])
        shares = [right[chosen & (asked.technique == label)].mean() for label in labels]
        if len(shares):
            result[kind] = round(float(np.mean(shares)), 4)
    return result


def ssl_loop(minutes: float, *, seed: int = 0, device: str = "cpu") -> LoopConfig:
    """The recipe."""
    return LoopConfig(minutes=minutes, learning_rate=1e-3, ema_decay=0.999, seed=seed, device=device)


def main() -> None:
    """`python -m synth.train.ssl --corpus DIR --run DIR --minutes N`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--target", choices=("latent", "spectrogram"), default="latent")
    parser.add_argument("--batch", type=int, default=BATCH_SIZE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    corpus = Corpus.open(arguments.corpus)
    known, asked = (MelBank.of_store(ClipStore(corpus, split), device) for split in ("train", "validation"))
    loop = ssl_loop(arguments.minutes, seed=arguments.seed, device=str(device))
    config = SslConfig(seed=loop.seed, target=arguments.target)
    encoder, report = train_on_bank(known, arguments.run, loop, config, batch_size=arguments.batch)
    log.info("finished: %s", report)
    log.info("technique by nearest clips, validation: %s", neighbour_accuracy(encoder, known, asked))


if __name__ == "__main__":
    main()
