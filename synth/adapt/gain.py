"""How far an adapter goes towards a singer: held-out recordings sung by base and adapter, set against each other.

    python -m synth.adapt.gain RUN/adapter.safetensors --run RUN --weights DIR [--steps 4,1] [--judged 40]

RUN is what `stridor adapt` left. Its test recordings, which nothing was learnt or chosen by, are sung again from their
own lanes and mean timbre, by the same seeds, with the adapter and without, and cut into excerpts of half a second.
Recordings are halved at random; one half as sung is compared with the other half as recorded, and so is the first half
as recorded, which is the floor: as near as real recordings are to each other.

kernel     the figure: the share of base to floor that is closed, (K_base - K_adapted) / (K_base - K_real), with K the
           polynomial kernel distance of log-mel statistics, by which the base itself is judged (synth.evaluate.kernel)
root       the same of the square roots: K is the square of a distance, and half-way in distance is three quarters in K
fidelity   beside it: Wasserstein distances of HNR, CPPS, jitter, shimmer, centroid (Praat), sub-harmonic and modulation
           depth (our ears), each over the recordings' own; R is their geometric mean, the share that of R - 1
spectrum   difference of the average spectra, and of every frame, dB: it has no floor

What the codec alone does to the same recordings (encoded and decoded, nothing sampled) is measured beside them: no
adapter of the denoiser can come nearer.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synth.adapt.adaptation import ADAPTER_FILE, ASKED_FILE, engine_of, load_base
from synth.adapt.figures import as_dict, in_line, write_json
from synth.adapt.judge import changes, everywhere, heard, judge, recordings_of
from synth.adapt.material import deal_splits
from synth.adapt.nearness import Fidelity, Halves, Kernel, excerpts_of
from synth.corpus.manifest import Corpus
from synth.diffusion.sampler import SamplingPlan
from synth.engine import Engine
from synth.errors import UserError
from synth.evaluate.distances import Sound
from synth.evaluate.fidelity import evaluate_deviation
from synth.evaluate.recordings import encode
from synth.evaluate.resung import Resung
from synth.evaluate.singing import Singer
from synth.train.descent import resolve_device
from synth.train.loop import prepare_torch


def gain(base: Sequence[Resung], adapted: Sequence[Resung], codec: Sequence[Resung] | None = None) -> dict[str, Any]:
    """Both shares of the gap, of two ways of singing the same recordings in the same order. UserError for too few."""
    real = excerpts_of(base, real=True, voice=True)
    before, after = (excerpts_of(side, real=False, voice=True) for side in (base, adapted))
    halves = Halves(real.owners)
    fidelity, kernel = Fidelity(real, halves), Kernel(real, halves)
    found: dict[str, Any] = {
        "recordings": len(halves.recordings), "excerpts": len(real.owners),
        "kernel": kernel.closed(before, after), "fidelity": fidelity.closed(before, after),
    }  # fmt: skip
    spectra = {"base": base, "adapted": adapted}
    if codec is not None:
        side = excerpts_of(codec, real=False, voice=True)
        found["codec"] = {"kernel": kernel.of(side), "fidelity": fidelity.of(side)}
        spectra["codec"] = codec
    deviations = {name: evaluate_deviation(side)[-1] for name, side in spectra.items()}
    found["spectrum"] = {
        name: {"average_db": as_dict(one.average_db), "frame_db": as_dict(one.frame_db)}
        for name, one in deviations.items()
    }
    return found


def resung_by_codec(engine: Engine, sung: Sequence[Resung]) -> list[Resung]:
    """The same recordings encoded and decoded: what no sampling can be nearer than."""
    singer = Singer(engine, "draft")
    return [
        Resung(
            item.recording, item.technique, item.group, item.real,
            Sound.of(singer.decode(*encode(engine, item.recording.audio), 0)),
        )
        for item in sung
    ]  # fmt: skip


def held_out_of(run: Path) -> Corpus:
    """The corpus of an adaptation's run, dealt as it was. UserError where it is none."""
    asked = run / ASKED_FILE
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
        base, adapted = (
            judge(engine, reals, loaded.info.technique, strengths, plan) for strengths in ({}, everywhere(loaded.id))
        )
        codec = resung_by_codec(engine, base.sung) if codec is None else codec
        change = changes(base, adapted)
        result[f"{n_steps} steps"] = gain(base.sung, adapted.sung, codec) | {
            "change": {name: change[name] for name in ("control_error", "log_mel_db", "mr_stft", "roughness")}
        }
    return result | {"held_out": [recording.id for recording, _ in reals]}


def gain_lines(found: Mapping[str, Any]) -> str:
    """The figures as text."""
    lines = []
    for name, one in found.items():
        if not name.endswith("steps"):
            continue
        lines.append(f"{name}: {one['recordings']} recordings, {one['excerpts']} excerpts")
        for kind in ("kernel", "fidelity"):
            parts = {part: in_line(one[kind][part]) for part in ("base", "adapted", "closed")}
            lines.append(
                f"  {kind}: base {parts['base']}, adapted {parts['adapted']}, closed {parts['closed']}; "
                f"the codec alone {one['codec'][kind]:.3g}"
            )
        lines.append(f"  root: closed {in_line(one['kernel']['root_closed'])}")
        lines += [
            f"  {side}: average spectrum {in_line(both['average_db'])} dB, frames {in_line(both['frame_db'])} dB"
            for side, both in one["spectrum"].items()
        ]
        lines += [f"  change of {measure}: {in_line(change)}" for measure, change in one["change"].items()]
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> None:
    """Measure from the command line; leaves gain.json beside the adapter's run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path, nargs="?")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--steps", default="4,1")
    parser.add_argument("--judged", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    prepare_torch(given.threads)
    engine = engine_of(*load_base(given.weights, resolve_device(given.device)))
    steps = [int(one) for one in given.steps.split(",")]
    found = measure_gain(engine, given.adapter or given.run / ADAPTER_FILE, given.run, steps, given.judged)
    write_json(given.run / "gain.json", found)
    sys.stdout.write(gain_lines(found))


if __name__ == "__main__":
    main()
