"""What a render cost and what came out of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class RenderReport:
    """Figures of one finished render; every count is over all voices together.

    cells_total counts voices x cells of the passage; each of them was either kept from the render before
    (`cells_kept`), read as audio from the cache (`cells_from_cache`) or decoded (`cells_decoded`).
    cells_sampled counts windows that went through the diffusion sampler.
    """

    quality: str
    device: str
    weights_hash: str
    duration_s: float
    n_voices: int
    cells_total: int
    cells_kept: int
    cells_from_cache: int
    cells_decoded: int
    cells_sampled: int
    seconds_sampled: float  # cells_sampled in seconds of sound
    plan_s: float  # resolving and hashing the controls
    sample_s: float
    decode_s: float
    total_s: float
    first_sample_s: float  # from the start of the render until the first cell could be heard
    realtime_factor: float  # seconds of voice made anew (sampled or decoded) per second of work; 0 when nothing was
    peak_db: float  # dB re full scale of the mix, before any attenuation
    load_s: float = 0.0  # loading the model, where the render had to wait for it
    attenuation_db: float = 0.0  # by how much a PCM file was turned down so as not to clip; 0 for float files

    def as_dict(self) -> dict[str, float | int | str]:
        """Plain values, for `--json`."""
        return asdict(self)
