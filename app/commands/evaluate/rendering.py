"""The product's own renderer in a process of its own: what a render costs, with nothing of the evaluation beside it."""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.evaluate.options import EngineChoice

if TYPE_CHECKING:
    from synth.evaluate.workbench import Rendering

_BYTES_PER_MB = 2**20
# getrusage counts kilobytes, but on macOS bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


def render_elsewhere(choice: EngineChoice) -> Callable[[float, str], Rendering]:
    """A function that renders the demo passage, repeated or cut to so many seconds, to a file in a new process, at a
    quality."""

    def render(passage_s: float, quality: str) -> Rendering:
        from synth.evaluate.workbench import Rendering

        with tempfile.TemporaryDirectory(prefix="stridor-evaluate-") as name:
            work = multiprocessing.get_context("spawn").Process(
                target=_render, args=(replace(choice, quality=quality), passage_s, Path(name))
            )
            work.start()
            work.join()
            if work.exitcode != 0:
                raise RuntimeError(f"rendering in another process ended with {work.exitcode}")
            return Rendering(**json.loads((Path(name) / "cost.json").read_text(encoding="utf-8")))

    return render


def _render(choice: EngineChoice, passage_s: float, folder: Path) -> None:
    from app.commands.bench import lasting
    from app.commands.open_passage import open_passage
    from app.render.offline import OfflineRenderer
    from app.store.presets import DEMO_FOLDER
    from synth.engine import Engine

    passage = lasting(open_passage(DEMO_FOLDER / "first_breath.stridor"), passage_s)
    engine = Engine.load(choice.weights, device="cpu", n_threads=choice.threads)
    renderer = OfflineRenderer(cache_folder=folder / "cache", engine_loader=lambda _device, _threads: engine)
    began_s = time.process_time()
    report = renderer.to_file(passage, folder / "render.wav", quality=choice.quality)
    cost = {
        "passage_s": passage_s,
        "quality": choice.quality,
        "threads": choice.threads or multiprocessing.cpu_count(),
        "total_s": report.total_s,
        "processor_s": time.process_time() - began_s,
        "peak_memory_mb": _peak_bytes() / _BYTES_PER_MB,
    }
    (folder / "cost.json").write_text(json.dumps(cost), encoding="utf-8")


def _peak_bytes() -> int:
    """Largest resident set of this program. On Linux a process's resource usage begins with that of the one it was
    forked from, so the memory map's own high-water mark is read there."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
