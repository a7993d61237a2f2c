"""Encoders that were made elsewhere: one class, whatever runs the network.

A network from elsewhere comes as a file; what it does not say itself (name, preprocessing,
which output, resolution, licence) is a `ForeignConfig`: in ``config.json`` of a folder, in
``NAME.json`` beside the file ``NAME.onnx``, or the defaults.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from pathsearch.config import Settings, validated
from pathsearch.encoders.conv_encoder import BATCH, resize_area
from pathsearch.encoders.files import CONFIG_NAME
from pathsearch.errors import ConfigError, EncoderInvalidError, UsageError

__all__ = ["ForeignConfig", "ForeignEncoder", "read_foreign", "vectors_of_tokens"]

#: Mean and standard deviation of ImageNet on 0..255, what most networks were trained with.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

#: Preprocessed pixels, float32 (n, 3, h, w) or uint8 (n, h, w, 3), to the network's output.
Run = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


class ForeignConfig(Settings):
    """What a network's file does not say itself.

    Attributes
    ----------
    kind : str
        ``onnx``, ``pt2``, ``timm``, ...
    name : str
        How it is called; by default the file's name.
    file : str
        Of the network, relative to the folder.
    input_px : int
        Width and height of its pictures; 0 takes what the file says, else 224.
    layout : {'nchw', 'nhwc-uint8'}
        float32 (n, 3, h, w), standardised, or raw uint8 (n, h, w, 3).
    mean, std : tuple of float
        Per channel, on 0..255: pixels enter as ``(p - mean) / std``.
    pooling : {'class', 'class+mean', 'mean'}
        What is made of an output (n, tokens, d): its first token; that and the mean of the
        patch tokens; or this mean alone.
    registers : int
        Tokens between the class token and the patch tokens.
    output : str
        Name of the output; by default the first.
    mpp_range : tuple of float
        Resolutions it was trained on, µm per pixel.
    copyable : bool
        Whether its licence permits a copy inside a library.
    model : str
        timm: name of the architecture.
    model_args : dict
        timm: arguments of the architecture.
    """

    format: Literal["pathsearch-encoder"] = "pathsearch-encoder"
    format_version: Literal[1] = 1
    kind: str = "onnx"
    name: str = Field("", max_length=60)
    file: str = ""
    input_px: int = Field(0, ge=0, le=2048)
    layout: Literal["nchw", "nhwc-uint8"] = "nchw"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    pooling: Literal["class", "class+mean", "mean"] = "class"
    registers: int = Field(0, ge=0, le=64)
    output: str = ""
    mpp_range: tuple[float, float] = (0.25, 1.0)
    copyable: bool = False
    licence: str = ""
    model: str = ""
    model_args: dict[str, Any] = Field(default_factory=dict)
    notes: dict[str, Any] = Field(default_factory=dict)

    @field_validator("std")
    @classmethod
    def _positive(cls, std: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(std) <= 0:
            raise ValueError("must be positive")
        return std


#: Settings that decide the vectors; with the file's bytes they make the fingerprint.
_DECISIVE = {
    "kind", "input_px", "layout", "mean", "std", "pooling", "registers", "output", "model",
    "model_args",
}  # fmt: skip


def read_foreign(argument: str, kind: str) -> tuple[Path, ForeignConfig]:
    """The network's file and its settings.

    Parameters
    ----------
    argument : str
        The file, or a folder with ``config.json`` that names it.
    kind : str

    Raises
    ------
    EncoderInvalidError
        The settings do not fit, or name a file that is not there.
    """
    path = Path(argument)
    beside = path / CONFIG_NAME if path.is_dir() else path.with_suffix(".json")
    config = _settings(beside) if beside.is_file() else ForeignConfig()
    if path.is_dir():
        if not config.file or Path(config.file).name != config.file:
            raise EncoderInvalidError(
                f"{beside}: 'file' must name the network's file in the same folder.",
                spec=argument,
            )
        path = path / config.file
    if not path.is_file():
        raise EncoderInvalidError(f"{path}: there is no such file.", spec=argument)
    name = config.name or path.stem[:60]
    return path, config.model_copy(update={"kind": kind, "name": name, "file": path.name})


def _settings(path: Path) -> ForeignConfig:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("not an object")
        # What the program wrote beside its own settings when it saved the encoder
        raw.pop("fingerprint", None)
        raw.pop("dim", None)
        return validated(raw, ForeignConfig, source=str(path))
    except ConfigError as error:
        raise EncoderInvalidError(str(error), spec=str(path)) from None
    except (OSError, ValueError) as error:
        raise EncoderInvalidError(f"{path}: is not readable JSON ({error}).") from None


class ForeignEncoder:
    """An `Encoder` over a network that something else runs.

    Parameters
    ----------
    path : Path
        The network's file; files beside it whose names begin with its name belong to it
        (ONNX keeps large weights so).
    config : ForeignConfig
        With `input_px` filled in.
    run : callable
        Preprocessed pixels to the network's output, an array of 2 to 4 dimensions.
    batch : int
        Patches a call; filled up where there are fewer, so that a vector does not depend
        on its company.
    precision : str
        What it computes in.

    Raises
    ------
    EncoderInvalidError
        The network does not run on pictures of this size, or returns no vectors.
    """

    def __init__(
        self,
        path: Path,
        config: ForeignConfig,
        run: Run,
        *,
        batch: int = BATCH,
        precision: str = "float32",
    ) -> None:
        self.path = path
        self.config = config
        self.precision = precision
        self._run = run
        self._batch = batch
        self._lock = threading.Lock()
        self.name = config.name
        self.input_px = config.input_px
        self.mpp_range = config.mpp_range
        self.copyable = config.copyable
        self.dim = self._probe()
        self.fingerprint = self._digest()

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Vectors of patches.

        Parameters
        ----------
        pixels : uint8 array, shape (n, h, w, 3), RGB
            Of any size; other than `input_px` they are resized first.

        Returns
        -------
        float32 array, shape (n, dim), L2-normalised

        Raises
        ------
        UsageError
            Not an array of that kind.
        EncoderInvalidError
            The network returned something that is not finite.
        """
        if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
            raise UsageError(
                f"Patches must be uint8 of shape (n, h, w, 3), not {pixels.dtype} {pixels.shape}."
            )
        if pixels.shape[1:3] != (self.input_px, self.input_px):
            pixels = resize_area(pixels, self.input_px)
        out = np.empty((len(pixels), self.dim), dtype=np.float32)
        for start in range(0, len(pixels), self._batch):
            part = pixels[start : start + self._batch]
            out[start : start + len(part)] = self._vectors(part)[: len(part)]
        if not np.isfinite(out).all():
            raise EncoderInvalidError(
                f"{self.path}: returned vectors that are not finite; the file is damaged, or its "
                "preprocessing is another.",
                spec=str(self.path),
            )
        return out

    def save(self, folder: str) -> None:
        """Copy the network and its settings, where the licence permits it.

        Raises
        ------
        UsageError
            `copyable` is off: the encoder is referenced by its path.
        """
        if not self.copyable:
            raise UsageError(
                f'{self.path} is referenced, not copied; set "copyable": true in its settings '
                "if its licence permits a copy."
            )
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for file in self._files():
            shutil.copyfile(file, target / file.name)
        settings = self.config.model_dump(mode="json") | {
            "fingerprint": self.fingerprint,
            "dim": self.dim,
        }
        text = json.dumps(settings, indent=1, ensure_ascii=False)
        (target / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")

    def _vectors(self, part: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """One padded batch: preprocessed, run, reduced, made unit length."""
        full = np.zeros((self._batch, *part.shape[1:]), dtype=np.uint8)
        full[: len(part)] = part
        with self._lock:
            raw = self._run(self._prepared(full))
        vectors = vectors_of_tokens(np.asarray(raw), self.config)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(length, 1e-12), dtype=np.float32)

    def _prepared(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if self.config.layout == "nhwc-uint8":
            return pixels
        mean = np.array(self.config.mean, dtype=np.float32)
        std = np.array(self.config.std, dtype=np.float32)
        return np.ascontiguousarray(((pixels - mean) / std).transpose(0, 3, 1, 2))

    def _probe(self) -> int:
        """Length of a vector, by trying."""
        blank = np.full((1, self.input_px, self.input_px, 3), 255, dtype=np.uint8)
        try:
            vectors = self._vectors(blank)
        except (ValueError, RuntimeError, ArithmeticError, IndexError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EncoderInvalidError(
                f"{self.path}: does not turn pictures of {self.input_px} px into vectors: {reason}",
                spec=str(self.path),
            ) from None
        if len(vectors) != self._batch or vectors.shape[1] < 2:
            raise EncoderInvalidError(
                f"{self.path}: returns {vectors.shape} for {self._batch} pictures, not a vector "
                "each.",
                spec=str(self.path),
            )
        return int(vectors.shape[1])

    def _digest(self) -> str:
        decides = self.config.model_dump(mode="json", include=_DECISIVE)
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode())
        for file in self._files():
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def _files(self) -> list[Path]:
        """The network's file, and what belongs to it."""
        beside = [
            file
            for file in self.path.parent.iterdir()
            if file.name.startswith(self.path.name) and file != self.path and file.is_file()
        ]
        return [self.path, *sorted(beside)]


def vectors_of_tokens(raw: npt.NDArray[Any], config: ForeignConfig) -> npt.NDArray[np.float64]:
    """One vector a picture from whatever a network returns.

    Parameters
    ----------
    raw : array
        (n, d): as it is. (n, tokens, d): by `config.pooling`. (n, c, h, w): mean over space.
    config : ForeignConfig

    Raises
    ------
    ValueError
        Of another shape.
    """
    raw = np.asarray(raw, dtype=np.float64)
    if raw.ndim == 2:
        return raw
    if raw.ndim == 4:
        return np.asarray(raw.mean(axis=(2, 3)))
    if raw.ndim != 3:
        raise ValueError(f"the output has {raw.ndim} dimensions, expected 2, 3 or 4")
    first, patches = raw[:, 0], raw[:, 1 + config.registers :]
    if config.pooling == "class":
        return np.asarray(first)
    if patches.shape[1] == 0:
        raise ValueError(f"the output has {raw.shape[1]} tokens, none of them of a patch")
    mean = patches.mean(axis=1)
    if config.pooling == "mean":
        return np.asarray(mean)
    return np.concatenate([first, mean], axis=1)
