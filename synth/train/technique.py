"""Training the technique classifier: what the ears measured in a frame -> how it is phonated.

Read from the top: frames of recorded and simulated clips where somebody sings, their labels as soft targets (a gesture
between breathy and scream is both); a small network learns from a draw that makes all techniques equally likely, and
recordings as likely as simulations as far as there are enough of them, each through a microphone of its own. The
validation split says when to stop, the test split what it is worth.

Simulated clips are stored with the simulator's own F0, which no ear has (trained on it, the network takes every sigh
in which the tracker hears no pitch for a whisper). They are listened to anew.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.corpus.manifest import ClipRecord, Corpus, Split
from synth.errors import UserError
from synth.features.analysis import Analysis, analyse, technique_features
from synth.features.technique import (
    N_FEATURES,
    STANDARD_LIMIT,
    TechniqueModel,
    load_technique_classifier,
    save_technique_classifier,
    standardise,
)
from synth.spec import TECHNIQUES, Float32Array

log = logging.getLogger(__name__)

# Cepstra among the columns of technique_features; the averaged ones stand half the columns later.
CEPSTRA: Final = slice(13, 28)
AVERAGED_CEPSTRA: Final = slice(CEPSTRA.start + N_FEATURES // 2, CEPSTRA.stop + N_FEATURES // 2)
_SINGING: Final = 0.5
_MAIN_SHARE: Final = 0.5  # a frame counts for a technique in the figures when it has more than this much of it
_SHORTEST_BOX_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class TechniqueConfig:
    """The recipe.

    minutes          time box of the descent; it usually stops earlier
    enough_s         so much material of one technique and kind counts fully; with less, its chance sinks in proportion
    noise            added to the standardised features, so that no single one is trusted to the last digit
    colour           deviation of a random microphone's cepstra, in standard deviations of the voice's own
    simulated_clips  of each label of simulated clips, at most so many are listened to for training; None: all
    patience         evaluations without improvement before it stops
    """

    minutes: float = 2.0
    seed: int = 0
    hidden: tuple[int, ...] = (48, 48)
    smoothing_frames: int = 15
    batch_frames: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    noise: float = 0.3
    colour: float = 0.4
    dropout: float = 0.1
    simulated_clips: int | None = None
    enough_s: float = 60.0
    evaluate_every_steps: int = 100
    patience: int = 12
    max_steps: int = 3_000


@dataclass(frozen=True, slots=True)
class HeardClip:
    """One clip as the classifier gets it: features [n_frames, 56], targets [n_frames, 8], singing bool [n_frames]."""

    id: str
    is_real: bool
    features: Float32Array
    targets: Float32Array
    singing: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FramePool:
    """All singing frames of some clips: standardised features [n, 56], targets [n, 8], chance [n] of a draw."""

    features: Float32Array
    targets: Float32Array
    chance: NDArray[np.float64]


def hear(corpus: Corpus, record: ClipRecord) -> HeardClip:
    """A clip as the ears hear it: what the corpus stored with a recording; a simulation is listened to."""
    clip = corpus.load(record)
    stored = Analysis(clip.n_frames, clip.f0, clip.lanes, clip.physical, clip.mfcc)
    analysis = stored if record.kind == "real" else analyse(clip.audio)
    targets = np.stack([clip.lanes[f"technique.{name}"] for name in TECHNIQUES], axis=1)
    features = technique_features(analysis)
    singing = (analysis.lanes["presence"] > _SINGING) & (targets.sum(axis=1) > 0.0)
    return HeardClip(record.id, record.kind == "real", features, targets.astype(np.float32), singing)


def hear_split(corpus: Corpus, split: Split, most_simulated: int | None = None) -> list[HeardClip]:
    """Every clip of a split, but of each label of simulated clips the first `most_simulated` only.

    Raises UserError when nobody sings in any of them.
    """
    clips, heard = [], Counter[str]()
    for record in corpus.split(split):
        if record.kind == "simulated":
            heard[record.label] += 1
            if most_simulated is not None and heard[record.label] > most_simulated:
                continue
        clips.append(hear(corpus, record))
    if not any(clip.singing.any() for clip in clips):
        raise UserError(f"The corpus {corpus.folder} has no voice for {split}.", remedy="Build a larger corpus.")
    return clips


def balanced_chance(targets: Float32Array, is_real: NDArray[np.bool_], enough_frames: float) -> NDArray[np.float64]:
    """How likely each frame is drawn: every technique alike, and within it recordings and simulations by how much there
    is of them, up to `enough_frames`. targets [n, 8], is_real [n] -> [n], sums to 1
    """
    chance = np.zeros(len(targets))
    kinds = [is_real, ~is_real]
    for column in targets.T.astype(np.float64):
        frames = np.array([column[kind].sum() for kind in kinds])
        trusted = np.minimum(frames, enough_frames)
        for kind, n_frames, share in zip(kinds, frames, trusted / max(trusted.sum(), 1e-9), strict=True):
            if n_frames > 0.0:
                chance[kind] += share * column[kind] / n_frames
    return chance / chance.sum()


def train_technique(
    train_clips: Sequence[HeardClip], validation_clips: Sequence[HeardClip], config: TechniqueConfig
) -> TechniqueModel:
    """Fit a classifier; the weights of the lowest validation loss are kept. The same for the same arguments, unless
    the time box is what ends it."""
    raw = np.concatenate([clip.features[clip.singing] for clip in train_clips])
    mean, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-3)
    training = _pool(train_clips, mean, scale, config)
    validation = _pool(validation_clips, mean, scale, config)
    rate = scale[CEPSTRA] / scale[AVERAGED_CEPSTRA]  # one microphone shifts both cepstra alike, before standardisation
    network, progress = _descend(_network(config), training, validation, rate, config)
    layers = tuple(
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
        for layer in network
        if isinstance(layer, nn.Linear)
    )
    recipe = asdict(config) | progress | {"train_clips": len(train_clips), "validation_clips": len(validation_clips)}
    return TechniqueModel(mean, scale, layers, config.smoothing_frames, {"recipe": recipe})


def _pool(clips: Sequence[HeardClip], mean: Float32Array, scale: Float32Array, config: TechniqueConfig) -> FramePool:
    features = np.concatenate([clip.features[clip.singing] for clip in clips])
    targets = np.concatenate([clip.targets[clip.singing] for clip in clips])
    targets = targets / targets.sum(axis=1, keepdims=True)
    is_real = np.concatenate([np.full(int(clip.singing.sum()), clip.is_real) for clip in clips])
    chance = balanced_chance(targets, is_real, 100.0 * config.enough_s)
    return FramePool(standardise(features, mean, scale), targets, chance)


def _network(config: TechniqueConfig) -> nn.Sequential:
    torch.manual_seed(config.seed)
    sizes = [N_FEATURES, *config.hidden]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(config.dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], len(TECHNIQUES)))


def _descend(
    network: nn.Sequential,
    training: FramePool,
    validation: FramePool,
    averaged_rate: Float32Array,
    config: TechniqueConfig,
) -> tuple[nn.Sequential, dict[str, float]]:
    """-> (the network of the lowest validation loss, what happened)."""
    rng = np.random.default_rng(config.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    cumulative = np.cumsum(training.chance)
    best, best_loss, best_step, step = copy.deepcopy(network), float("inf"), 0, 0
    box_s = max(60.0 * config.minutes, _SHORTEST_BOX_S)
    started_s = time.monotonic()
    while step < config.max_steps and time.monotonic() - started_s < box_s:
        drawn = np.searchsorted(cumulative, rng.random(config.batch_frames) * cumulative[-1])
        seen = _through_a_microphone(training.features[drawn], averaged_rate, rng, config)
        logits = network(torch.from_numpy(np.clip(seen, -STANDARD_LIMIT, STANDARD_LIMIT)))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(training.targets[drawn]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % config.evaluate_every_steps == 0 or step == config.max_steps:
            validation_loss = _loss(network, validation)
            log.info("step %d: training %.3f, validation %.3f", step, loss.item(), validation_loss)
            if validation_loss < best_loss:
                best, best_loss, best_step = copy.deepcopy(network), validation_loss, step
            elif step - best_step >= config.patience * config.evaluate_every_steps:
                break
    if best_step == 0:
        best, best_loss, best_step = network, _loss(network, validation), step
    return best, {"steps": step, "best_step": best_step, "validation_loss": round(best_loss, 4)}


def _through_a_microphone(
    features: Float32Array, averaged_rate: Float32Array, rng: np.random.Generator, config: TechniqueConfig
) -> Float32Array:
    """Standardised features [n, 56], every frame coloured and disturbed in its own way. averaged_rate [n cepstra]"""
    seen = features.copy()
    seen += np.float32(config.noise) * rng.standard_normal(features.shape, dtype=np.float32)
    colour = rng.standard_normal((len(features), len(averaged_rate)), dtype=np.float32) * np.float32(config.colour)
    seen[:, CEPSTRA] += colour
    seen[:, AVERAGED_CEPSTRA] += colour * averaged_rate
    return seen


@torch.no_grad()
def _loss(network: nn.Sequential, pool: FramePool) -> float:
    """Cross-entropy over the pool, every technique weighed alike."""
    network.eval()
    logits: Tensor = network(torch.from_numpy(pool.features))
    losses = nn.functional.cross_entropy(logits, torch.from_numpy(pool.targets), reduction="none")
    network.train()
    return float(losses.numpy() @ pool.chance)


def figures(model: TechniqueModel, clips: Sequence[HeardClip]) -> dict[str, Any]:
    """How well frames are told apart, recordings and simulations apart. Frames where one technique has the main share.

    -> {"real": ..., "simulated": ..., "only_simulated": techniques of which there is no recording}; of each kind
    "accuracy" (all techniques alike), "frame_accuracy", "clip_accuracy", "clips", "frames" and "confusion": technique
    -> {heard technique: share of its frames}.
    """
    result: dict[str, Any] = {}
    for kind, wanted in (("real", True), ("simulated", False)):
        counts = np.zeros((len(TECHNIQUES), len(TECHNIQUES)), dtype=np.int64)
        hits = []
        for clip in clips:
            if clip.is_real != wanted:
                continue
            heard = model(clip.features)
            counted = clip.singing & (clip.targets.max(axis=1) > _MAIN_SHARE)
            np.add.at(counts, (clip.targets[counted].argmax(axis=1), heard[counted].argmax(axis=1)), 1)
            if counted.any():
                asked = clip.targets[counted].mean(axis=0).argmax()
                hits.append(bool(heard[counted].mean(axis=0).argmax() == asked))
        result[kind] = _kind_figures(counts, hits)
    recorded = result["real"]["confusion"]
    result["only_simulated"] = [name for name in result["simulated"]["confusion"] if name not in recorded]
    return result


def _kind_figures(counts: NDArray[np.int64], hits: list[bool]) -> dict[str, Any]:
    frames = counts.sum(axis=1)
    known = frames > 0
    shares = counts / np.maximum(frames, 1)[:, None]
    confusion = {
        TECHNIQUES[i]: {TECHNIQUES[j]: round(float(shares[i, j]), 4) for j in range(len(TECHNIQUES)) if counts[i, j]}
        for i in np.flatnonzero(known)
    }
    return {
        "accuracy": round(float(shares.diagonal()[known].mean()), 4) if known.any() else None,
        "frame_accuracy": round(float(counts.trace() / frames.sum()), 4) if known.any() else None,
        "clip_accuracy": round(float(np.mean(hits)), 4) if hits else None,
        "clips": len(hits),
        "frames": {TECHNIQUES[i]: int(frames[i]) for i in np.flatnonzero(known)},
        "confusion": confusion,
    }


def figure_lines(values: Mapping[str, Any]) -> list[str]:
    """What `figures` found, as a table in percent: a row for what it was, a column for what was heard."""
    lines = []
    for kind in ("real", "simulated"):
        found = values[kind]
        if not found["clips"]:
            lines.append(f"{kind}: no clips")
            continue
        alike, frames, whole = (100.0 * found[name] for name in ("accuracy", "frame_accuracy", "clip_accuracy"))
        lines.append(
            f"{kind}: {alike:.1f} % of frames, techniques alike ({frames:.1f} % of all frames, "
            f"{whole:.1f} % of {found['clips']} clips)"
        )
        lines.append(f"{'':>10}" + "".join(f"{name:>9}" for name in TECHNIQUES) + "   frames")
        for name, row in found["confusion"].items():
            cells = "".join(f"{100 * row.get(heard, 0.0):9.1f}" for heard in TECHNIQUES)
            lines.append(f"{name:>10}{cells}{found['frames'][name]:9d}")
    return [*lines, f"known only to the simulator: {', '.join(values['only_simulated']) or 'none'}"]


def train_from_corpus(corpus_dir: Path, out: Path, config: TechniqueConfig) -> TechniqueModel:
    """Train on a corpus folder, judge on its test split, and write the classifier to `out`."""
    corpus = Corpus.open(corpus_dir)
    train_clips, validation_clips = (
        hear_split(corpus, "train", config.simulated_clips),
        hear_split(corpus, "validation"),
    )
    log.info("%d clips to learn from, %d to stop by", len(train_clips), len(validation_clips))
    model = train_technique(train_clips, validation_clips, config)
    log.info("listening to the test split")
    found = figures(model, hear_split(corpus, "test"))
    model = replace(model, notes={**model.notes, "figures": found})
    save_technique_classifier(out, model)
    for line in figure_lines(found):
        log.info("%s", line)
    return model


def judge(corpus_dir: Path, classifier: Path) -> dict[str, Any]:
    """What `figures` says of a classifier's file on the test split. UserError when it is not one."""
    return figures(load_technique_classifier(classifier), hear_split(Corpus.open(corpus_dir), "test"))


def main() -> None:
    """`python -m synth.train.technique --corpus DIR --out FILE --minutes N`, or `--judge FILE`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    result = parser.add_mutually_exclusive_group(required=True)
    result.add_argument("--out", type=Path, help="train, and write the classifier there")
    result.add_argument("--judge", type=Path, help="train nothing: judge this classifier on the test split")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--simulated-clips", type=int, help="of each label, to listen to at most; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    if arguments.judge is not None:
        for line in figure_lines(judge(arguments.corpus, arguments.judge)):
            log.info("%s", line)
        return
    config = TechniqueConfig(minutes=arguments.minutes, seed=arguments.seed, simulated_clips=arguments.simulated_clips)
    train_from_corpus(arguments.corpus, arguments.out, config)


if __name__ == "__main__":
    main()
