"""The blocks of synth.codec.blocks in fewer, larger operations: for a processor that plays, without gradients.

Weights are laid out once as oneDNN wants them, and what is constant between calls is multiplied into them: the norm's
scale and shift into the layer after it, a block's residual scale into its last layer. Activations and additions are
fused into the products. Results differ from the plain modules' by rounding only. Where torch comes without oneDNN the
same algebra runs on torch's own products.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synth.codec.blocks import ConvNeXtBlock, DepthwiseConv

_HAS_ONEDNN = torch.backends.mkldnn.is_available()


class PackedLinear:
    """x [..., n_in] -> x @ weight.T + bias [..., n_out].

    n_rows      how many rows it will mostly be given; any number is right
    precision   of the factors and of what comes out; sums are float32
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, n_rows: int, precision: torch.dtype = torch.float32
    ) -> None:
        self.precision = precision
        weight = weight.detach().to(precision).contiguous()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, n_rows) if _HAS_ONEDNN else weight
        # oneDNN adds the bias to its float32 sums; torch's own product wants one of the factors' type.
        self._bias = None if bias is None else bias.detach().to(torch.float32 if _HAS_ONEDNN else precision)

    def __call__(self, x: Tensor) -> Tensor:
        if not _HAS_ONEDNN:
            return nn.functional.linear(x, self._weight, self._bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of the product."""
        if not _HAS_ONEDNN:
            return nn.functional.gelu(nn.functional.linear(x, self._weight, self._bias))
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "gelu", [], "none")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product plus `other` [..., n_out], in float32."""
        if not _HAS_ONEDNN or self.precision != torch.float32:
            return other + self(x)
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self._weight, self._bias, "add")


def packed(layer: nn.Linear, n_rows: int) -> PackedLinear:
    """A plain layer, packed in float32."""
    return PackedLinear(layer.weight, layer.bias, n_rows)


def after_norm(weight: Tensor, bias: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer for input that `norm` has normalised, but not scaled and shifted."""
    wide, scale, shift = weight.detach().double(), norm.weight.detach().double(), norm.bias.detach().double()
    return (wide * scale).float(), (bias.detach().double() + wide @ shift).float()


def normalised(x: Tensor, norm_epsilon: float) -> Tensor:
    """Zero mean and unit variance over the last axis: a LayerNorm whose scale and shift are elsewhere."""
    return nn.functional.layer_norm(x, x.shape[-1:], eps=norm_epsilon)


class PackedDepthwise:
    """A DepthwiseConv as one operation; [B, T, C] is what oneDNN calls channels-last.

    padded   zeros at both ends, which asks for as much past as future. False: only frames that have all they need
    """

    def __init__(self, conv: DepthwiseConv, n_frames: int, *, padded: bool = True) -> None:
        if padded and conv.past != conv.future:
            raise ValueError(f"{conv.past} frames of past and {conv.future} of future cannot be padded alike")
        n_channels = conv.weight.shape[1]
        weight = conv.weight.detach().T[:, None, None, :].contiguous()
        self._fixed = ([0, conv.past if padded else 0], [1, 1], [1, 1], n_channels)
        size = [1, n_channels, 1, n_frames]
        reorder = torch.ops.mkldnn._reorder_convolution_weight
        self._weight = reorder(weight, *self._fixed, size) if _HAS_ONEDNN else weight
        self._bias = conv.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C], or [B, T - past - future, C] when not padded."""
        columns = x.transpose(1, 2).unsqueeze(2)
        if _HAS_ONEDNN:
            convolve = torch.ops.mkldnn._convolution_pointwise
            mixed = convolve(columns, self._weight, self._bias, *self._fixed, "none", [], "")
        else:
            padding, stride, dilation, groups = self._fixed
            mixed = nn.functional.conv2d(columns, self._weight, self._bias, stride, padding, dilation, groups)
        return mixed.squeeze(2).transpose(1, 2)


class PackedBlock:
    """A ConvNeXtBlock without FiLM, in float32: four operations. `padded` as in PackedDepthwise."""

    def __init__(self, block: ConvNeXtBlock, n_frames: int, *, padded: bool = True) -> None:
        self._mix = PackedDepthwise(block.mix, n_frames, padded=padded)
        self._past, self._future = (0, 0) if padded else (block.mix.past, block.mix.future)
        self._epsilon = block.norm.eps
        self._widen = PackedLinear(*after_norm(block.widen.weight, block.widen.bias, block.norm), n_frames)
        self._narrow = PackedLinear(*scaled_narrow(block), n_frames)

    def __call__(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C], or [B, T - past - future, C] when not padded."""
        mixed = self._widen.gelu(normalised(self._mix(x), self._epsilon))
        return self._narrow.plus(mixed, x[:, self._past : x.shape[1] - self._future])


class PackedFilmBlock:
    """A ConvNeXtBlock with FiLM; the norm's scale and shift are expected in it."""

    def __init__(self, block: ConvNeXtBlock, n_frames: int, precision: torch.dtype) -> None:
        self._mix = PackedDepthwise(block.mix, n_frames)
        self._epsilon = block.norm.eps
        self._precision = precision
        self._widen = PackedLinear(block.widen.weight, block.widen.bias, n_frames, precision)
        self._narrow = PackedLinear(*scaled_narrow(block), n_frames, precision)

    def __call__(self, x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        """x [B, T, C], gain and shift [B, T, C] of the normalised features -> [B, T, C] in float32."""
        hidden = torch.addcmul(shift, normalised(self._mix(x), self._epsilon), gain)
        return self._narrow.plus(self._widen.gelu(hidden.to(self._precision)), x)


def scaled_narrow(block: ConvNeXtBlock) -> tuple[Tensor, Tensor]:
    """Weight and bias of a block's last layer with the residual scale in them."""
    scale = block.scale.detach().double()
    weight, bias = block.narrow.weight.detach().double(), block.narrow.bias.detach().double()
    return (weight * scale[:, None]).float(), (bias * scale).float()
