"""From what the user typed to an encoder."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

from pathsearch.encoders.files import CONFIG_NAME, kind_of
from pathsearch.errors import EncoderInvalidError, EncoderNotFoundError
from pathsearch.nouns import Encoder

#: What `pathsearch index` uses when no encoder is named.
DEFAULT = "builtin:small"

GROUP = "pathsearch.encoders"

Precision = Literal["auto", "float32", "bf16"]

#: What an entry point of the group `pathsearch.encoders` is: called with the argument
#: (a path, or what follows ``KIND:``), a device and a precision.
EncoderLoader = Callable[[str, str, Precision], Encoder]


def load_encoder(
    spec: str | Path, *, device: str = "auto", precision: Precision = "auto"
) -> Encoder:
    """The encoder that `spec` names.

    Parameters
    ----------
    spec : str or Path
        A folder, a file, ``builtin:NAME``, or ``KIND:ARGUMENT`` of a plug-in.
    device : str
        ``auto`` (CUDA, else Apple's MPS, else the CPU, with OpenVINO where it is installed
        and agrees with torch), ``openvino``, or a torch device; ``cpu`` is torch alone.
    precision : {'auto', 'float32', 'bf16'}
        ``auto`` is bfloat16 where the processor has units for it, else float32.

    Returns
    -------
    Encoder

    Raises
    ------
    EncoderNotFoundError
        There is nothing of that name.
    EncoderInvalidError
        It is there, but does not load.
    """
    text = str(spec)
    path = Path(text).expanduser()
    if path.is_dir():
        return _load(kind_of(path), str(path), device, precision)
    kind, colon, argument = text.partition(":")
    # One letter before the colon is a drive of Windows, not a kind.
    if colon and len(kind) > 1 and not path.exists():
        return _load(kind, argument, device, precision)
    if path.is_file():
        return _load_file(path, device, precision)
    raise EncoderNotFoundError(
        f"No encoder at {text!r}: give a folder with {CONFIG_NAME}, a file of a known kind, "
        f"or one of {', '.join('builtin:' + name for name in builtin_names())}.",
        spec=text,
    )


def builtin_names() -> tuple[str, ...]:
    """The encoders that are shipped with the package, sorted."""
    root = resources.files("pathsearch.encoders") / "weights"
    if not root.is_dir():
        return ()
    return tuple(sorted(e.name for e in root.iterdir() if (e / CONFIG_NAME).is_file()))


def builtin_folder(name: str) -> Path:
    """Where a built-in encoder lies.

    Raises
    ------
    EncoderNotFoundError
    """
    if name not in builtin_names():
        known = ", ".join("builtin:" + n for n in builtin_names()) or "none"
        raise EncoderNotFoundError(
            f"There is no built-in encoder {name!r}; there are: {known}.", spec=f"builtin:{name}"
        )
    return Path(str(resources.files("pathsearch.encoders") / "weights" / name))


def load_builtin(argument: str, device: str, precision: Precision) -> Encoder:
    """Loader of ``builtin:NAME``."""
    return load_conv(str(builtin_folder(argument)), device, precision)


def load_conv(argument: str, device: str, precision: Precision) -> Encoder:
    """Loader of the folders that training writes."""
    from pathsearch.encoders.conv_encoder import ConvEncoder

    return ConvEncoder.load(Path(argument), device=device, precision=precision)


def load_tflite(argument: str, device: str, precision: Precision) -> Encoder:
    """Loader of ``.tflite`` files of MobileNet v1."""
    from pathsearch.encoders.mobilenet import MobileNetEncoder

    return MobileNetEncoder(Path(argument), device=device, precision=precision)


def load_onnx(argument: str, device: str, precision: Precision) -> Encoder:
    """Loader of ``.onnx`` files, and of folders that hold one."""
    from pathsearch.encoders import onnx_file

    return onnx_file.load_onnx(argument, device, precision)


def load_pt2(argument: str, device: str, precision: Precision) -> Encoder:
    """Loader of ``.pt2`` files (`torch.export`), and of folders that hold one."""
    from pathsearch.encoders import exported_program

    return exported_program.load_exported(argument, device, precision)


def load_timm(argument: str, device: str, precision: Precision) -> Encoder:
    """Loader of folders as timm's models are published."""
    from pathsearch.encoders import timm_folder

    return timm_folder.load_timm_folder(argument, device, precision)


#: The kinds of this package; also entry points, and here so that an uninstalled source
#: tree works.
_OWN: dict[str, EncoderLoader] = {
    "builtin": load_builtin,
    "conv-autoencoder": load_conv,
    "onnx": load_onnx,
    "pt2": load_pt2,
    "tflite": load_tflite,
    "timm": load_timm,
}


def _loaders() -> dict[str, EncoderLoader | str]:
    found: dict[str, EncoderLoader | str] = {ep.name: ep.name for ep in entry_points(group=GROUP)}
    found.update(_OWN)
    return found


def _load(kind: str, argument: str, device: str, precision: Precision) -> Encoder:
    loader = _OWN.get(kind)
    if loader is None:
        for entry in entry_points(group=GROUP, name=kind):
            loader = entry.load()
    if loader is None:
        known = ", ".join(sorted(_loaders()))
        raise EncoderNotFoundError(
            f"No plug-in loads encoders of kind {kind!r} (known: {known}).", spec=argument
        )
    return loader(argument, device, precision)


def _load_file(path: Path, device: str, precision: Precision) -> Encoder:
    kind = path.suffix.lstrip(".").lower()
    if kind not in _loaders():
        raise EncoderInvalidError(
            f"{path}: no plug-in loads encoders from files of this kind; give a folder with "
            f"{CONFIG_NAME} and weights.safetensors, or an entry point named {kind!r}.",
            spec=str(path),
        )
    return _load(kind, str(path), device, precision)
