"""Which device, which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pathsearch.errors import UsageError

if TYPE_CHECKING:
    import torch

    from pathsearch.encoders.loading import Precision


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AMX or AVX-512 BF16).

    Without such units torch emulates bfloat16, which is slower than float32.
    """
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        found = capabilities()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return any(
        bool(getattr(torch.cpu, name, bool)())
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )


def pick_device(device: str) -> torch.device:
    """The torch device of a user's word.

    Raises
    ------
    UsageError
        There is no such device, or this build of torch does not see it.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(
            f"Device {device!r} is not available here; use auto, cpu, cuda or mps.", device=device
        ) from None
    return found


def pick_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """float32 or bfloat16 for `device`.

    MPS always computes in float32: its bfloat16 depends on the version of macOS.
    """
    import torch

    if device.type == "mps" or precision == "float32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and cpu_has_bf16():
        return torch.bfloat16
    return torch.float32
