"""Speed beside others, in one run: four steps of ours, audio-diffusion-pytorch's README model, a waveform model of our
size; and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from synth.engine import PLANS, Engine, Quality
from synth.errors import UserError
from synth.evaluate.cost import n_threads, singing_times
from synth.evaluate.peer import PeerFigures, time_peer, time_waveform_baseline
from synth.evaluate.singing import Singer
from synth.evaluate.timebox import Progress
from synth.evaluate.workbench import Render

_GPU_PASSAGE_S = 120.0


@dataclass(frozen=True, slots=True)
class Beside:
    """times_faster: our seconds of sound a second over theirs; by_processor: the same by processor time, which does not
    mind a busy machine; missing: why there is no figure, else empty."""

    name: str
    peer: PeerFigures | None
    times_faster: float
    by_processor: float
    missing: str


@dataclass(frozen=True, slots=True)
class SpeedReport:
    """Ours: a passage rendered to a file by the product in a fresh process, nothing cached; else sampled and
    decoded here, median of three.

    processor_s  processor time over all threads; busy: wall time times threads over it, about 1 on a free machine
    gpu_s        seconds for two minutes of voice on the GPU, None without one
    """

    threads: int
    n_steps: int
    passage_s: float
    total_s: float
    processor_s: float
    times_realtime: float
    busy: float
    others: tuple[Beside, ...]
    gpu: str
    gpu_s: float | None


def evaluate_speed(
    singer: Singer,
    *,
    passage_s: float = 120.0,
    render: Render | None = None,
    baseline_dir: Path | None = None,
    weights_dir: Path | None = None,
    timed_steps: int = 2,
    on_progress: Progress | None = None,
) -> SpeedReport:
    """Time everything on the same number of threads, ours first. What is not installed is left out, with the reason."""
    engine = singer.engine
    tell = on_progress or (lambda _done, _total: None)
    threads = n_threads(engine)
    total_s, processor_s = _ours(engine, passage_s, render)
    tell(1, 4)
    times_realtime, ours_s = passage_s / total_s, processor_s / passage_s
    others = []
    with torch_threads(threads):
        others.append(_beside("audio-diffusion-pytorch", times_realtime, ours_s, lambda: time_peer(timed_steps)))
        tell(2, 4)
        name = "waveform baseline"
        others.append(_beside(name, times_realtime, ours_s, lambda: time_waveform_baseline(timed_steps, baseline_dir)))
        tell(3, 4)
    gpu, gpu_s = _on_gpu(weights_dir)
    tell(4, 4)
    return SpeedReport(
        threads=threads,
        n_steps=PLANS[Quality.DRAFT].n_steps,
        passage_s=passage_s,
        total_s=total_s,
        processor_s=processor_s,
        times_realtime=times_realtime,
        busy=total_s * threads / max(processor_s, 1e-9),
        others=tuple(others),
        gpu=gpu,
        gpu_s=gpu_s,
    )


def _ours(engine: Engine, passage_s: float, render: Render | None) -> tuple[float, float]:
    """Seconds and processor seconds of the passage."""
    if render is not None:
        rendering = render(passage_s, Quality.DRAFT)
        return rendering.total_s, rendering.processor_s
    sample_s, decode_s, processor_s = singing_times(Singer(engine, Quality.DRAFT), passage_s)
    return sample_s + decode_s, processor_s


def _beside(name: str, times_realtime: float, processor_s_per_s: float, measure: Callable[[], PeerFigures]) -> Beside:
    """Somebody else's time beside ours: seconds of sound a second, processor seconds a second of sound."""
    try:
        peer = measure()
    except UserError as fault:
        return Beside(name, None, float("nan"), float("nan"), str(fault))
    by_processor = peer.processor_s / peer.audio_s / processor_s_per_s
    return Beside(name, peer, times_realtime / peer.realtime_factor, by_processor, "")


def _on_gpu(weights_dir: Path | None) -> tuple[str, float | None]:
    """-> (its name, seconds for two minutes of voice)."""
    if not torch.cuda.is_available():
        return "none", None
    engine = Engine.load(weights_dir, device="cuda")
    sample_s, decode_s, _ = singing_times(Singer(engine, Quality.DRAFT), _GPU_PASSAGE_S)
    return torch.cuda.get_device_name(), sample_s + decode_s


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """The engine keeps torch to one thread an operation and samples cells beside each other; others have operations
    alone to share among the threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
