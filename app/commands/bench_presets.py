"""`stridor bench presets`: how soon the browser opens, answers, and lets a preset be heard."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from app.commands.command import command as stridor_command
from app.commands.terminal import ProgressLine, show

if TYPE_CHECKING:
    from app.state.preset import Preset

_QUERIES: Final = ("g", "gro", "growl", "soft low", "tag:wide", "by:ann", "number 77", "nothing at all like it")
_WORDS: Final = ("low", "wide", "soft", "torn", "dark", "bright", "old", "near", "far", "wet", "dry", "thin")
_AUTHORS: Final = ("Ann Singer", "Bob Howler", "Cleo Whisper", "Dan Growler")
_REPEATS: Final = 5


@stridor_command("presets", example="stridor bench presets --presets 10000\nstridor bench presets --sound")
@click.option("--presets", "n_presets", type=click.IntRange(10, 100_000), default=10_000, show_default=True)
@click.option("--window", "opens_window", is_flag=True, help="Build and paint the browser too; needs a display.")
@click.option("--sound", "listens", is_flag=True, help="Instead: how soon a preset that is clicked on is heard.")
@click.option("--chosen", "n_chosen", type=click.IntRange(1, 48), default=24, show_default=True, help="With --sound.")
@click.option("--live/--no-live", "plays_live", default=True, help="With --sound: with the live engine beside it.")
def presets_command(
    n_presets: int, opens_window: bool, listens: bool, n_chosen: int, plays_live: bool, as_json: bool
) -> None:
    """Write so many presets to a temporary folder, index them, and search among them.

    The first reading reads every file; later ones only those that have changed. The best of five counts as processor
    time, the median as time on the clock.

    With --sound, the window is opened (on a private Xvfb where there is no display), presets are clicked on, and the
    time until each is heard is measured: with their previews made ahead, and without.
    """
    if listens:
        from app.commands.bench_presets_sound import bench_sound, sound_lines

        heard = bench_sound(n_chosen, plays_live=plays_live, quiet=as_json)
        show(heard, sound_lines(heard), as_json=as_json)
        return
    from app.store.preset_index import Query, read_index

    with tempfile.TemporaryDirectory(prefix="stridor-bench-") as name:
        folder, cache = Path(name) / "presets", Path(name) / "index.json"
        folder.mkdir()
        with ProgressLine("Writing presets", quiet=as_json) as line:
            _write_presets(folder, n_presets, line)
        first = _timed(lambda: read_index([folder], cache), repeats=1)
        again = _timed(lambda: read_index([folder], cache))
        index = read_index([folder], cache)
        searches = {text: _timed(lambda text=text: index.search(Query(text))) for text in _QUERIES}
        result: dict[str, Any] = {"presets": len(index), "first": first, "again": again, "searches": searches}
        if opens_window:
            result["browser"] = _timed_browser(folder, cache)
    worst = max(searches.items(), key=lambda item: item[1]["clock_ms"])
    lines = [f"{len(index)} presets", _line("read for the first time", first), _line("read again", again)]
    lines += [_line("browser built and painted", result["browser"])] if opens_window else []
    lines += [_line(f"slowest search, {worst[0]!r}", worst[1])]
    show(result, lines, as_json=as_json)


def _write_presets(folder: Path, n_presets: int, line: ProgressLine) -> None:
    from app.store.presets import FACTORY_FOLDER, format_preset, list_presets

    chance = random.Random(1)
    models = list_presets([FACTORY_FOLDER])
    for number in range(n_presets):
        preset = _varied(chance.choice(models), number, chance)
        (folder / f"{preset.id}.json").write_bytes(format_preset(preset))
        line.update(number + 1, n_presets)


def _varied(preset: Preset, number: int, chance: random.Random) -> Preset:
    words = chance.sample(_WORDS, 3)
    return replace(
        preset,
        id=f"{preset.id}_{number}",
        name=f"{words[0].title()} {preset.name} {number}",
        author=chance.choice(_AUTHORS),
        tags=tuple(dict.fromkeys((*preset.tags[:2], *words[1:]))),
    )


def _timed(call: Callable[[], object], repeats: int = _REPEATS) -> dict[str, float]:
    """Milliseconds on the clock (median) and of the processor (best)."""
    clock_ms, cpu_ms = [], []
    for _ in range(repeats):
        clock_s, cpu_s = time.perf_counter(), time.process_time()
        call()
        clock_ms.append(1000.0 * (time.perf_counter() - clock_s))
        cpu_ms.append(1000.0 * (time.process_time() - cpu_s))
    return {"clock_ms": statistics.median(clock_ms), "cpu_ms": min(cpu_ms)}


def _timed_browser(folder: Path, cache: Path) -> dict[str, float]:
    """From nothing to a painted browser, index included."""
    from app.store.preset_index import read_index
    from ui.application import make_application
    from ui.panels.presets import PresetPanel
    from ui.presets.shelf import PresetShelf
    from ui.theme import Theme

    make_application()
    theme = Theme()

    def open_browser() -> None:
        panel = PresetPanel(theme, PresetShelf(read=lambda: read_index([folder], cache)))
        panel.resize(280, 800)
        panel.grab()
        panel.deleteLater()

    return _timed(open_browser)


def _line(what: str, times: dict[str, float]) -> str:
    return f"{what}: {times['clock_ms']:.1f} ms ({times['cpu_ms']:.1f} ms of processor)"
