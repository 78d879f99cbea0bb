"""audio-diffusion-pytorch (MIT), of the optional `peers` extra, brought in when somebody asks for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from synth.errors import UserError


def audio_diffusion() -> ModuleType:
    """The package. UserError where it is not installed."""
    with _stand_in_for_transforms():
        try:
            library = importlib.import_module("audio_diffusion_pytorch")
            # The sampler's progress bar, which nobody sees, would start a thread that stays.
            importlib.import_module("tqdm").tqdm.monitor_interval = 0
            return library
        except ImportError as fault:
            raise UserError(
                f"audio-diffusion-pytorch is not installed ({fault}).", remedy="Install the peers extra: .[peers]."
            ) from fault


@contextmanager
def _stand_in_for_transforms() -> Iterator[None]:
    """The library imports two transforms of torchaudio at its top that these models never use.

    An empty module stands in while the library is imported, even where torchaudio is installed: its binaries load only
    beside the very build of torch they were made for. Using a transform would fail loudly.
    """
    if "torchaudio" in sys.modules:
        yield
        return
    package, transforms = ModuleType("torchaudio"), ModuleType("torchaudio.transforms")
    vars(package)["transforms"] = transforms
    sys.modules |= {"torchaudio": package, "torchaudio.transforms": transforms}
    try:
        yield
    finally:
        del sys.modules["torchaudio"], sys.modules["torchaudio.transforms"]
