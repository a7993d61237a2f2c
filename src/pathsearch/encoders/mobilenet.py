"""MobileNet v1 from a quantised TFLite file: a general-purpose encoder to compare with.

TFLite's own kernels run such a file on one patch at a time, at a few patches a second
where they are not accelerated. The weights are therefore read with the TFLite runtime
(``ai-edge-litert``), dequantised, and computed with torch. Activations stay in floating
point, so vectors agree with the quantised network's to a cosine of about 0.99, not
exactly.

Source of the architecture: Howard et al. 2017, *MobileNets*; preprocessing
``(p - 128) / 128`` as the file's own quantisation of its input says.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.encoders.devices import pick_device, pick_dtype
from pathsearch.errors import EncoderInvalidError, ExtraMissingError, UsageError
from pathsearch.nouns import Array

if TYPE_CHECKING:
    from torch import nn

    from pathsearch.encoders.loading import Precision

#: Stride of the depthwise convolution of each of the 13 blocks.
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_INPUT_PX = 224
_BATCH = 32
_LAYER = re.compile(r"Conv2d_(\d+)(?:_(depthwise|pointwise))?/")


class MobileNetEncoder:
    """An `Encoder` over the mean of MobileNet's last feature map.

    Parameters
    ----------
    path : Path
        A ``.tflite`` file of MobileNet v1, float or quantised, with 3 input channels.
    device, precision : str
        See `pathsearch.encoders.load_encoder`.

    Raises
    ------
    ExtraMissingError
        ``ai-edge-litert`` is not installed.
    EncoderInvalidError
        The file is not such a network.
    """

    name = "mobilenet-v1"
    input_px = _INPUT_PX
    #: ImageNet has no resolution; it is used at whatever a slide is cut at.
    mpp_range = (0.0, 100.0)
    copyable = False

    def __init__(self, path: Path, *, device: str = "auto", precision: Precision = "auto") -> None:
        import torch

        layers = _read_layers(path)
        self.path = path
        self.device = pick_device(device)
        self.dtype = pick_dtype(precision, self.device)
        self._network = _build(layers).to(device=self.device, dtype=self.dtype)
        self._network = self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dim = int(layers[-1][0].shape[0])
        digest = hashlib.sha256(b"mobilenet-v1 (p-128)/128 mean")
        digest.update(path.read_bytes())
        self.fingerprint = digest.hexdigest()

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Vectors of patches.

        Parameters
        ----------
        pixels : uint8 array, shape (n, h, w, 3), RGB
            Square patches up to 224 px whose side is a multiple of 32 are taken as they
            are (the network is fully convolutional); others are resized to 224 px.

        Returns
        -------
        float32 array, shape (n, 1024), L2-normalised
        """
        import torch

        from pathsearch.encoders.conv_encoder import resize_area

        if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
            raise UsageError(
                f"Patches must be uint8 of shape (n, h, w, 3), not {pixels.dtype} {pixels.shape}."
            )
        _, height, width, _ = pixels.shape
        if height != width or height % 32 or height > self.input_px:
            pixels = resize_area(pixels, self.input_px)
        out = np.empty((len(pixels), self.dim), dtype=np.float32)
        for start in range(0, len(pixels), _BATCH):
            part = pixels[start : start + _BATCH]
            full = np.zeros((_BATCH, *part.shape[1:]), dtype=np.uint8)
            full[: len(part)] = part
            with torch.inference_mode():
                x = torch.from_numpy(full).to(self.device).permute(0, 3, 1, 2).to(self.dtype)
                x = self._network((x - 128) / 128).float().mean(dim=(2, 3))
                x = torch.nn.functional.normalize(x, dim=1)
            out[start : start + len(part)] = x[: len(part)].cpu().numpy()
        return out

    def save(self, folder: str) -> None:
        """Not done: the file is referenced, not copied.

        Raises
        ------
        UsageError
        """
        raise UsageError(f"{self.path} is referenced by its path, not copied to {folder}.")


def _read_layers(path: Path) -> list[tuple[Array, Array]]:
    """Weights (out, in, h, w) and biases of the 27 convolutions, in order, dequantised."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ExtraMissingError(
            f"{path}: reading TFLite files needs ai-edge-litert; install the extra: "
            'pip install "napari-pathsearch[tflite]".',
            extra="tflite",
        ) from None
    try:
        interpreter = Interpreter(model_path=str(path))
        details = interpreter.get_tensor_details()
    except (ValueError, RuntimeError) as error:
        raise EncoderInvalidError(f"{path}: is not a TFLite file ({error}).") from None
    found: dict[tuple[int, str], dict[str, Array]] = {}
    for detail in details:
        kind = _kind(detail)
        match = _LAYER.search(detail["name"])
        if kind is None or match is None:
            continue
        # Depthwise before pointwise sorts as it is computed.
        key = (int(match[1]), match[2] or "")
        value = interpreter.get_tensor(detail["index"]).astype(np.float32)
        scale, zero = detail["quantization"]
        found.setdefault(key, {})[kind] = (value - zero) * scale if scale else value
    layers = []
    for key in sorted(found):
        parts = found[key]
        if set(parts) != {"weight", "bias"}:
            break
        weight = parts["weight"]
        # TFLite: (out, h, w, in), depthwise (1, h, w, channels).
        order = (3, 0, 1, 2) if key[1] == "depthwise" else (0, 3, 1, 2)
        layers.append((np.ascontiguousarray(weight.transpose(order)), parts["bias"]))
    if len(layers) != 1 + 2 * len(STRIDES):
        raise EncoderInvalidError(f"{path}: is not a MobileNet v1; only that network is read.")
    return layers


def _kind(detail: dict[str, Any]) -> str | None:
    shape = detail["shape"]
    if len(shape) == 1 and "bias" in detail["name"]:
        return "bias"
    constant = "weights" in detail["name"].rsplit(";", maxsplit=1)[-1]
    return "weight" if len(shape) == 4 and constant else None


def _build(layers: list[tuple[Array, Array]]) -> nn.Module:
    """The network in torch; TensorFlow's SAME padding puts the odd pixel at the far side."""
    import torch
    from torch import nn

    modules: list[nn.Module] = []
    for place, (weight, bias) in enumerate(layers):
        depthwise = place > 0 and place % 2 == 1
        stride = 2 if place == 0 else (STRIDES[place // 2] if depthwise else 1)
        groups = len(weight) if depthwise else 1
        if weight.shape[2] == 3:
            modules.append(nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)))
        conv = nn.Conv2d(
            weight.shape[1] * groups, len(weight), weight.shape[2], stride, groups=groups
        )
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(weight))
            assert conv.bias is not None
            conv.bias.copy_(torch.from_numpy(bias))
        modules += [conv, nn.ReLU6(inplace=True)]
    return nn.Sequential(*modules).requires_grad_(False).eval()
