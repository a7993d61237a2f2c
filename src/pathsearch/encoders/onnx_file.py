"""Networks in ONNX, run by ONNX Runtime (extra ``onnx``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.encoders.conv_encoder import BATCH
from pathsearch.encoders.foreign import ForeignConfig, ForeignEncoder, read_foreign
from pathsearch.errors import EncoderInvalidError, ExtraMissingError, UsageError
from pathsearch.nouns import Encoder

__all__ = ["load_onnx"]


def load_onnx(argument: str, device: str, precision: str) -> Encoder:
    """Loader of ``.onnx`` files and of folders of kind ``onnx``.

    Parameters
    ----------
    argument : str
        The file, or the folder. Settings: see `pathsearch.encoders.foreign`.
    device : str
        ``auto`` and ``cuda`` use CUDA where ONNX Runtime has it; else the CPU.
    precision : str
        ``bf16`` is refused: the file decides.

    Raises
    ------
    ExtraMissingError
        ``onnxruntime`` is not installed.
    EncoderInvalidError
        The file does not load, or takes no pictures.
    """
    path, config = read_foreign(argument, "onnx")
    if precision == "bf16":
        raise UsageError(f"{path}: an ONNX file computes as it was exported; leave bf16 out.")
    session = _session(path, device)
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise EncoderInvalidError(
            f"{path}: has {len(inputs)} inputs; an encoder has one, the pictures.", spec=str(path)
        )
    config, batch = _fitted(path, config, inputs[0])
    outputs = [output.name for output in session.get_outputs()]
    if config.output and config.output not in outputs:
        raise EncoderInvalidError(
            f"{path}: has no output {config.output!r}; there are: {', '.join(outputs)}.",
            spec=str(path),
        )
    wanted, name = [config.output or outputs[0]], inputs[0].name

    def run(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        try:
            return np.asarray(session.run(wanted, {name: pixels})[0])
        except Exception as error:  # noqa: BLE001  its errors share no other base class
            raise RuntimeError(str(error)) from None

    return ForeignEncoder(path, config, run, batch=batch)


def _session(path: Path, device: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ExtraMissingError(
            f"{path}: running it needs ONNX Runtime: pip install 'napari-pathsearch[onnx]'.",
            extra="onnx",
        ) from None
    there = onnxruntime.get_available_providers()
    cuda = "CUDAExecutionProvider"
    if device.startswith("cuda") and cuda not in there:
        raise UsageError(f"Device {device!r} is not available to ONNX Runtime here; use cpu.")
    wanted = [cuda] if cuda in there and device.startswith(("auto", "cuda")) else []
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=[*wanted, "CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001  its errors share no other base class
        reason = " ".join(str(error).split())[:200]
        raise EncoderInvalidError(
            f"{path}: is not a usable ONNX file: {reason}", spec=str(path)
        ) from None


def _fitted(path: Path, config: ForeignConfig, given: Any) -> tuple[ForeignConfig, int]:
    """The settings with what the network's input says, and its batch size.

    Raises
    ------
    EncoderInvalidError
        The input is no picture, or contradicts the settings.
    """
    shape = list(given.shape)
    kinds = {"tensor(float)": ("nchw", 1, 2), "tensor(uint8)": ("nhwc-uint8", 3, 1)}
    layout, channel, side = kinds.get(given.type, ("", 0, 0))
    if not layout or len(shape) != 4 or (isinstance(shape[channel], int) and shape[channel] != 3):
        raise EncoderInvalidError(
            f"{path}: its input is {given.type} {shape}; float (n, 3, h, w) or uint8 "
            "(n, h, w, 3) is needed.",
            spec=str(path),
        )
    own = shape[side] if isinstance(shape[side], int) else 0
    if own and config.input_px and own != config.input_px:
        raise EncoderInvalidError(
            f"{path}: takes pictures of {own} px, its settings say {config.input_px}.",
            spec=str(path),
        )
    changes = {"layout": layout, "input_px": own or config.input_px or 224}
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else BATCH
    return config.model_copy(update=changes), batch
