"""What the parts of an evaluation work on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from synth.errors import UserError
from synth.evaluate.embeddings import Embedding, Encoded, LogMelStatistics
from synth.evaluate.resung import Resung, labelled_recordings, sing_again
from synth.evaluate.singing import Singer
from synth.evaluate.sizes import FULL, Sizes
from synth.evaluate.timebox import TimeBox

SING_AGAIN_MINUTES = 1.5


@dataclass(frozen=True, slots=True)
class Rendering:
    """One passage rendered to a file by the product's own renderer in a process of its own, nothing cached.

    total_s, processor_s   of the render alone, on the clock and over all threads; loading comes before
    peak_memory_mb         of the whole process
    """

    passage_s: float
    quality: str
    threads: int
    total_s: float
    processor_s: float
    peak_memory_mb: float


Render = Callable[[float, str], Rendering]  # (seconds of passage, quality) -> what it took


class Workbench:
    """Recordings are sung again once, by whichever part needs them first.

    weights   the folder the engine was loaded from, None for the shipped one
    encoders  paths of further encoders for the kernel distance
    output    where pictures are written
    teacher   what the numbers of steps are compared with, None for the same weights at most steps
    baseline  run folder of the waveform baseline that speed is compared with, None for random weights of its shape
    render    renders a passage in a fresh process; None where nobody can
    """

    def __init__(
        self,
        singer: Singer,
        *,
        corpus: Path | None = None,
        weights: Path | None = None,
        encoders: Sequence[Path] = (),
        teacher: Singer | None = None,
        baseline: Path | None = None,
        render: Render | None = None,
        output: Path | None = None,
        sizes: Sizes = FULL,
    ) -> None:
        self.singer = singer
        self.weights = weights
        self.encoders = encoders
        self.teacher = teacher
        self.baseline = baseline
        self.render = render
        self.output = output
        self.sizes = sizes
        self.sing_again_s = 60.0 * SING_AGAIN_MINUTES * sizes.minutes
        self._corpus = corpus

    @property
    def corpus(self) -> Path:
        """Raises UserError without one."""
        if self._corpus is None:
            raise UserError("No corpus was given.", remedy="Name one with --corpus, made by `stridor corpus build`.")
        return self._corpus

    @property
    def has_sung_again(self) -> bool:
        """Whether the recordings have been sung again already."""
        return "resung" in vars(self)

    @cached_property
    def resung(self) -> list[Resung]:
        """Held-out recordings and the model's renderings of their lanes; as many as `sing_again_s` allows."""
        recordings = labelled_recordings(self.corpus, self.sizes.recordings)
        return sing_again(self.singer, recordings, box=TimeBox(self.sing_again_s))

    @cached_property
    def embeddings(self) -> list[Embedding]:
        """Ours, then the encoders that were named."""
        return [LogMelStatistics(), *(Encoded(path) for path in self.encoders)]

    @cached_property
    def key(self) -> str:
        """Names everything that results depend on but the code and the time they were given."""
        sizes = {name: value for name, value in asdict(self.sizes).items() if name != "minutes"}
        corpus = None if self._corpus is None else _digest(self._corpus / "manifest.json")
        words = {
            "weights": self.singer.engine.weights_hash,
            "quality": self.singer.quality,
            "device": self.singer.engine.device_name,
            "corpus": corpus,
            "encoders": [str(path) for path in self.encoders],
            "teacher": None if self.teacher is None else self.teacher.engine.weights_hash,
            "sizes": sizes,
        }
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
