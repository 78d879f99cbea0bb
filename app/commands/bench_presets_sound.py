"""`stridor bench presets --sound`: from choosing a preset in the browser to the first sample of it that can be heard.

A real window on the real instrument; presets are clicked on in the list. With JACK, what the sound server plays is
recorded by another process, and both times are frames of JACK's clock; without, the end is when the mixer's meter
rises. What a driver buffers comes on top of either.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from app.commands.bench_editor import any_display, own_folders, wait_until_ready
from app.commands.stage_bench.rig import JackServer, Recorder, recorder
from app.commands.terminal import ProgressLine
from app.render.previews import AUDIBLE, PREVIEW_SUFFIX
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from app.services.instrument import Instrument
    from app.state.preset import Preset
    from ui.window import MainWindow

AT_MOST_MS: Final = 150.0
_HEARD_WITHIN_S: Final = 2.0
_PERIOD_FRAMES: Final = 256
_LEAD_S: Final = 0.15
_QUIET_S: Final = 0.4  # after one preset, before the next
_QUIET_DB: Final = -65.0
_MADE_WITHIN_S: Final = 600.0


class Ear(Protocol):
    """Tells how long after `choose` was called something was heard, in ms; None: nothing was."""

    def latency_ms(self, choose: Any) -> float | None: ...


class JackEar:
    """Compares JACK's clock at the click with that of the first sample recorded which can be heard."""

    def __init__(self, recorder: Recorder) -> None:
        import jack  # loads libjack

        self._recorder = recorder
        self._clock = jack.Client("stridor-clock", no_start_server=True)

    def close(self) -> None:
        """Leave the server."""
        self._clock.close()

    def latency_ms(self, choose: Any) -> float | None:
        """None also where the recorder was late, or something sounded before."""
        from PySide6.QtTest import QTest

        takes: list[Any] = []
        listening = threading.Thread(
            target=lambda: takes.append(self._recorder.play([], _LEAD_S + _HEARD_WITHIN_S)), name="listening"
        )
        listening.start()
        QTest.qWait(round(1000 * _LEAD_S))
        chosen_frame = self._clock.frame_time
        choose()
        while listening.is_alive():
            QTest.qWait(5)
        take = takes[0]
        chosen = chosen_frame - take.start_frame
        loud = np.flatnonzero(np.abs(take.audio) > AUDIBLE)
        if not len(loud) or int(loud[0]) < chosen or not take.is_whole(chosen, int(loud[0])):
            return None
        return 1000.0 * (int(loud[0]) - chosen) / SAMPLE_RATE_HZ


class MeterEar:
    """Looks at the mixer's meter all the time; as exact as a block is long."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def latency_ms(self, choose: Any) -> float | None:
        """None also where something sounded before."""
        from PySide6.QtCore import QCoreApplication

        if max(self._instrument.level_db) > _QUIET_DB:
            return None
        chosen_s = time.perf_counter()
        choose()
        while time.perf_counter() - chosen_s < _HEARD_WITHIN_S:
            if max(self._instrument.level_db) > _QUIET_DB:
                return 1000.0 * (time.perf_counter() - chosen_s)
            QCoreApplication.processEvents()
            time.sleep(0.0005)
        return None


def bench_sound(n_presets: int, *, plays_live: bool = True, quiet: bool) -> dict[str, Any]:
    """Choose so many presets, before and after their previews were made. Raises UserError.

    plays_live   with the live engine, which sings what has no preview yet, and makes onsets ahead meanwhile
    """
    has_jack = shutil.which("jackd") is not None
    with (
        any_display(),
        tempfile.TemporaryDirectory(prefix="stridor-bench-") as folder,
        own_folders(folder),
        _open_window(has_jack, plays_live=plays_live) as (application, window, instrument, ear),
        ProgressLine("Choosing", quiet=quiet) as line,
    ):
        presets = _chosen(window, n_presets)
        window.preset_panel.listed.disconnect(window.audition.prepare)  # nothing is made ahead, for once
        sung = presets if plays_live else []
        not_cached = [_choose(window, instrument, ear, preset, line, index) for index, preset in enumerate(sung)]
        made_s = _make_all(application, window, presets, Path(folder), line)
        cached = [_choose(window, instrument, ear, preset, line, index) for index, preset in enumerate(presets)]
    return {
        "clock": "JACK, dummy driver" if has_jack else "the mixer's meter",
        "presets": len(presets),
        "making_all_s": made_s,
        "at_most_ms": AT_MOST_MS,
        "cached": _figures(cached),
        "not_cached": _figures(not_cached) if plays_live else None,
    }


def sound_lines(result: dict[str, Any]) -> list[str]:
    """For people."""
    lines = [f"{result['presets']} presets chosen, by {result['clock']}"]
    for name in ("cached", "not_cached"):
        figures = result[name]
        if figures is None:
            continue
        heard = f"{figures['n_heard']} heard, p50 {figures['p50_ms']:.0f} ms, p95 {figures['p95_ms']:.0f} ms"
        words = name.replace("_", " ")
        lines.append(f"{words}: {heard}; click handled in {figures['window_ms']:.1f} ms of processor")
    is_met = result["cached"]["p95_ms"] <= AT_MOST_MS
    lines.append(f"at most {AT_MOST_MS:g} ms from choosing to sound: {'met' if is_met else 'MISSED'}")
    return lines


@contextmanager
def _open_window(has_jack: bool, *, plays_live: bool) -> Iterator[tuple[QApplication, MainWindow, Instrument, Ear]]:
    with ExitStack() as stack:
        ear: Ear | None = None
        if has_jack:
            stack.enter_context(JackServer(_PERIOD_FRAMES))
            ear = stack.enter_context(closing(JackEar(stack.enter_context(recorder()))))
        from app.commands.instrument import make_instrument
        from app.store.passages import load_passage
        from app.store.presets import DEMO_FOLDER
        from app.store.recovery import RecoveryFile
        from app.store.settings import Settings
        from ui.application import FIRST_PASSAGE, build_window, make_application

        application = make_application()
        instrument = make_instrument(device="cpu", joins=False, plays_live=plays_live)
        passage = load_passage(DEMO_FOLDER / FIRST_PASSAGE)
        window = build_window(instrument, Settings(), passage, save=lambda _: None, recovery=RecoveryFile())
        instrument.start()
        try:
            window.show()
            window.session.start()
            wait_until_ready(application, window, patience_s=_MADE_WITHIN_S)
            yield application, window, instrument, ear or MeterEar(instrument)
        finally:
            window.audition.stop()
            window.session.stop()
            instrument.close()
            window.deleteLater()
            application.processEvents()


def _chosen(window: MainWindow, n_presets: int) -> list[Preset]:
    rows = window.preset_panel.list.presets.rows()[:n_presets]
    found = [window.parts.presets.preset(row.id) for row in rows]
    return [preset for preset in found if preset is not None]


def _choose(
    window: MainWindow, instrument: Instrument, ear: Ear, preset: Preset, line: ProgressLine, number: int
) -> tuple[float | None, float]:
    """Click on a preset -> (ms until it was heard, ms of processor that the click itself took in the window)."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    line.update(number, len(window.preset_panel.list.presets.rows()), preset.name)
    window.audition.stop()
    shown = window.preset_panel.list
    place = shown.presets.place_of(preset.id)
    shown.scrollTo(place)
    QTest.qWait(round(1000 * _QUIET_S))
    until_s = time.monotonic() + _HEARD_WITHIN_S
    while max(instrument.level_db) > _QUIET_DB and time.monotonic() < until_s:
        QTest.qWait(20)
    took_ms: list[float] = []

    def click() -> None:
        began_s = time.process_time()
        QTest.mouseClick(shown.viewport(), Qt.MouseButton.LeftButton, pos=shown.visualRect(place).center())
        took_ms.append(1000.0 * (time.process_time() - began_s))

    return ear.latency_ms(click), took_ms[0]


def _make_all(
    application: QApplication, window: MainWindow, presets: Sequence[Preset], folder: Path, line: ProgressLine
) -> float:
    """Let all previews be made -> seconds it took. Raises UserError."""
    window.audition.prepare(presets)
    began_s = time.monotonic()
    while (n_made := len(list(folder.rglob(f"*{PREVIEW_SUFFIX}")))) < len(presets):
        line.update(n_made, len(presets), "previews")
        if time.monotonic() - began_s > _MADE_WITHIN_S:
            raise UserError("The previews are not made in time.", remedy="Try again when the machine is less busy.")
        application.processEvents()
        time.sleep(0.01)
    return time.monotonic() - began_s


def _figures(found: Sequence[tuple[float | None, float]]) -> dict[str, Any]:
    heard_ms = [ms for ms, _ in found if ms is not None]
    if not heard_ms:
        raise UserError("Nothing was heard.", remedy="Run it again; `stridor doctor` shows whether sound works.")
    return {
        "n_heard": len(heard_ms),
        "p50_ms": float(np.percentile(heard_ms, 50)),
        "p95_ms": float(np.percentile(heard_ms, 95)),
        "worst_ms": max(heard_ms),
        "window_ms": float(np.median([ms for _, ms in found])),
        "each_ms": heard_ms,
    }
