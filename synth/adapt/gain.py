"""How far an adapter goes towards a singer: held-out recordings sung by base and adapter, set against each other.

    python -m synth.adapt.gain RUN/adapter.safetensors --run RUN --weights DIR [--steps 4,1] [--judged 60]

RUN is what `stridor adapt` left. Its test recordings, which nothing was learnt or chosen by, are sung again from their
own lanes and mean timbre, by the same seeds, with the adapter and without. Three figures, each with a jackknife over
recordings (Efron and Stein 1981):

fidelity   the one that decides: half-second excerpts' HNR, CPPS, jitter, shimmer, centroid (Praat), sub-harmonic and
           modulation depth (our ears). Recordings are halved at random; for each measure the Wasserstein distance of
           one half as sung to the other half as recorded, over that of the first half as recorded; R is the geometric
           mean over measures, 1 for a voice as near to the recordings as they are to each other. The share of the gap
           closed is (R_base - R_adapted) / (R_base - 1).
kernel     the same halves by polynomial kernel distance of log-mel statistics: (K_base - K_adapted) / (K_base - K_real)
spectrum   distance of the average spectra and of every frame, dB, paired changes: no floor, no share

What the codec alone does to the same recordings (encoded and decoded, nothing sampled) is measured beside them: no
adapter of the denoiser can go beyond it.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synth.adapt.adaptation import ADAPTER_FILE, load_base
from synth.adapt.judge import Judged, as_dict, compared, everywhere, heard, judge, recordings_of
from synth.adapt.material import deal_splits
from synth.adapt.training import write_json
from synth.codec.model import Codec
from synth.corpus.manifest import Corpus
from synth.diffusion.sampler import SamplingPlan
from synth.engine import Engine
from synth.errors import UserError
from synth.evaluate.distances import Sound
from synth.evaluate.embeddings import LogMelStatistics, standardised
from synth.evaluate.fidelity import FIDELITY_MEASURES, evaluate_deviation, excerpt_measures
from synth.evaluate.kernel import mmd_squared, polynomial_kernel
from synth.evaluate.recordings import encode
from synth.evaluate.resung import Resung
from synth.evaluate.singing import Singer
from synth.evaluate.statistics import Interval, distribution_distance
from synth.train.descent import resolve_device
from synth.train.loop import prepare_torch

log = logging.getLogger(__name__)

Float64Array = NDArray[np.float64]
N_HALVINGS: Final = 40
_Z95: Final = 1.959964
_FEWEST: Final = 6  # recordings with excerpts


@dataclass(frozen=True, slots=True)
class Excerpts:
    """Half-second excerpts of one way of singing the recordings.

    owners     [n] recording of each excerpt
    values     measure -> [n];  embedded [n, dim]
    """

    owners: NDArray[np.int64]
    values: Mapping[str, Float64Array]
    embedded: Float64Array


def excerpts_of(sung: Sequence[Resung], *, real: bool) -> Excerpts:
    """What there is to compare, of the recordings themselves or of what was made. Raises UserError without Praat."""
    owners: list[int] = []
    rows: list[dict[str, float]] = []
    vectors: list[Float64Array] = []
    embedding = LogMelStatistics()
    for index, item in enumerate(sung):
        sound, found = item.real if real else item.made, item.excerpts()
        owners += [index] * len(found)
        rows += [excerpt_measures(sound, frames) for frames in found]
        if found:
            vectors.append(embedding(sound, found))
    if len(set(owners)) < _FEWEST:
        raise UserError(
            f"{len(set(owners))} held-out recordings are too few to measure a gain by.",
            remedy="Learn from fewer minutes, so that more is held out.",
        )
    values = {name: np.array([row[name] for row in rows]) for name in FIDELITY_MEASURES}
    return Excerpts(np.array(owners), values, np.concatenate(vectors))


class Halves:
    """Fixed random halvings of the recordings; one recording may be left out of all of them."""

    def __init__(self, owners: NDArray[np.int64], seed: int = 0) -> None:
        self.owners, self.recordings = owners, np.unique(owners)
        rng = np.random.default_rng(seed)
        n = len(self.recordings)
        self._first = [np.isin(owners, rng.permutation(self.recordings)[: n // 2]) for _ in range(N_HALVINGS)]

    def mean(self, distance: Callable[[Any, Any], float], left_out: int | None = None) -> float:
        """Mean over the halvings of distance(excerpts of one half, excerpts of the other)."""
        kept = np.ones(len(self.owners), dtype=np.bool_) if left_out is None else self.owners != left_out
        found = [distance(np.flatnonzero(first & kept), np.flatnonzero(~first & kept)) for first in self._first]
        known = [value for value in found if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")

    def interval(self, statistic: Callable[[int | None], float]) -> Interval:
        """A statistic of everything (None) with the jackknife of those without one recording each."""
        value, n = statistic(None), len(self.recordings)
        without = np.array([statistic(int(left_out)) for left_out in self.recordings])
        if not np.isfinite(without).all():
            return Interval(value, float("nan"), float("nan"), n)
        spread = _Z95 * float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))
        return Interval(value, value - spread, value + spread, n)


def ratios(made: Excerpts, real: Excerpts, halves: Halves, left_out: int | None = None) -> dict[str, float]:
    """Measure -> distance of what was made to the recordings, over that of the recordings to each other."""
    found = {}
    for name, values in real.values.items():
        own = made.values[name]
        sides = [
            halves.mean(lambda a, b, side=side, r=values: distribution_distance(side[a], r[b]), left_out)
            for side in (own, values)
        ]
        if sides[0] > 0 and sides[1] > 0:
            found[name] = sides[0] / sides[1]
    return found


def geometric_mean(values: Mapping[str, float]) -> float:
    """Over measures; NaN without any."""
    return float(np.exp(np.mean(np.log(list(values.values()))))) if values else float("nan")


def fidelity_closed(
    base: Excerpts, adapted: Excerpts, real: Excerpts, codec: Excerpts | None, halves: Halves
) -> dict[str, Any]:
    """R of each side, and the share of base to real-to-real that is closed, with intervals."""
    cache: dict[tuple[int, int | None], float] = {}

    def at(side: Excerpts, left_out: int | None) -> float:
        key = (id(side), left_out)
        if key not in cache:
            cache[key] = geometric_mean(ratios(side, real, halves, left_out))
        return cache[key]

    result: dict[str, Any] = {
        "base": as_dict(halves.interval(lambda out: at(base, out))),
        "adapted": as_dict(halves.interval(lambda out: at(adapted, out))),
        "closed": as_dict(halves.interval(lambda out: (at(base, out) - at(adapted, out)) / (at(base, out) - 1.0))),
        "measures": {
            name: {"base": value, "adapted": ratios(adapted, real, halves).get(name)}
            for name, value in ratios(base, real, halves).items()
        },
    }
    if codec is not None:
        floor = at(codec, None)
        result["codec"] = floor
        result["closed_to_codec"] = (at(base, None) - at(adapted, None)) / (at(base, None) - floor)
    return result


def kernel_closed(base: Excerpts, adapted: Excerpts, real: Excerpts, halves: Halves) -> dict[str, Any]:
    """Kernel distances of each side, and the share of the gap that is closed, with intervals."""
    reference = standardised(real.embedded, real.embedded)
    of_real = polynomial_kernel(reference, reference)

    def distances(side: Excerpts) -> Callable[[int | None], float]:
        vectors = standardised(side.embedded, real.embedded)
        own, between = polynomial_kernel(vectors, vectors), polynomial_kernel(vectors, reference)

        def distance(a: Any, b: Any) -> float:
            return mmd_squared(own[np.ix_(a, a)], of_real[np.ix_(b, b)], between[np.ix_(a, b)])

        known: dict[int | None, float] = {}

        def at(left_out: int | None) -> float:
            if left_out not in known:
                known[left_out] = halves.mean(distance, left_out)
            return known[left_out]

        return at

    before, after, floor = distances(base), distances(adapted), distances(real)
    return {
        "base": as_dict(halves.interval(before)), "adapted": as_dict(halves.interval(after)),
        "real": as_dict(halves.interval(floor)),
        "closed": as_dict(
            halves.interval(lambda out: (before(out) - after(out)) / (before(out) - floor(out)))
        ),
    }  # fmt: skip


def gain(before: Judged, after: Judged, codec: Sequence[Resung] | None = None) -> dict[str, Any]:
    """Everything that is said of base and adapter, the same recordings in the same order. UserError for too few."""
    real = excerpts_of(before.sung, real=True)
    sides = [excerpts_of(side.sung, real=False) for side in (before, after)]
    halves = Halves(real.owners)
    codec_side = excerpts_of(codec, real=False) if codec is not None else None
    deviations = {}
    for name, side in (("base", before.sung), ("adapted", after.sung), ("codec", codec)):
        if side is not None:
            everything = evaluate_deviation(side)[-1]
            deviations[name] = {"average_db": everything.average_db.value, "frame_db": everything.frame_db.value}
    paired = compared(before, after)
    return {
        "recordings": len(halves.recordings), "excerpts": len(real.owners),
        "fidelity": fidelity_closed(sides[0], sides[1], real, codec_side, halves),
        "kernel": kernel_closed(sides[0], sides[1], real, halves),
        "spectrum": deviations,
        "change": {name: paired["change"][name] for name in ("control_error", "log_mel_db", "mr_stft", "roughness")},
    }  # fmt: skip


def resung_by_codec(engine: Engine, before: Judged) -> list[Resung]:
    """The same recordings encoded and decoded: what no sampling can be nearer than."""
    singer = Singer(engine, "draft")
    return [
        Resung(
            item.recording, item.technique, item.group, item.real,
            Sound.of(singer.decode(*encode(engine, item.recording.audio), 0)),
        )
        for item in before.sung
    ]  # fmt: skip


def opened(weights: Path | None, device: str) -> Engine:
    """An engine for judging."""
    base, codec = load_base(weights, resolve_device(device))
    return engine_of(base.denoiser, codec, dict(base.config), base.weights_hash, base.base_hash)


def engine_of(denoiser: Any, codec: Codec, config: dict[str, Any], weights_hash: str, base_hash: str) -> Engine:
    """The same from what is loaded already."""
    engine = Engine(codec, denoiser, config, weights_hash, denoiser.device.type, 1)
    engine.adapters.base_hash = base_hash
    return engine


def held_out_of(run: Path) -> Corpus:
    """The corpus of an adaptation's run, dealt as it was. UserError where it is none."""
    asked = run / "adaptation.json"
    try:
        most = json.loads(asked.read_text(encoding="utf-8"))["most_minutes"]
    except (OSError, ValueError, KeyError) as fault:
        raise UserError(f"{run} is no folder of an adaptation.", remedy="Name one by --run.") from fault
    corpus = Corpus.open((run if (run / "corpus").is_dir() else run.parent / "shared") / "corpus")
    return Corpus(corpus.folder, deal_splits(corpus.records, most)[0])


def measure_gain(engine: Engine, adapter: Path, run: Path, steps: Sequence[int], n_judged: int) -> dict[str, Any]:
    """The figures for each number of steps -> {"4 steps": ..., "files": the recordings' ids}."""
    loaded = engine.adapters.load(adapter)
    reals = heard(recordings_of(held_out_of(run), "test", n_judged))
    result: dict[str, Any] = {"adapter": loaded.id, "technique": loaded.info.technique}
    codec: list[Resung] | None = None
    for n_steps in steps:
        plan = SamplingPlan(n_steps=n_steps)
        sides = [
            judge(engine, reals, loaded.info.technique, strengths, plan) for strengths in ({}, everywhere(loaded.id))
        ]
        codec = resung_by_codec(engine, sides[0]) if codec is None else codec
        result[f"{n_steps} steps"] = gain(sides[0], sides[1], codec)
    return result | {"files": sorted({source for real, _ in reals for source in [real.id]})}


def gain_lines(found: Mapping[str, Any]) -> str:
    """The figures as text."""
    lines = []
    for name, one in found.items():
        if not name.endswith("steps"):
            continue
        lines.append(f"{name}: {one['recordings']} recordings, {one['excerpts']} excerpts")
        for kind in ("fidelity", "kernel"):
            parts = one[kind]
            lines.append(
                f"  {kind}: base {_text(parts['base'])}, adapted {_text(parts['adapted'])}, "
                f"closed {_text(parts['closed'])}"
            )
        lines.append(f"  codec alone {one['fidelity']['codec']:.3g}: {one['fidelity']['closed_to_codec']:.3g} of that")
        lines.append(f"  spectrum, dB: {one['spectrum']}")
        lines += [f"  change of {measure}: {_text(change)}" for measure, change in one["change"].items()]
    return "\n".join(lines) + "\n"


def _text(found: Mapping[str, float]) -> str:
    return f"{found['value']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"


def main(words: Sequence[str] | None = None) -> None:
    """Measure from the command line; leaves gain.json beside the adapter's run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path, nargs="?")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--steps", default="4,1")
    parser.add_argument("--judged", type=int, default=60)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    prepare_torch(given.threads)
    engine = opened(given.weights, given.device)
    steps = [int(one) for one in given.steps.split(",")]
    found = measure_gain(engine, given.adapter or given.run / ADAPTER_FILE, given.run, steps, given.judged)
    write_json(given.run / "gain.json", found)
    sys.stdout.write(gain_lines(found))


if __name__ == "__main__":
    main()
