"""A draw of latents captured as a CUDA graph: one launch replays all its kernels over tensors that stay in place.

Every shape (voices, frames of context, new frames, jumps) is captured the first time it is asked for and kept. Where
nothing can be captured, as on a processor, the same function runs over the same fixed tensors: what is tested there is
everything but the capture itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[Tensor, Tensor, Tensor, int], Tensor]

_WARM_UPS = 3  # before a capture: libraries choose their algorithms and allocate what they keep


class GraphedDraws:
    """Draws by shape.

    draw   (before, condition, start, n_steps) -> latents, a function of its tensors alone that waits for nothing
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._kept: dict[tuple[int, ...], _Graphed] = {}

    @property
    def n_shapes(self) -> int:
        """Shapes captured so far."""
        return len(self._kept)

    def draw(self, before: Tensor, condition: Tensor, start: Tensor, n_steps: int) -> Tensor:
        """As the function: before [B, n_context, C], condition [B, T, D], start [B, n_frames, C] -> like start."""
        shape = (*before.shape, *condition.shape[1:], *start.shape[1:], n_steps)
        graphed = self._kept.get(shape)
        if graphed is None:
            graphed = self._kept[shape] = _Graphed(self._draw, before, condition, start, n_steps)
        return graphed(before, condition, start)


class _Graphed:
    """One shape."""

    def __init__(self, draw: Draw, before: Tensor, condition: Tensor, start: Tensor, n_steps: int) -> None:
        self._inputs = tuple(part.clone() for part in (before, condition, start))
        before, condition, start = self._inputs
        self._run = lambda: draw(before, condition, start, n_steps)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._output: Tensor | None = None
        if start.device.type == "cuda":
            self._capture()

    def _capture(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), torch.inference_mode():
            for _ in range(_WARM_UPS):
                self._run()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph), torch.inference_mode():
            self._output = self._run()

    @torch.inference_mode()
    def __call__(self, *parts: Tensor) -> Tensor:
        for mine, given in zip(self._inputs, parts, strict=True):
            mine.copy_(given)
        if self._graph is None or self._output is None:
            return self._run()
        self._graph.replay()
        return self._output.clone()
