"""The trained autoencoder at work: folded, cast, in fixed batches."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from pathsearch.encoders.devices import pick_device, pick_dtype
from pathsearch.encoders.files import EncoderConfig, fingerprint, read_encoder, write_encoder
from pathsearch.encoders.whitening import Whitening
from pathsearch.errors import EncoderInvalidError, ExtraMissingError, UsageError
from pathsearch.nouns import Array

if TYPE_CHECKING:
    from pathsearch.encoders.conv_autoencoder import Backbone
    from pathsearch.encoders.folded import FoldedBackbone
    from pathsearch.encoders.loading import Precision
    from pathsearch.encoders.openvino_backend import Features

#: Patches a forward pass. Fixed, and filled up where there are fewer: the arithmetic of
#: a patch then never depends on its company, so vectors are identical whatever the
#: division of the work.
BATCH = 32

#: Also a device: OpenVINO on the CPU.
OPENVINO = "openvino"
#: Least cosine between vectors of the accelerator and of torch in the same precision.
_AGREEMENT = 0.99

_log = logging.getLogger(__name__)

_BACKBONE = "backbone."
_POST = "post."


class ConvEncoder:
    """An `Encoder` over a trained `Backbone` and a fitted `Whitening`.

    Parameters
    ----------
    config : EncoderConfig
    tensors : dict of str to array
        ``backbone.*`` (the state of `Backbone`) and ``post.mean``, ``post.scale``,
        ``post.projection``.
    device, precision : str
        See `pathsearch.encoders.load_encoder`.

    Raises
    ------
    EncoderInvalidError
        The tensors do not fit the architecture.
    """

    def __init__(
        self,
        config: EncoderConfig,
        tensors: dict[str, Array],
        *,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> None:
        import torch

        from pathsearch.encoders.folded import FoldedBackbone

        self.config = config.model_copy(update={"fingerprint": fingerprint(config, tensors)})
        self._tensors = tensors
        self._post = _whitening(config, tensors)
        self.device = pick_device("cpu" if device == OPENVINO else device)
        self.dtype = pick_dtype(precision, self.device)
        network = FoldedBackbone(_network(config, tensors), config.mean, config.std)
        self._accelerated = self._accelerator(network, device)
        network.to(device=self.device, dtype=self.dtype)
        # torch's own stub of `to` does not know memory_format without a tensor.
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._lock = threading.Lock()
        if self._accelerated is not None and not self._agrees():
            self._accelerated = None

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", precision: Precision = "auto") -> Self:
        """From a saved folder.

        Raises
        ------
        EncoderNotFoundError, EncoderInvalidError
        """
        config, tensors = read_encoder(folder)
        return cls(config, tensors, device=device, precision=precision)

    @property
    def name(self) -> str:
        """How it is called in messages and in the library."""
        return self.config.name

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.config.dim

    @property
    def input_px(self) -> int:
        """Width and height of the patches that it was made for."""
        return self.config.input_px

    @property
    def mpp_range(self) -> tuple[float, float]:
        """Resolutions it was trained on, µm per pixel."""
        return self.config.mpp_range

    @property
    def fingerprint(self) -> str:
        """Hex digest over weights and preprocessing."""
        return self.config.fingerprint

    @property
    def copyable(self) -> bool:
        """Whether its licence permits a copy inside a library."""
        return self.config.copyable

    @property
    def precision(self) -> str:
        """What it computes in here: ``float32`` or ``bf16``."""
        return "float32" if str(self.dtype) == "torch.float32" else "bf16"

    @property
    def runtime(self) -> str:
        """What computes in here: ``torch`` or ``openvino``."""
        return "torch" if self._accelerated is None else OPENVINO

    def save(self, folder: str) -> None:
        """Write ``config.json`` and ``weights.safetensors``."""
        write_encoder(Path(folder), self.config, self._tensors)

    def backbone(self) -> Backbone:
        """The network as it was trained, float32, on the CPU: to be trained on."""
        return _network(self.config, self._tensors)

    def features(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Pooled features, before the whitening.

        Parameters
        ----------
        pixels : uint8 array, shape (n, h, w, 3), RGB

        Returns
        -------
        float32 array, shape (n, features)
        """
        pixels = _checked(pixels)
        if pixels.shape[1:3] != (self.input_px, self.input_px):
            pixels = resize_area(pixels, self.input_px)
        out = np.empty((len(pixels), len(self._post.mean)), dtype=np.float32)
        for start in range(0, len(pixels), BATCH):
            part = pixels[start : start + BATCH]
            out[start : start + len(part)] = self._forward(part)
        return out

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
        """
        features = self.features(pixels)
        out = np.empty((len(features), self.dim), dtype=np.float32)
        # The projection in fixed batches too: BLAS sums in another order for other sizes.
        for start in range(0, len(features), BATCH):
            part = features[start : start + BATCH]
            full = np.zeros((BATCH, features.shape[1]), dtype=np.float32)
            full[: len(part)] = part
            out[start : start + len(part)] = self._post.apply(full, _product)[: len(part)]
        return out

    def _forward(self, part: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """One padded batch through the network."""
        full = np.ascontiguousarray(part)
        if len(part) < BATCH or not full.flags.writeable:  # torch warns of read-only arrays
            full = np.zeros((BATCH, *part.shape[1:]), dtype=np.uint8)
            full[: len(part)] = part
        if self._accelerated is not None:
            with self._lock:
                return self._accelerated(full)[: len(part)]
        return self._in_torch(full)[: len(part)]

    def _in_torch(self, full: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """A whole batch through torch."""
        import torch

        from pathsearch.encoders.conv_autoencoder import pooled

        # uint8 values are exact in bfloat16; the preprocessing is folded into the stem.
        with torch.inference_mode(), self._lock:
            x = torch.from_numpy(full).to(self.device)
            maps = self._network(x.permute(0, 3, 1, 2).to(self.dtype))
            features = pooled(maps, self.config.architecture)
        return features.cpu().numpy()

    def _accelerator(self, network: FoldedBackbone, device: str) -> Features | None:
        """The network in OpenVINO, where that is wanted and installed."""
        from pathsearch.encoders.openvino_backend import compiled_features, is_installed

        if device == OPENVINO and not is_installed():
            raise ExtraMissingError(
                "OpenVINO is not installed: pip install 'napari-pathsearch[openvino]', or use "
                "another device.",
                extra=OPENVINO,
            )
        wanted = device == OPENVINO or (device == "auto" and self.device.type == "cpu")
        if not wanted or not is_installed():
            return None
        try:
            return compiled_features(
                network,
                self.config.architecture.pooled_stages,
                batch=BATCH,
                input_px=self.input_px,
                precision=self.precision,
            )
        except (RuntimeError, ValueError, TypeError, ImportError, AttributeError) as error:
            # Another version of OpenVINO, or a processor that it does not know: torch does it.
            _log.warning("OpenVINO is not used: %s", " ".join(str(error).split()))
            return None

    def _agrees(self) -> bool:
        """Whether the accelerator gives the vectors that torch gives, on made-up patches."""
        assert self._accelerated is not None
        random = np.random.default_rng(0)
        coarse = random.integers(60, 250, (BATCH, 8, 8, 3), dtype=np.uint8)
        pixels = resize_area(coarse, self.input_px)
        ours = self._post.apply(self._accelerated(pixels))
        theirs = self._post.apply(self._in_torch(pixels))
        cosine = float((ours * theirs).sum(axis=1).min())
        if cosine > _AGREEMENT:
            return True
        _log.warning("OpenVINO is not used: its vectors differ from torch's (%.4f).", cosine)
        return False


def _product(
    left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """In torch: numpy's BLAS has threads of its own, which then wait beside torch's."""
    import torch

    with torch.inference_mode():
        return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()


def _checked(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
        raise UsageError(
            f"Patches must be uint8 of shape (n, h, w, 3), not {pixels.dtype} {pixels.shape}."
        )
    return pixels


def resize_area(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Patches brought to `size` x `size`: area filter when shrinking, bicubic when enlarging.

    The shorter side is scaled to `size` and the longer one cut evenly at both ends.

    Parameters
    ----------
    pixels : uint8 array, shape (n, h, w, 3)
    size : int

    Returns
    -------
    uint8 array, shape (n, size, size, 3)
    """
    from PIL import Image

    _, height, width, _ = pixels.shape
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    how = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    box = (left, top, left + side, top + side)
    out = np.empty((len(pixels), size, size, 3), dtype=np.uint8)
    for place, patch in enumerate(pixels):
        out[place] = np.asarray(Image.fromarray(patch).resize((size, size), how, box=box))
    return out


def _whitening(config: EncoderConfig, tensors: dict[str, Array]) -> Whitening:
    from pathsearch.encoders.conv_autoencoder import feature_count

    try:
        post = Whitening(*(tensors[_POST + n] for n in ("mean", "scale", "projection")))
    except KeyError as error:
        raise EncoderInvalidError(f"The weights lack {error}: not a whole encoder.") from None
    count = feature_count(config.architecture)
    shapes = (post.mean.shape, post.scale.shape, post.projection.shape)
    if shapes != ((count,), (count,), (count, config.dim)):
        raise EncoderInvalidError(
            f"The weights' projection {shapes[2]} does not fit the architecture "
            f"({count} features to {config.dim})."
        )
    return post


def _network(config: EncoderConfig, tensors: dict[str, Array]) -> Backbone:
    """The backbone with its weights, in float32, in evaluation mode."""
    import torch

    from pathsearch.encoders.conv_autoencoder import Backbone

    # Without memory and without drawing random numbers: every tensor is assigned below.
    with torch.device("meta"):
        network = Backbone(config.architecture)
    state = {}
    for name, value in tensors.items():
        if name.startswith(_BACKBONE):
            tensor = torch.from_numpy(np.array(value))
            tensor = tensor.float() if tensor.is_floating_point() else tensor
            state[name.removeprefix(_BACKBONE)] = tensor
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise EncoderInvalidError(f"The weights do not fit the architecture: {reason}") from None
    return network.eval()


def tensors_of(backbone: Backbone, whitening: Whitening) -> dict[str, Array]:
    """What `ConvEncoder` is made of, from a trained network.

    Convolution weights are rounded to float16, which halves the files and changes no
    vector by more than bfloat16 arithmetic does; everything else stays float32.
    """
    out: dict[str, Array] = {}
    for name, tensor in backbone.state_dict().items():
        value = tensor.detach().cpu().numpy()
        if value.ndim == 4:
            value = value.astype(np.float16)
        out[_BACKBONE + name] = value
    out[_POST + "mean"] = whitening.mean
    out[_POST + "scale"] = whitening.scale
    out[_POST + "projection"] = whitening.projection
    return out


def untrained(config: EncoderConfig, seed: int = 0, **how: Any) -> ConvEncoder:
    """An encoder with random weights: the floor that a trained one must beat.

    Parameters
    ----------
    config : EncoderConfig
        Architecture, dimension and preprocessing.
    seed : int
    **how
        `device` and `precision`.
    """
    import torch

    from pathsearch.encoders.conv_autoencoder import Backbone, feature_count

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Backbone(config.architecture)
    count = feature_count(config.architecture)
    random = np.random.default_rng(seed)
    projection = random.normal(size=(count, config.dim)) / np.sqrt(config.dim)
    whitening = Whitening(
        np.zeros(count, np.float32), np.ones(count, np.float32), projection.astype(np.float32)
    )
    return ConvEncoder(config, tensors_of(backbone, whitening), **how)
