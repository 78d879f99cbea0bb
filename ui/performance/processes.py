"""What each process takes of the machine, and the GPU where one is used. Read only while the page is shown."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

_GPU_QUERY = ("--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits")
_GPU_LIMIT_S = 3.0


@dataclass(frozen=True, slots=True)
class Share:
    """cores: processor time of one process per second; None: not known yet. memory_mb: resident."""

    cores: float | None
    memory_mb: float


class ProcessReader:
    """Main thread. One look takes well below a millisecond a process."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def read(self, pids: Mapping[str, int]) -> dict[str, Share]:
        """Each of them that runs -> its share since the last look."""
        shares: dict[str, Share] = {}
        kept: dict[int, psutil.Process] = {}
        for name, pid in pids.items():
            with contextlib.suppress(psutil.Error):
                process = self._known.get(pid)
                is_new = process is None
                process = kept[pid] = psutil.Process(pid) if process is None else process
                with process.oneshot():
                    percent = process.cpu_percent()
                    memory_mb = process.memory_info().rss / 1e6
                shares[name] = Share(None if is_new else percent / 100.0, memory_mb)
        self._known = kept
        return shares


@dataclass(frozen=True, slots=True)
class GpuShare:
    """load 0..1; memory in use and there, MB."""

    load: float
    used_mb: float
    total_mb: float


class GpuReader:
    """Asks the driver's own tool, on a thread that lives for one question. Nothing where there is no such tool."""

    def __init__(self) -> None:
        self._tool = shutil.which("nvidia-smi")
        self._asking: threading.Thread | None = None
        self.share: GpuShare | None = None

    def ask(self) -> None:
        """Begin a question, unless one is under way; `share` is renewed when the answer comes."""
        if self._tool is None or (self._asking is not None and self._asking.is_alive()):
            return
        self._asking = threading.Thread(target=self._ask, args=(self._tool,), name="gpu-question", daemon=True)
        self._asking.start()

    def _ask(self, tool: str) -> None:
        try:
            answer = subprocess.run(
                [tool, *_GPU_QUERY], capture_output=True, text=True, timeout=_GPU_LIMIT_S, check=True
            )
            self.share = parsed_gpu(answer.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            self.share = None


def parsed_gpu(text: str) -> GpuShare:
    """The first line of the tool's answer. Raises ValueError where it says something else."""
    load, used_mb, total_mb = (float(word) for word in text.strip().splitlines()[0].split(","))
    return GpuShare(load / 100.0, used_mb, total_mb)
