"""The decoder's network frame by frame: what its convolutions have seen is carried, never computed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from synth.codec.blocks import ConvNeXtBlock
from synth.codec.model import Decoder


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What one voice's convolutions remember: of the inputs [future, n_inputs], and of every block [memory, C]."""

    inputs: Tensor
    memory: tuple[Tensor, ...]


class StreamingNetwork:
    """`Decoder.controls` for several voices whose frames come in small groups. One thread at a time.

    The first `look_ahead` frames of a voice are taken in by `begin` and give nothing; from then on every frame that
    goes in gives the filters of the frame `look_ahead` before it.
    """

    def __init__(self, decoder: Decoder, n_voices: int) -> None:
        self._decoder = decoder
        self._blocks = [cast(ConvNeXtBlock, block) for block in decoder.blocks]
        self.look_ahead = self._blocks[0].mix.future
        if any(block.mix.future for block in self._blocks[1:]):
            raise ValueError("only the decoder's first block may look ahead")
        device, width = decoder.window.device, decoder.config.decoder_dim
        self.n_inputs = decoder.config.latent_dim + 1
        self._inputs = torch.zeros((n_voices, self.look_ahead, self.n_inputs), device=device)
        spans = [block.mix.past + block.mix.future for block in self._blocks]
        self._memory = [torch.zeros((n_voices, span, width), device=device) for span in spans]

    @torch.inference_mode()
    def begin(self, voice: int, inputs: Tensor) -> None:
        """Forget what `voice` was; its first `look_ahead` frames are `inputs` [look_ahead, n_inputs]."""
        self._inputs[voice] = inputs
        for memory in self._memory:
            memory[voice] = 0.0
        if self.look_ahead:
            self._memory[0][voice, -self.look_ahead :] = self._decoder.enter(inputs)

    @torch.inference_mode()
    def advance(self, voices: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """The next frames [n, G, n_inputs] of `voices` [n] -> what `Decoder.controls` gives for G frames."""
        seen = torch.cat([self._inputs[voices], inputs], dim=1)
        self._inputs[voices] = seen[:, inputs.shape[1] :]
        x = self._decoder.enter(inputs)
        for block, memory in zip(self._blocks, self._memory, strict=True):
            long = torch.cat([memory[voices], x], dim=1)
            memory[voices] = long[:, x.shape[1] :]
            x = _valid(block, long)
        return self._decoder.read_controls(x, seen[:, : inputs.shape[1]])

    @torch.inference_mode()
    def save(self, voice: int) -> NetworkState:
        """A copy of what `voice` has seen."""
        return NetworkState(self._inputs[voice].clone(), tuple(memory[voice].clone() for memory in self._memory))

    @torch.inference_mode()
    def restore(self, voice: int, state: NetworkState) -> None:
        """Let `voice` have seen what was saved."""
        self._inputs[voice] = state.inputs
        for memory, kept in zip(self._memory, state.memory, strict=True):
            memory[voice] = kept


def _valid(block: ConvNeXtBlock, x: Tensor) -> Tensor:
    """A block over frames whose surroundings are all there: [B, past + T + future, C] -> [B, T, C], no padding."""
    conv = block.mix
    n_frames = x.shape[1] - conv.past - conv.future
    hidden = conv.bias + x[:, :n_frames] * conv.weight[0]
    for tap in range(1, conv.past + conv.future + 1):
        hidden = torch.addcmul(hidden, x[:, tap : tap + n_frames], conv.weight[tap])
    wide = nn.functional.gelu(block.widen(block.norm(hidden)))
    return x[:, conv.past : conv.past + n_frames] + block.scale * block.narrow(wide)
