"""`stridor adapt`."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import ProgressLine, columns, show
from app.commands.training import claim_run, training_progress
from app.store.adapters import ADAPTER_SUFFIX, user_adapter_folder
from app.store.presets import load_preset, save_preset
from synth.errors import UserError
from synth.spec.lanes import TECHNIQUES

if TYPE_CHECKING:
    from app.state.preset import Preset
    from synth.adapt.adaptation import Adapted

_FOLDER = click.Path(path_type=Path, file_okay=False)
_METHODS: Final = ("lora", "rslora", "dora", "loha", "lokr", "sara", "full")
_PRESET_FOLDER: Final = "presets"
_LANES: Final = (
    "loudness",
    "breathiness",
    "roughness",
    "fry",
    "tension",
    "vowel_open",
    "vowel_front",
    "tract",
    "pitch",
)
_INJURING: Final = ("growl", "scream", "shout")


@stridor_command(
    "adapt",
    example="stridor adapt ~/my-growls --technique growl --licence CC-BY-4.0 --consent 'my own voice' --run runs/me",
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--technique", type=click.Choice(TECHNIQUES), required=True, help="How the recordings are phonated.")
@click.option("--run", type=_FOLDER, required=True, help="Folder of checkpoints, adapter and report; resumed.")
@click.option("--method", type=click.Choice(_METHODS), default="lora", show_default=True)
@click.option("--regions", default="early,middle,late", show_default=True, help="Regions of the network that learn.")
@click.option("--minutes", type=click.FloatRange(min=0.0, min_open=True), default=8.0, show_default=True,
              help="Of training, over all resumed runs together.")  # fmt: skip
@click.option("--material-minutes", type=click.FloatRange(min=0.0, min_open=True),
              help="Learn from so much at most; the rest is held out.")  # fmt: skip
@click.option("--licence", default="", help="On what terms the voice may be used, such as CC-BY-4.0.")
@click.option("--consent", default="", help="How the singer agreed, in words, such as 'my own voice'.")
@click.option("--author", default="", help="Whom to name.")
@click.option("--name", default="", help="What to call adapter and preset; by default as the recordings.")
@click.option("--weights", type=_FOLDER, help="Folder of the voice to adapt; the installed one when not given.")
@click.option("--rank", type=click.IntRange(1, 64), default=4, show_default=True, help="Of LoRA and its relatives.")
@click.option("--share", type=click.FloatRange(0.0, 1.0, min_open=True), default=0.018, show_default=True,
              help="Of the base's parameters that SaRA trains.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(min=0.0, min_open=True),
              help="SaRA trains weights up to this size, instead of a share.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1...")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Of the processor.")
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Processes that measure.")
@click.option("--bf16/--no-bf16", default=True, show_default=True, help="Mixed precision.")
@click.option("--clock", type=click.Choice(("wall", "processor")), default="wall", show_default=True,
              help="What counts the minutes: the processor, where the machine has other work.")  # fmt: skip
@click.option("--install", is_flag=True, help="Put adapter and preset among your own, ready to sing.")
def command(paths: tuple[Path, ...], *, as_json: bool, **given: Any) -> None:
    """Adapt the voice to recordings of one singer: two minutes help. Leaves adapter, preset and report in --run."""
    from synth.adapt.adaptation import Wanted, adapt, recordings_named
    from synth.adapt.training import AdaptRecipe
    from synth.corpus.importers.layouts import Terms
    from synth.train.loop import prepare_torch  # torch: `--help` must not wait for it

    run: Path = given["run"]
    recipe = AdaptRecipe(
        method=given["method"], regions=_regions(given["regions"]), rank=given["rank"], alpha=2.0 * given["rank"],
        share=given["share"], threshold=given["threshold"], seed=given["seed"], use_bf16=given["bf16"],
    )  # fmt: skip
    _check_peft(given["method"])
    claim_run(run, "adapt")
    name = given["name"].strip() or recordings_named(paths)
    wanted = Wanted(
        paths=tuple(paths), technique=given["technique"], run=run, name=name, weights=given["weights"],
        terms=Terms(given["licence"], given["consent"], given["author"]), minutes=given["minutes"], recipe=recipe,
        most_minutes=given["material_minutes"], n_workers=given["workers"], device=given["device"],
        clock=given["clock"],
    )  # fmt: skip
    prepare_torch(min(given["threads"], os.cpu_count() or 1))
    with training_progress("adapt"), ProgressLine("Adapting") as line:
        done = adapt(wanted, on_progress=lambda what, share: line.update(share, 1.0, what))
    result = dict(done.report)
    lines = _told(done, given["technique"])
    if done.adapter is not None:
        preset = _save_preset(done, run, given["technique"], (given["weights"] or Path("default")).name)
        result |= {"adapter": done.path, "preset": run / _PRESET_FOLDER / f"{preset.id}.json"}
        if given["install"]:
            lines.append(f"Installed as preset {_install(done, preset).id!r}.")
    show(result, lines, as_json=as_json)


def _regions(text: str) -> tuple[str, ...]:
    from synth.adapters.layout import checked_regions

    return checked_regions([name.strip() for name in text.split(",") if name.strip()])


def _check_peft(method: str) -> None:
    if method not in ("sara", "full") and importlib.util.find_spec("peft") is None:
        raise UserError(
            f"Adapting by {method} goes through peft, which is not installed.",
            remedy="Install the training extra: .[training]; or use --method sara.",
        )


def _told(done: Adapted, technique: str) -> list[str]:
    """What was found, learnt and gained, for a person."""
    material, trained = done.material.as_dict(), done.trained
    lines = [f"found: {said}" for said in material["findings"]]
    if technique in _INJURING:
        lines.append(
            f"{technique.capitalize()} injures untrained voices: learn it with a teacher, and stop when it hurts."
        )
    seconds, segments = material["seconds"], material["segments"]
    lines += columns(
        [[split, str(segments[split]), f"{seconds[split]:.1f}"] for split in segments],
        header=["", "segments", "s"],
    )
    lines += columns(
        [[name, f"{v['mean']:.2f}", f"{v['std']:.2f}"] for name, v in material["lanes"].items()],
        header=["lane", "mean", "spread"],
    )
    lines.append(f"{trained.n_trained} parameters trained, {100.0 * trained.share:.2f} % of the base")
    if done.adapter is None:
        return [*lines, "Stopped early; the same command goes on."]
    held = done.report["held_out"]
    lines += columns(
        [[name, f"{held['before'][name]:.3f}", f"{held['after'][name]:.3f}"] for name in held["before"]
         if name in held["after"]],
        header=[f"{held['recordings']} held-out recordings", "before", "after"],
    )  # fmt: skip
    return [*lines, f"{done.path}: {done.report['file']['bytes'] / 1000.0:.0f} kB, id {done.adapter.id}"]


def _save_preset(done: Adapted, run: Path, technique: str, voice: str) -> Preset:
    """A preset of the singer's timbre, usual lanes and adapter, in the run's folder. voice: what the base is called."""
    from app.state.preset import Preset
    from app.state.preset_parts import AdapterReference, ModelReference
    from synth.spec.lanes import lane

    assert done.adapter is not None
    info = done.adapter.info
    means = {name: mean for name, (mean, _) in done.material.lanes.items() if name in _LANES}
    limits = {name: (lane(name).minimum, lane(name).maximum) for name in means}
    preset = Preset(
        id=_id_of(info.name), name=info.name, author=info.author, licence=info.licence, consent=info.consent,
        tags=(technique, "adapted"), technique={technique: 1.0},
        description=f"Adapted by {info.method} to {done.material.seconds('train'):.0f} s of recordings.",
        lane_defaults={name: round(min(max(v, limits[name][0]), limits[name][1]), 3) for name, v in means.items()},
        timbre=tuple(round(float(value), 3) for value in done.material.timbre),
        model=ModelReference(voice, done.report["weights_hash"]),
        adapters=(AdapterReference(done.adapter.id, done.adapter.sha256, dict.fromkeys(info.regions, 1.0)),),
    )  # fmt: skip
    folder = run / _PRESET_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    save_preset(preset, folder)
    return preset


def _install(done: Adapted, preset: Preset) -> Preset:
    """Adapter and preset among the user's own, under an id that is free."""
    from dataclasses import replace

    assert done.adapter is not None
    assert done.path is not None
    target = user_adapter_folder() / f"{done.adapter.id}{ADAPTER_SUFFIX}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            part = target.with_name(target.name + ".part")
            shutil.copyfile(done.path, part)
            part.replace(target)
    except OSError as fault:
        raise UserError(f"{target} cannot be written: {fault.strerror}.", remedy="Check its folder.") from fault
    installed = replace(preset, id=_free_id(preset.id))
    save_preset(installed)
    return installed


def _id_of(name: str) -> str:
    words: Sequence[str] = re.findall(r"[a-z0-9]+", name.lower())
    return "_".join(words)[:56] or "adapted"


def _free_id(wanted: str) -> str:
    for number in range(1, 1_000):
        tried = wanted if number == 1 else f"{wanted}_{number}"
        try:
            load_preset(tried)
        except UserError:
            return tried
    raise UserError(f"There are a thousand presets called {wanted!r}.", remedy="Give another --name.")
