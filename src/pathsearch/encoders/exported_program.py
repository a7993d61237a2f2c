"""Programs of `torch.export` (``.pt2``), loaded without unpickling anything.

torch reads such archives with pickle in several places: tensors that it could not store
plainly, constants that are no tensors, the sample inputs when they do not load safely, and
compiled libraries; and it evaluates expressions of sizes as text. Whoever makes a file could
have code run by it. So the archive is looked through first, and refused unless it holds plain
tensors and operators of torch only.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.encoders.conv_encoder import BATCH
from pathsearch.encoders.devices import pick_device
from pathsearch.encoders.foreign import ForeignEncoder, read_foreign
from pathsearch.errors import EncoderInvalidError, UsageError
from pathsearch.nouns import Encoder

__all__ = ["check_archive", "load_exported"]

#: Members of an archive, below its own top folder, as `torch.export.save` writes them.
_MEMBERS = re.compile(
    r"(data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|models/model\.json"
    r"|archive_format|archive_version|byteorder|version|\.data/\w+)"
)
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|higher_order)\.[\w.]+|math\.\w+|torch\.sym_\w+"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|neg|pow|pos|getitem|and_|or_|not_"
    r"|eq|ne|lt|le|gt|ge)"
)
#: Sizes, as sympy writes them: symbols such as s77, numbers, arithmetic. No dot and no
#: underscore, so that nothing else can be reached from here.
_EXPRESSION = re.compile(
    r"([\s\d+\-*/%(),<>=]|\b[su]\d+\b|'[su]\d+'|\b(Symbol|Integer|Rational|Add|Mul|Pow|Max|Min"
    r"|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|ModularIndexing|Eq|Ne|Le|Lt|Ge|Gt|And|Or|Not"
    r"|positive|nonnegative|integer|True|False|true|false)\b)*"
)
#: Largest member that is read into memory to be looked at, bytes.
_MOST = 2 * 10**9


def load_exported(argument: str, device: str, precision: str) -> Encoder:
    """Loader of ``.pt2`` files and of folders of kind ``pt2``.

    Parameters
    ----------
    argument : str
        The file, or the folder. Settings: see `pathsearch.encoders.foreign`. The program
        takes one tensor: float32 (n, 3, h, w), or uint8 (n, h, w, 3) where the settings
        say ``"layout": "nhwc-uint8"``.
    device : str
        Another than the CPU moves the program there.
    precision : str
        ``bf16`` is refused: the file decides.

    Raises
    ------
    EncoderInvalidError
        The file is no such program, could run code, or takes no pictures.
    """
    import torch

    path, config = read_foreign(argument, "pt2")
    if precision == "bf16":
        raise UsageError(f"{path}: an exported program computes as it was exported; no bf16.")
    check_archive(path)
    where = pick_device("cpu" if device == "openvino" else device)
    try:
        program = torch.export.load(str(path))
        if where.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, where)
        network = program.module()
    except Exception as error:  # noqa: BLE001  torch raises many kinds here
        raise _refused(path, f"does not load: {' '.join(str(error).split())[:200]}") from None
    shape = _input_shape(program)
    config = config.model_copy(update={"input_px": config.input_px or _side(shape) or 224})
    batch = shape[0] if shape and isinstance(shape[0], int) else BATCH

    def run(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.inference_mode():
            out = network(torch.from_numpy(np.ascontiguousarray(pixels)).to(where))
        out = out[0] if isinstance(out, tuple | list) else out
        return np.asarray(out.float().cpu().numpy())

    return ForeignEncoder(path, config, run, batch=batch)


def check_archive(path: Path) -> None:
    """Refuse an archive whose loading could run code.

    Raises
    ------
    EncoderInvalidError
        It holds more than plain tensors and torch's own operators, or is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {_below_top(info.filename): info for info in archive.infolist()}
            strange = [name for name in members if not _MEMBERS.fullmatch(name)]
            if strange or len(members) != len(archive.infolist()):
                what = strange[0] if strange else "a member twice"
                raise _refused(path, f"holds {what}, which is not read; export it again")
            for name in ("data/weights", "data/constants"):
                kind = name.rpartition("/")[2]
                config = _json(path, archive, members, f"{name}/model_{kind}_config.json")
                _check_payloads(path, config)
            _check_graph(path, _json(path, archive, members, "models/model.json"))
            sample = members.get("data/sample_inputs/model.pt")
            if sample is not None:
                _check_sample(path, _read(path, archive, sample))
    except (OSError, zipfile.BadZipFile) as error:
        raise _refused(path, f"is not a program of torch.export ({error})") from None


def _refused(path: Path, why: str) -> EncoderInvalidError:
    return EncoderInvalidError(f"{path}: {why}.", spec=str(path))


def _below_top(name: str) -> str:
    return name.partition("/")[2]


def _read(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > _MOST:
        raise _refused(path, f"its member {info.filename} is too large to be checked")
    return archive.read(info)


def _json(
    path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str
) -> Any:
    if name not in members:
        raise _refused(path, f"lacks {name}; export it again with a recent torch")
    try:
        return json.loads(_read(path, archive, members[name]))
    except ValueError:
        raise _refused(path, f"its {name} is damaged") from None


def _check_payloads(path: Path, config: Any) -> None:
    """Only tensors that are stored plainly."""
    for key, value in _pairs(config):
        plain = (key != "use_pickle" or value is False) and (
            key != "path_name" or re.fullmatch(r"(weight|tensor)_\d+", str(value))
        )
        if not plain:
            raise _refused(path, "holds pickled objects, which are never loaded")


def _check_graph(path: Path, graph: Any) -> None:
    """Only torch's own operators, and sizes that are arithmetic."""
    for key, value in _pairs(graph):
        if key == "target" and isinstance(value, str) and not _OPERATORS.fullmatch(value):
            raise _refused(path, f"calls {value!r}, which is not one of torch's own operators")
        expression = isinstance(value, str) and key == "expr_str"
        if expression and not _EXPRESSION.fullmatch(value):
            raise _refused(path, f"holds {value!r} as a size")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of nested JSON."""
    stack = [value]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            yield from here.items()
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)


def _check_sample(path: Path, raw: bytes) -> None:
    """Refuse inputs that do not load safely: torch would fall back to unpickling anything."""
    import torch

    try:
        torch.load(io.BytesIO(raw), weights_only=True)
    except Exception:  # noqa: BLE001  whatever it is, the fallback would be worse
        raise _refused(path, "its sample inputs are more than tensors") from None


def _input_shape(program: Any) -> list[Any]:
    """Shape of the one input; sizes that are free are not int."""
    names = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.name in names and "val" in node.meta:
            return [s if type(s) is int else None for s in node.meta["val"].shape]
    return []


def _side(shape: list[Any]) -> int:
    """Height and width of the pictures, where the program fixes them."""
    if len(shape) != 4:
        return 0
    side = shape[2]  # of (n, 3, h, w) the height, of (n, h, w, 3) the width
    return side if isinstance(side, int) else 0
