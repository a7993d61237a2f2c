"""Models of timm from a local folder (extra ``timm``); nothing is downloaded.

The folder holds ``config.json`` and the weights, as published: ``model.safetensors``, or
``pytorch_model.bin``, which is read as tensors only. Which preset applies is taken from
``"preset"`` in ``config.json``, else from the folder's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.encoders.devices import pick_device, pick_dtype
from pathsearch.encoders.files import CONFIG_NAME
from pathsearch.encoders.foreign import ForeignConfig, ForeignEncoder
from pathsearch.encoders.timm_presets import PRESETS, Preset
from pathsearch.errors import EncoderInvalidError, EncoderNotFoundError, ExtraMissingError
from pathsearch.nouns import Encoder

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pathsearch.encoders.loading import Precision

__all__ = ["converted_dinov2", "load_timm_folder", "preset_of"]

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
#: Patches a call: these networks are large.
_BATCH = 8

State = dict[str, "torch.Tensor"]


def load_timm_folder(argument: str, device: str, precision: Precision) -> Encoder:
    """Loader of folders of kind ``timm``, and of ``timm:FOLDER``.

    Raises
    ------
    ExtraMissingError
        timm is not installed.
    EncoderNotFoundError
        There is no such folder.
    EncoderInvalidError
        No weights in it, weights that do not fit, or a model without a preset.
    """
    folder = Path(argument)
    if not folder.is_dir():
        raise EncoderNotFoundError(f"{folder}: there is no such folder.", spec=argument)
    raw = _config(folder)
    name, preset = preset_of(folder, raw)
    weights = next((folder / n for n in _WEIGHTS if (folder / n).is_file()), None)
    if weights is None:
        raise EncoderInvalidError(
            f"{folder}: holds neither {' nor '.join(_WEIGHTS)}.", spec=argument
        )
    where = pick_device("cpu" if device == "openvino" else device)
    dtype = pick_dtype(precision, where)
    network = _network(name, preset, weights).to(device=where, dtype=dtype)
    config = ForeignConfig(
        kind="timm",
        name=name,
        file=weights.name,
        input_px=preset.input_px,
        mean=preset.mean,
        std=preset.std,
        pooling=preset.pooling,
        registers=preset.registers,
        mpp_range=preset.mpp_range,
        model=preset.model,
        model_args=preset.model_args,
    )

    def run(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import torch

        with torch.inference_mode():
            out = network(torch.from_numpy(pixels).to(device=where, dtype=dtype))
        return np.asarray(out.float().cpu().numpy())

    words = "float32" if str(dtype) == "torch.float32" else "bf16"
    encoder = ForeignEncoder(weights, config, run, batch=_BATCH, precision=words)
    if encoder.dim != preset.dim:
        raise EncoderInvalidError(
            f"{folder}: gives vectors of {encoder.dim}, {name} has {preset.dim}.", spec=argument
        )
    return encoder


def preset_of(folder: Path, raw: Mapping[str, Any]) -> tuple[str, Preset]:
    """Which published model a folder holds.

    Raises
    ------
    EncoderInvalidError
        None that is known; the message lists them.
    """
    wanted = str(raw.get("preset", "")).lower()
    if wanted in PRESETS:
        return wanted, PRESETS[wanted]
    told = f"{folder.name} {raw.get('architecture', '')}".lower().replace("_", "-")
    found = [name for name in PRESETS if name in told]
    if wanted or len(found) != 1:
        raise EncoderInvalidError(
            f'{folder}: which model it is cannot be told; write "preset" into its {CONFIG_NAME}, '
            f"one of {', '.join(PRESETS)}.",
            spec=str(folder),
        )
    return found[0], PRESETS[found[0]]


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise EncoderInvalidError(f"{path}: is not readable JSON ({error}).") from None
    return raw if isinstance(raw, dict) else {}


def _network(name: str, preset: Preset, weights: Path) -> nn.Module:
    """The network that returns tokens, or a feature map, with its weights."""
    try:
        import timm
    except ImportError:
        raise ExtraMissingError(
            f"{weights.parent}: running it needs timm: pip install 'napari-pathsearch[timm]'.",
            extra="timm",
        ) from None
    from pathsearch.encoders.timm_networks import AttentionPooled, Tokens, layer_arguments

    arguments = layer_arguments(preset.model_args)
    trunk = timm.create_model(preset.model, pretrained=False, num_classes=0, **arguments)
    state = _tensors(weights)
    network: nn.Module
    if name == "conch":
        network = AttentionPooled(trunk, preset.dim)
        kept = ("trunk.", "attn_pool_contrast.", "ln_contrast.")
        state = {k.removeprefix("visual."): v for k, v in state.items()}
        state = {k: v for k, v in state.items() if k.startswith(kept)}
    else:
        network = Tokens(trunk)
        if "embeddings.cls_token" in state:
            state = converted_dinov2(state)
        # The classifier of a published model is not part of an encoder.
        heads = ("head.", "fc.", "head_dist.")
        state = {f"trunk.{k}": v for k, v in state.items() if not k.startswith(heads)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderInvalidError(
            f"{weights}: the weights do not fit {name}: {reason}", spec=str(weights.parent)
        ) from None
    return network.eval().requires_grad_(False)


def _tensors(weights: Path) -> State:
    """All tensors of a file; nothing is unpickled."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if weights.suffix == ".safetensors":
            return load_file(weights)
        raw = torch.load(weights, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise _damaged(weights, error) from None
    except Exception as error:  # noqa: BLE001  the unpickler's error is not a public class
        raise _damaged(weights, error) from None
    state = raw.get("state_dict", raw) if isinstance(raw, dict) else raw
    if not isinstance(state, dict):
        raise _damaged(weights, "not a table of tensors")
    return {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}


def _damaged(weights: Path, error: object) -> EncoderInvalidError:
    reason = " ".join(str(error).split())[:160]
    return EncoderInvalidError(
        f"{weights}: is damaged, or holds more than tensors ({reason}).", spec=str(weights.parent)
    )


def converted_dinov2(state: State) -> State:
    """Names of transformers' Dinov2 to timm's vision transformer (Phikon-v2).

    Parameters
    ----------
    state : dict of str to tensor
        With query, key and value apart.

    Returns
    -------
    dict of str to tensor
        With the three stacked, as timm has them.
    """
    import torch

    plain = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
        "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "layernorm.weight": "norm.weight",
        "layernorm.bias": "norm.bias",
    }
    inside = {
        "attention.output.dense": "attn.proj",
        "layer_scale1.lambda1": "ls1.gamma",
        "layer_scale2.lambda1": "ls2.gamma",
    }
    out = {theirs: state[ours] for ours, theirs in plain.items() if ours in state}
    for name, value in state.items():
        if not name.startswith("encoder.layer."):
            continue
        number, _, rest = name.removeprefix("encoder.layer.").partition(".")
        before = f"blocks.{number}."
        if rest.startswith("attention.attention."):
            if rest.startswith("attention.attention.query."):
                kind = rest.rpartition(".")[2]
                three = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
                out[f"{before}attn.qkv.{kind}"] = torch.cat([state[one] for one in three])
            continue
        for ours, theirs in inside.items():
            rest = rest.replace(ours, theirs)
        out[before + rest] = value
    return out
