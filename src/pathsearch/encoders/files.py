"""The folder of a saved encoder: ``config.json`` and ``weights.safetensors``.

The fingerprint covers everything that decides the vectors: kind, architecture, input
size, preprocessing, and every tensor (name, dtype, shape, bytes). Precision, device,
name and training notes are not part of it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from pathsearch.config import EncoderArchitecture, Settings
from pathsearch.errors import EncoderInvalidError, EncoderNotFoundError
from pathsearch.nouns import Array

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "weights.safetensors"
FORMAT_VERSION = 1


class EncoderConfig(Settings):
    """What ``config.json`` holds.

    Attributes
    ----------
    kind : str
        Which loader reads the folder.
    dim : int
        Length of a vector.
    input_px : int
        Width and height of a patch, pixels.
    mpp_range : tuple of float
        Resolutions seen in training, µm per pixel.
    mean, std : tuple of float
        Per channel, on 0..255: pixels enter as ``(p - mean) / std``.
    resize : {'area'}
        How pictures of another size are brought to `input_px`.
    notes : dict
        Where it comes from: data, settings, figures. Not part of the fingerprint.
    """

    format: Literal["pathsearch-encoder"] = "pathsearch-encoder"
    format_version: int = FORMAT_VERSION
    kind: str = "conv-autoencoder"
    name: str = Field("custom", min_length=1, max_length=60)
    architecture: EncoderArchitecture = EncoderArchitecture()
    dim: int = Field(128, ge=2, le=4096)
    input_px: int = Field(224, ge=32, le=2048)
    mpp_range: tuple[float, float] = (0.5, 0.5)
    mean: tuple[float, float, float] = (180.0, 150.0, 180.0)
    std: tuple[float, float, float] = (50.0, 50.0, 50.0)
    resize: Literal["area"] = "area"
    copyable: bool = True
    licence: str = ""
    fingerprint: str = ""
    notes: dict[str, Any] = Field(default_factory=dict)


def fingerprint(config: EncoderConfig, tensors: dict[str, Array]) -> str:
    """SHA-256 over weights and preprocessing, as hex.

    Parameters
    ----------
    config : EncoderConfig
    tensors : dict of str to array
    """
    decides = config.model_dump(
        mode="json", include={"kind", "architecture", "dim", "input_px", "mean", "std", "resize"}
    )
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode())
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def kind_of(folder: Path) -> str:
    """Which loader reads a folder; ``timm`` for one as timm's models are published.

    Raises
    ------
    EncoderNotFoundError
        The folder has no ``config.json``.
    EncoderInvalidError
        It does not say what it is.
    """
    raw = _read_json(folder)
    if isinstance(raw, dict):
        if raw.get("format") == "pathsearch-encoder" and isinstance(raw.get("kind"), str):
            return str(raw["kind"])
        if isinstance(raw.get("architecture"), str) or raw.get("model_type") == "dinov2":
            return "timm"
    raise EncoderInvalidError(
        f"{folder / CONFIG_NAME}: does not describe an encoder: neither one of pathsearch nor a "
        "model of timm.",
        spec=str(folder),
    )


def read_config(folder: Path) -> EncoderConfig:
    """The configuration of a saved encoder.

    Raises
    ------
    EncoderNotFoundError
        The folder has no ``config.json``.
    EncoderInvalidError
        It is not one of ours, or of a newer version.
    """
    path = folder / CONFIG_NAME
    raw = _read_json(folder)
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise EncoderInvalidError(
            f"{path}: format version {version} is newer than this program reads "
            f"({FORMAT_VERSION}); update pathsearch.",
            spec=str(folder),
        )
    try:
        return EncoderConfig.model_validate(raw)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, e["loc"])) or "file" for e in error.errors())
        raise EncoderInvalidError(
            f"{path}: does not describe an encoder (see {where}).", spec=str(folder)
        ) from None


def _read_json(folder: Path) -> Any:
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise EncoderNotFoundError(
            f"{folder}: holds no {CONFIG_NAME}; give the folder that training wrote.",
            spec=str(folder),
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderInvalidError(
            f"{path}: is not readable JSON ({error}).", spec=str(folder)
        ) from None


def read_encoder(folder: Path) -> tuple[EncoderConfig, dict[str, Array]]:
    """Configuration and tensors of a saved encoder, checked against its fingerprint.

    Raises
    ------
    EncoderNotFoundError, EncoderInvalidError
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config = read_config(folder)
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise EncoderInvalidError(
            f"{folder}: holds no {WEIGHTS_NAME}; copy the whole folder.", spec=str(folder)
        )
    try:
        tensors: dict[str, Array] = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise EncoderInvalidError(
            f"{path}: is damaged or not a safetensors file ({error}); copy it again.",
            spec=str(folder),
        ) from None
    if config.fingerprint != fingerprint(config, tensors):
        raise EncoderInvalidError(
            f"{folder}: {CONFIG_NAME} and {WEIGHTS_NAME} do not belong together "
            "(the fingerprint differs); copy the folder again.",
            spec=str(folder),
        )
    return config, tensors


def write_encoder(folder: Path, config: EncoderConfig, tensors: dict[str, Array]) -> EncoderConfig:
    """Write both files; each appears whole or not at all.

    Returns
    -------
    EncoderConfig
        With the fingerprint filled in.
    """
    from safetensors.numpy import save

    config = config.model_copy(update={"fingerprint": fingerprint(config, tensors)})
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config.model_dump(mode="json"), indent=1, ensure_ascii=False)
    _replace(folder / WEIGHTS_NAME, save({k: np.ascontiguousarray(v) for k, v in tensors.items()}))
    _replace(folder / CONFIG_NAME, text.encode("utf-8") + b"\n")
    return config


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)
