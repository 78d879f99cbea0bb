"""What evaluations share: the engine they measure, and what is done with the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.render import DEVICES
from app.commands.terminal import plain, show
from app.store.atomic import write_atomically

if TYPE_CHECKING:
    from synth.engine import Engine
    from synth.evaluate.recordings import Recording
    from synth.evaluate.singing import Singer

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
PATH = click.Path(path_type=Path)
_QUALITIES = click.Choice(["live", "draft", "final"])


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine is measured, at which quality. Loaded when it is asked for: torch takes its time."""

    quality: str
    weights: Path | None
    device: str
    threads: int | None

    def engine(self) -> Engine:
        """Raises UserError where the weights cannot be read or the device is absent."""
        from synth.engine import Engine

        return Engine.load(self.weights, device=self.device, n_threads=self.threads)

    def singer(self) -> Singer:
        """The engine at the chosen quality."""
        from synth.evaluate.singing import Singer

        return Singer(self.engine(), self.quality)

    def baseline(self, folder: Path, n_steps: int) -> Singer:
        """The waveform baseline of a run folder in the engine's place. Raises UserError where it cannot be read."""
        from synth.baseline.voice import WaveformVoice
        from synth.evaluate.baseline import WaveformSinger

        return WaveformSinger(WaveformVoice.load(folder, "cpu" if self.device == "auto" else self.device), n_steps)


def with_engine(quality: str = "draft") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options of the engine, gathered into the argument `choice`."""
    options = [
        click.option("--quality", type=_QUALITIES, default=quality, show_default=True),
        click.option("--weights", type=FOLDER, help="A folder of weights; else the model that is installed."),
        click.option("--device", type=DEVICES, default="cpu", show_default=True),
        click.option("--threads", type=click.IntRange(min=1), help="Processor threads; all cores when not given."),
    ]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def gathered(
            *arguments: Any, quality: str, weights: Path | None, device: str, threads: int | None, **others: Any
        ) -> Any:
            return function(*arguments, choice=EngineChoice(quality, weights, device, threads), **others)

        gathered.__doc__, gathered.__name__ = function.__doc__, function.__name__
        vars(gathered).update(vars(function))  # click keeps the options it has collected so far there
        decorated: Callable[..., Any] = gathered
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return wrap


def with_output(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option of a JSON file (argument `output`)."""
    return click.option("-o", "--output", type=FILE, help="Also write the result to this JSON file.")(function)


def with_corpus(*, required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option of a corpus folder (argument `corpus`)."""
    return click.option("--corpus", type=FOLDER, required=required, help="A folder made by `stridor corpus build`.")


def finish(report: Any, lines: Sequence[str], output: Path | None, *, as_json: bool) -> None:
    """Print a report, and write it where it was asked for."""
    result = plain(report.to_json() if hasattr(report, "to_json") else asdict(report))
    if output is not None:
        write_atomically(output, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    show(result, lines, as_json=as_json)


def held_out_recordings(corpus: Path, count: int | None, labels: Sequence[str] = ()) -> list[Recording]:
    """Recordings the model has not seen. Raises UserError for none."""
    from synth.evaluate.recordings import held_out

    return held_out(corpus, count, labels)
