"""Conditions for training, drawn on the device for a whole batch: measured lanes, smoothed and thinned out at random.

The torch twin of `synth.diffusion.conditioning.condition_array`, which builds the same columns for one rendering.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from synth.diffusion.conditioning import (
    CONDITION_DIM,
    PRESENCE_FLOOR,
    TIMBRE_DIM,
    TimbreScale,
    lane_columns,
    pathway_slices,
)
from synth.spec.lanes import Pathway, lane

LANES = tuple(lane_columns())
_PATHWAY_DROP = 0.1
_LANE_DROP = 0.15
_ALL_DROP = 0.05
# Nothing longer: where lanes stood still over words, the network learnt that voices under still lanes move.
_SMOOTHING_FRAMES = (1, 1, 9, 31, 31)
_TIMBRE_SMOOTHING_FRAMES = 7
_NO_TIMBRE, _MEAN_TIMBRE = 0.30, 0.45  # else cepstra over time
# In deviations of the corpus: a voice's mean is known about so well, and says nothing certain about its vowels.
_MEAN_TIMBRE_NOISE = 0.35
_PITCH_EVERYWHERE = 0.6


def moving_average(values: Tensor, weight: Tensor, width_frames: Tensor) -> Tensor:
    """Centred average of finite `values` [B, T, K] over frames of `weight` [B, T] > 0; stays NaN where it was NaN.

    width_frames   [B], odd; 1 returns the values themselves
    """
    n_frames = values.shape[1]
    finite = torch.isfinite(values)
    good = finite * weight[..., None]
    sums = nn_pad(torch.cumsum(torch.nan_to_num(values) * good, 1))
    counts = nn_pad(torch.cumsum(good, 1))
    half = (width_frames // 2)[:, None]
    frames = torch.arange(n_frames, device=values.device)[None]
    low = (frames - half).clamp(min=0)[..., None].expand(-1, -1, values.shape[2])
    high = (frames + half + 1).clamp(max=n_frames)[..., None].expand(-1, -1, values.shape[2])
    total = sums.gather(1, high) - sums.gather(1, low)
    count = counts.gather(1, high) - counts.gather(1, low)
    averaged = torch.where(finite & (count > 0.5), total / count.clamp(min=1.0), torch.nan)
    return torch.where((width_frames <= 1)[:, None, None], values, averaged)


def nn_pad(cumulated: Tensor) -> Tensor:
    """A leading zero in time: [B, T, K] -> [B, T + 1, K]."""
    return torch.nn.functional.pad(cumulated, (0, 0, 1, 0))


def condition_tensor(lanes: Tensor, timbre: Tensor, technique: Tensor, scale: TimbreScale) -> Tensor:
    """The condition's columns from lanes in their units -> [B, T, CONDITION_DIM].

    lanes       [B, T, len(LANES)], NaN: not asked
    timbre      [B, T, TIMBRE_DIM] cepstra, NaN: not asked
    technique   [B, T, number of techniques] weights, NaN: not asked
    """
    out = lanes.new_zeros((*lanes.shape[:2], CONDITION_DIM))
    slices = pathway_slices()
    sung = torch.nan_to_num(lanes[..., LANES.index("presence")]) > PRESENCE_FLOOR
    for index, (lane_id, columns) in enumerate(lane_columns().items()):
        spec = lane(lane_id)
        middle, half = 0.5 * (spec.minimum + spec.maximum), 0.5 * (spec.maximum - spec.minimum)
        asked = torch.isfinite(lanes[..., index])
        if lane_id != "presence":
            asked &= sung
        values = torch.nan_to_num(lanes[..., index]).clamp(spec.minimum, spec.maximum)
        out[..., columns.start] = (values - middle) / half * asked
        out[..., columns.start + 1] = asked.float()
    asked = torch.isfinite(timbre).all(-1) & sung
    end = slices[Pathway.TIMBRE].stop
    mean, std = lanes.new_tensor(scale.mean), lanes.new_tensor(scale.std)
    out[..., end - TIMBRE_DIM - 1 : end - 1] = ((torch.nan_to_num(timbre) - mean) / std).clamp(-4, 4) * asked[..., None]
    out[..., end - 1] = asked.float()
    start, n_techniques = slices[Pathway.TECHNIQUE].start, technique.shape[-1]
    asked = torch.isfinite(technique).all(-1) & sung
    out[..., start : start + n_techniques] = torch.nan_to_num(technique) * asked[..., None]
    out[..., start + n_techniques] = asked.float()
    return out


def drawn_lanes(features: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """Lanes as somebody might draw them, measured but smoothed by a random amount -> [B, T, len(LANES)].

    features   "lane.<id>" [B, T], "f0_hz" [B, T] and "voiced" [B, T]
    """
    measured = torch.stack(
        [features[f"lane.{name}"] if name != "pitch" else torch.zeros_like(features["f0_hz"]) for name in LANES], -1
    )
    presence = torch.nan_to_num(features["lane.presence"])
    n, device = len(presence), presence.device
    choice = torch.randint(len(_SMOOTHING_FRAMES), (n,), generator=generator, device=device)
    width = torch.tensor(_SMOOTHING_FRAMES, device=device)[choice]
    lanes = moving_average(measured, (presence > 0.5).float(), width)
    lanes[..., LANES.index("presence")] = features["lane.presence"]
    note = 69.0 + 12.0 * torch.log2(features["f0_hz"] / 440.0)
    # A drawn pitch says nothing about voicing: breathiness and technique do. So often tell it everywhere.
    everywhere = torch.rand((n, 1), generator=generator, device=device) < _PITCH_EVERYWHERE
    lanes[..., LANES.index("pitch")] = torch.where(features["voiced"].bool() | everywhere, note, torch.nan)
    return lanes


def drawn_timbre(
    features: Mapping[str, Tensor], generator: torch.Generator, scale: TimbreScale | None = None
) -> Tensor:
    """Nothing (NaN), a voice's time-mean cepstra, or cepstra over time -> [B, T, TIMBRE_DIM].

    The mean is that of the whole clip, "clip_mfcc" [B, cepstra], where it is known: of a short excerpt it would tell
    the vowel, and vowel lanes would not be listened to. With `scale` it is told no more exactly than it is known.
    """
    cepstra = features["mfcc"][..., 1 : TIMBRE_DIM + 1]
    sung = (torch.nan_to_num(features["lane.presence"]) > 0.5).float()
    n, n_frames, device = len(sung), sung.shape[1], sung.device
    choice = torch.rand(n, generator=generator, device=device)[:, None, None]
    weight = sung[..., None]
    mean = (cepstra * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)  # 0 / 0: nobody sings, not asked
    if "clip_mfcc" in features:
        of_clip = features["clip_mfcc"][:, None, 1 : TIMBRE_DIM + 1]
        if scale is not None:
            noise = torch.randn(of_clip.shape, generator=generator, device=device)
            of_clip = of_clip + _MEAN_TIMBRE_NOISE * noise * of_clip.new_tensor(scale.std)
        mean = torch.where(torch.isfinite(mean), of_clip, torch.nan)
    width = torch.full((n,), _TIMBRE_SMOOTHING_FRAMES, device=device)
    over_time = moving_average(cepstra, sung, width)
    timbre = torch.where(choice < _NO_TIMBRE + _MEAN_TIMBRE, mean.expand(-1, n_frames, -1), over_time)
    return torch.where(choice < _NO_TIMBRE, torch.nan, timbre)


def thin_out(condition: Tensor, generator: torch.Generator) -> Tensor:
    """Drop lanes and pathways of conditions [B, T, CONDITION_DIM] at random; presence always stays."""
    n, device = len(condition), condition.device
    columns, slices = lane_columns(), pathway_slices()
    keep = torch.ones((n, CONDITION_DIM), device=device)

    def chance(probability: float) -> Tensor:
        return (torch.rand((n, 1), generator=generator, device=device) >= probability).float()

    for part in slices.values():
        keep[:, part] *= chance(_PATHWAY_DROP)
    for part in columns.values():
        keep[:, part] *= chance(_LANE_DROP)
    keep *= chance(_ALL_DROP)
    keep[:, columns["presence"]] = 1.0
    return condition * keep[:, None]


def draw_conditions(features: Mapping[str, Tensor], scale: TimbreScale, generator: torch.Generator) -> Tensor:
    """Random conditions for a batch of excerpts -> [B, T, CONDITION_DIM]."""
    n_frames = features["f0_hz"].shape[1]
    technique = features["technique"][:, None].expand(-1, n_frames, -1)
    lanes, timbre = drawn_lanes(features, generator), drawn_timbre(features, generator, scale)
    return thin_out(condition_tensor(lanes, timbre, technique, scale), generator)
