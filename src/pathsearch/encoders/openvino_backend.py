"""The folded backbone in OpenVINO (extra ``openvino``): the same numbers, sooner, on a CPU.

Used where it is installed and where, on loading, it agrees with torch; else torch computes.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn

    from pathsearch.encoders.folded import FoldedBackbone

__all__ = ["compiled_features", "is_installed"]

_log = logging.getLogger(__name__)

#: Raw pixels uint8 (batch, px, px, 3) to pooled features float32 (batch, features).
Features = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]

#: Added to a variance before its square root; as in `conv_autoencoder.pooled`.
_EPS = 1e-4


def is_installed() -> bool:
    """Whether the extra is there; does not import it."""
    return importlib.util.find_spec("openvino") is not None


def compiled_features(
    network: FoldedBackbone,
    pooled_stages: tuple[int, ...],
    *,
    batch: int,
    input_px: int,
    precision: str,
) -> Features:
    """Compile network and pooling for batches of one shape.

    Parameters
    ----------
    network : FoldedBackbone
        In float32, on the CPU.
    pooled_stages : tuple of int
        Stages whose mean and spread are the features.
    batch, input_px : int
        Shape of what it will be called with.
    precision : {'float32', 'bf16'}

    Returns
    -------
    callable
    """
    import openvino
    from openvino import opset13 as ops

    pixels = ops.parameter([batch, input_px, input_px, 3], np.uint8, name="pixels")
    x = ops.transpose(ops.convert(pixels, "f32"), np.array([0, 3, 1, 2]))
    features = []
    for place, (entry, stage) in enumerate(zip(network.entries, network.stages, strict=True)):
        x = ops.relu(_convolved(x, entry, ops))
        for block in stage.children():
            inner = ops.relu(_convolved(x, block.get_submodule("conv1"), ops))
            inner = _convolved(inner, block.get_submodule("conv2"), ops)
            x = ops.relu(ops.add(inner, x))
        if place in pooled_stages:
            features.append((place, _pooled(x, ops)))
    by_place = dict(features)
    whole = ops.concat([by_place[place] for place in pooled_stages], 1)
    model = openvino.Model([whole], [pixels], "pathsearch")
    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    request = compiled.create_infer_request()

    def run(part: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        request.infer([part])
        return np.array(request.get_output_tensor().data, dtype=np.float32)

    return run


def _convolved(x: Any, module: nn.Module, ops: Any) -> Any:
    """A convolution with its bias."""
    import torch

    assert isinstance(module, torch.nn.Conv2d)
    assert module.bias is not None
    weight = module.weight.detach().float().numpy()
    stride, padding = list(module.stride), [int(p) for p in module.padding]
    out = ops.convolution(x, ops.constant(weight), stride, padding, padding, [1, 1])
    return ops.add(out, ops.constant(module.bias.detach().float().numpy().reshape(1, -1, 1, 1)))


def _pooled(x: Any, ops: Any) -> Any:
    """Means of the channels, then their standard deviations: (n, 2c)."""
    space = np.array([2, 3])
    mean = ops.reduce_mean(x, space, False)
    square = ops.reduce_mean(ops.multiply(x, x), space, False)
    spread = ops.relu(ops.subtract(square, ops.multiply(mean, mean)))
    return ops.concat([mean, ops.sqrt(ops.add(spread, np.float32(_EPS)))], 1)
