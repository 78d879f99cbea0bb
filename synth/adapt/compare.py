"""LoRA, SaRA and full fine-tuning on the same material; what each region does; what other techniques suffer.

    python -m synth.adapt.compare methods RECORDINGS --technique growl --licence L --consent C --run DIR --seeds 0,1,2
    python -m synth.adapt.compare regions DIR/adapter.safetensors [--segments 100] --run DIR
    python -m synth.adapt.compare harm DIR/adapter.safetensors [--segments 1000] --run DIR

Each leaves a JSON file and a table in Markdown in --run. `methods` trains one adapter a method and seed, resumed where
it was stopped, and sings the same held-out recordings with all of them; intervals are over seeds.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from synth.adapt.adaptation import ADAPTER_FILE, Adapted, Wanted, adapt, engine_of, load_base
from synth.adapt.effects import FAMILIES, harm, region_effects
from synth.adapt.figures import as_dict, in_line, write_json
from synth.adapt.judge import judging_plan
from synth.adapt.memory import STEPS, measure_all
from synth.adapt.training import AdaptRecipe
from synth.adapters.layout import REGIONS
from synth.atomic import write_atomically
from synth.corpus.importers.layouts import Terms
from synth.diffusion.sampler import SamplingPlan
from synth.engine import Engine
from synth.errors import UserError
from synth.evaluate.statistics import mean_interval
from synth.evaluate.timebox import TimeBox
from synth.train.descent import resolve_device
from synth.train.loop import prepare_torch

log = logging.getLogger(__name__)

COMPARED: Final = ("lora", "sara", "full")
_SHOWN: Final = ("control_error", "log_mel_db", "mr_stft", "roughness")


@dataclass(frozen=True, slots=True)
class Arm:
    """One training of the comparison, with its report."""

    method: str
    seed: int
    report: Mapping[str, Any]


def compare_methods(wanted: Wanted, seeds: Sequence[int], methods: Sequence[str] = COMPARED) -> list[Arm]:
    """Train and judge every method with every seed, one after the other; `wanted.run` holds a folder for each."""
    arms = []
    for seed in seeds:
        for method in methods:
            recipe = replace(wanted.recipe, method=method, seed=seed)
            run = wanted.run / f"{method}-{seed}"
            done: Adapted = adapt(replace(wanted, run=run, recipe=recipe, shared=wanted.run / "shared"))
            if done.adapter is None:
                raise UserError("The comparison was stopped.", remedy="The same call goes on.")
            arms.append(Arm(method, seed, done.report))
            log.info("%s, seed %d: %s", method, seed, done.report["held_out"]["after"])
    return arms


def summarise(arms: Sequence[Arm]) -> dict[str, Any]:
    """Method -> figures with intervals over seeds; change: after - before of each measure, less is better."""
    summary: dict[str, Any] = {}
    for method in dict.fromkeys(arm.method for arm in arms):
        reports = [arm.report for arm in arms if arm.method == method]
        change = {
            name: as_dict(mean_interval([report["held_out"]["change"][name]["value"] for report in reports]))
            for name in reports[0]["held_out"]["change"]
        }
        closed = [report["held_out"]["gap_closed"] for report in reports]
        known = [gap["closed"] for gap in closed if isinstance(gap, dict)]
        summary[method] = {
            "seeds": len(reports), "change": change,
            "gap_closed": as_dict(mean_interval(known)) if known else str(closed[0]),
            "minutes": as_dict(mean_interval([report["seconds"]["training"] / 60.0 for report in reports])),
            "steps": [sum(stage["steps"] for stage in report["training"].values()) for report in reports],
            "parameters": reports[0]["parameters"], "share": reports[0]["share"],
            "bytes": [report["file"]["bytes"] for report in reports],
        }  # fmt: skip
    return summary


def methods_table(summary: Mapping[str, Any], memory: Mapping[str, Any] | None) -> str:
    """The comparison in Markdown."""
    header = ["method", "parameters", "share", "file kB", "minutes", "peak MB", *_SHOWN, "gap closed", "steps"]
    rows = []
    for method, found in summary.items():
        peak = f"{memory['methods'][method]['peak_mb']:.0f}" if memory else "not measured"
        gap = found["gap_closed"]
        rows.append([
            method, str(found["parameters"]), f"{100 * found['share']:.2f} %", f"{np.mean(found['bytes']) / 1e3:.0f}",
            f"{found['minutes']['value']:.1f}", peak, *(in_line(found["change"][name]) for name in _SHOWN),
            gap if isinstance(gap, str) else in_line(gap), f"{np.mean(found['steps']):.0f}",
        ])  # fmt: skip
    return table(header, rows) + "\nChanges are after - before on held-out recordings: less is better.\n"


def regions_table(effects: Mapping[str, Any]) -> str:
    """Effects in standard deviations of the base's spread, in Markdown, and what they say of the hypothesis."""
    names = [name for family in FAMILIES.values() for name in family]
    rows = [
        [region, *(in_line(effects["matrix"][region][name]["size_in_deviations"]) for name in names)]
        for region in REGIONS
    ]
    verdicts = [[family, found["expected"], found["verdict"]] for family, found in effects["hypothesis"].items()]
    return table(["region", *names], rows) + "\n" + table(["family", "expected region", "verdict"], verdicts)


def harm_table(found: Mapping[str, Any]) -> str:
    """Change of control error and recognition, technique by technique, in Markdown."""
    rows = [
        [
            name, str(one["relative"]["n"]), f"{one['error_without']:.4f}", f"{one['error_with']:.4f}",
            _percent(one["relative"]), f"{100 * one['named_without']:.1f} % of {one['named_change']['n']}",
            _percent(one["named_change"]),
        ]
        for name, one in {**found["techniques"], "all": found["all"]}.items()
    ]  # fmt: skip
    return table(["technique", "segments", "error without", "error with", "change", "named without", "change"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _loaded(adapter: Path, weights: Path | None, device: str) -> tuple[Engine, str, str, SamplingPlan]:
    """(an engine with the adapter, its id, its technique, how to sample)."""
    base, codec = load_base(weights, resolve_device(device))
    engine = engine_of(base, codec)
    loaded = engine.adapters.load(adapter)
    return engine, loaded.id, loaded.info.technique, judging_plan(base.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--run", type=Path, required=True)
    shared.add_argument("--weights", type=Path)
    shared.add_argument("--device", default="auto")
    shared.add_argument("--threads", type=int, default=2)
    methods = parts.add_parser("methods", parents=[shared])
    methods.add_argument("paths", type=Path, nargs="+")
    methods.add_argument("--technique", required=True)
    for name in ("--licence", "--consent", "--author"):
        methods.add_argument(name, default="")
    methods.add_argument("--seeds", default="0,1,2")
    methods.add_argument("--minutes", type=float, default=8.0)
    methods.add_argument("--material-minutes", type=float)
    methods.add_argument("--judged", type=int, default=24)
    methods.add_argument("--clock", choices=("wall", "processor"), default="wall", help="what counts the minutes")
    methods.add_argument("--methods", default=",".join(COMPARED))
    methods.add_argument("--no-memory", action="store_true")
    for name, segments in (("regions", 100), ("harm", 1_000)):
        one = parts.add_parser(name, parents=[shared])
        one.add_argument("adapter", type=Path, nargs="?")
        one.add_argument("--segments", type=int, default=segments)
        one.add_argument("--seconds", type=float, help="time box; fewer segments are told")
        one.add_argument("--seed", type=int, default=0)
    return parser


def main(words: Sequence[str] | None = None) -> None:
    """Compare from the command line."""
    given = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    prepare_torch(given.threads)
    if given.what == "methods":
        wanted = Wanted(
            tuple(given.paths), given.technique, Terms(given.licence, given.consent, given.author), given.run,
            "comparison", given.weights, given.minutes, AdaptRecipe(), given.material_minutes,
            n_judged=given.judged, device=given.device, clock=given.clock,
        )  # fmt: skip
        seeds = [int(seed) for seed in given.seeds.split(",")]
        summary = summarise(compare_methods(wanted, seeds, given.methods.split(",")))
        recipe = wanted.recipe
        memory = None
        if not given.no_memory:
            memory = measure_all(given.weights, recipe.batch_size, STEPS, recipe.share, given.device)
        result, text = {"methods": summary, "memory": memory}, methods_table(summary, memory)
    else:
        adapter = given.adapter or given.run / ADAPTER_FILE
        engine, adapter_id, technique, plan = _loaded(adapter, given.weights, given.device)
        measure = region_effects if given.what == "regions" else harm
        box = TimeBox(given.seconds)
        found = measure(engine, adapter_id, technique, plan, n=given.segments, seed=given.seed, box=box)
        result, text = found, regions_table(found) if given.what == "regions" else harm_table(found)
    write_json(given.run / f"{given.what}.json", result)
    write_atomically(given.run / f"{given.what}.md", text.encode())
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
