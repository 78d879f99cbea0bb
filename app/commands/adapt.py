"""`stridor adapt`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.adapting.messages import Doing, Heard, News
from app.adapting.request import (
    INJURING_TECHNIQUES,
    METHODS,
    AdaptRequest,
    load_request,
)
from app.commands.command import command as stridor_command
from app.commands.terminal import ProgressLine, columns, show
from app.commands.training import claim_run, training_progress
from synth.errors import UserError
from synth.spec.lanes import TECHNIQUES

if TYPE_CHECKING:
    from synth.adapt.adaptation import Adapted

_FOLDER = click.Path(path_type=Path, file_okay=False)


@stridor_command(
    "adapt",
    example="stridor adapt ~/my-growls --technique growl --licence CC-BY-4.0 --consent 'my own voice' --run runs/me",
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--technique", type=click.Choice(TECHNIQUES), help="How the recordings are phonated.")
@click.option("--run", type=_FOLDER, required=True, help="Folder of checkpoints, adapter and report; resumed.")
@click.option("--resume", is_flag=True, help="Go on with what --run was begun with; nothing else need be said.")
@click.option("--method", type=click.Choice(METHODS), default="lora", show_default=True)
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
@click.option("--preview-every", "preview_every_s", type=click.FloatRange(min=1.0),
              help="Sing a held-out phrase every so many seconds of training, to listen to.")  # fmt: skip
@click.option("--previews", type=_FOLDER, help="Where to; by default the folder previews/while-training of --run.")
@click.option("--install", is_flag=True, help="Put adapter and preset among your own, ready to sing.")
def command(paths: tuple[Path, ...], *, run: Path, resume: bool, as_json: bool, **given: Any) -> None:
    """Adapt the voice to recordings of one singer: two minutes help. Leaves adapter, preset and report in --run.

    Stopped by Ctrl-C, it goes on by the same command, or by --run and --resume alone.
    """
    request = _resumed(run, paths) if resume else _asked(paths, given)
    from app.adapting.training import carry_out, check_method  # torch: `--help` must not wait for it
    from synth.adapters.layout import checked_regions

    check_method(request.method)
    checked_regions(request.regions)
    claim_run(run, "adapt")
    with training_progress("adapt"), ProgressLine("Adapting") as line:
        outcome = carry_out(request, run, tell=lambda news: _tell(news, line))
    done = outcome.done
    result, lines = dict(done.report), _told(done, request.technique)
    if outcome.preset is not None:
        result |= {"adapter": done.path, "preset": run / "presets" / f"{outcome.preset.id}.json"}
    if outcome.installed is not None:
        lines.append(f"Installed as preset {outcome.installed.id!r}.")
    show(result, lines, as_json=as_json)


def _asked(paths: tuple[Path, ...], given: dict[str, Any]) -> AdaptRequest:
    if not paths:
        raise UserError("No recordings are named.", remedy="Name a folder or files; or go on with --run and --resume.")
    if given["technique"] is None:
        raise UserError("No technique is named.", remedy=f"Say --technique: {', '.join(TECHNIQUES)}.")
    if given["previews"] is not None and given["preview_every_s"] is None:
        raise UserError("--previews without --preview-every.", remedy="Say how often, such as --preview-every 60.")
    regions = tuple(name.strip() for name in given.pop("regions").split(",") if name.strip())
    for key in ("weights", "previews"):  # to be found again from elsewhere
        given[key] = None if given[key] is None else given[key].absolute()
    return AdaptRequest(tuple(path.absolute() for path in paths), regions=regions, **given)


def _resumed(run: Path, paths: tuple[Path, ...]) -> AdaptRequest:
    if paths:
        raise UserError("With --resume the recordings are those it was begun with.", remedy="Leave them out.")
    return load_request(run)


def _tell(news: News, line: ProgressLine) -> None:
    """Steps are told by the training's own log."""
    match news:
        case Doing():
            line.update(news.share, 1.0, news.what)
        case Heard():
            error = "" if news.control_error is None else f", control error {news.control_error:.3f}"
            sys.stderr.write(f"preview {news.index} after {news.seconds:.0f} s{error}: {news.sound}\n")
        case _:
            pass


def _told(done: Adapted, technique: str) -> list[str]:
    """What was found, learnt and gained, for a person."""
    material, trained = done.material.as_dict(), done.trained
    lines = [f"found: {said}" for said in material["findings"]]
    if technique in INJURING_TECHNIQUES:
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
        return [*lines, "Stopped early; the same command goes on, or `stridor adapt --resume --run` with its folder."]
    held = done.report["held_out"]
    lines += columns(
        [[name, f"{held['before'][name]:.3f}", f"{held['after'][name]:.3f}"] for name in held["before"]
         if name in held["after"]],
        header=[f"{held['recordings']} held-out recordings", "before", "after"],
    )  # fmt: skip
    return [*lines, f"{done.path}: {done.report['file']['bytes'] / 1000.0:.0f} kB, id {done.adapter.id}"]
