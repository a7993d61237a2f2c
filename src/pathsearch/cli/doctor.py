"""`pathsearch doctor`: what is installed, what is fast, what is missing."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import Any

import click

from pathsearch import __version__
from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say

_CORE = (
    "torch",
    "pytorch-lightning",
    "faiss-cpu",
    "zarr",
    "openslide-python",
    "openslide-bin",
    "numpy",
    "tifffile",
    "imagecodecs",
    "pillow",
    "scipy",
    "shapely",
    "pydantic",
)
_EXTRAS = {
    "napari": "napari",
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "timm": "timm",
    "formats": "wsidicom",
}


@click.command("doctor")
@json_option
@verbose_option
def doctor_command(as_json: bool) -> int:
    """Show what is installed, what is fast here, and what is missing.

    Exit status 1 where something that every command needs is missing.
    """
    facts = gather()
    if as_json:
        print_json(facts)
    else:
        _print(facts)
    return 0 if facts["ok"] else 1


def gather() -> dict[str, Any]:
    """All that the command reports, as plain JSON values."""
    checks = [*_packages(), *_hardware(), *_parts(), *_extras()]
    return {
        "pathsearch": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "ok": all(check["state"] != "missing" for check in checks),
        "checks": checks,
    }


def _check(name: str, state: str, detail: str, hint: str = "") -> dict[str, str]:
    return {"name": name, "state": state, "detail": detail, "hint": hint}


def _packages() -> list[dict[str, str]]:
    checks = []
    for name in _CORE:
        try:
            checks.append(_check(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            hint = "install napari-pathsearch again"
            checks.append(_check(name, "missing", "not installed", hint))
    return checks


def _hardware() -> list[dict[str, str]]:
    checks = [_check("processor", "ok", f"{os.cpu_count()} cores")]
    try:
        import torch

        from pathsearch.encoders.devices import cpu_has_bf16
    except Exception as error:  # noqa: BLE001  a broken native library must not end the report
        reason = f"{type(error).__name__}: {error}"
        return [*checks, _check("torch loads", "missing", reason, "install torch again")]
    bf16 = cpu_has_bf16()
    checks.append(
        _check(
            "bfloat16 units",
            "ok" if bf16 else "slow",
            "yes" if bf16 else "no: encoding runs in float32",
        )
    )
    if torch.cuda.is_available():
        checks.append(_check("GPU", "ok", torch.cuda.get_device_name(0)))
    else:
        checks.append(_check("GPU", "optional", "none that CUDA can use"))
    return checks


def _parts() -> list[dict[str, str]]:
    from pathsearch.encoders import DEFAULT, builtin_names

    names = builtin_names()
    default_there = DEFAULT.removeprefix("builtin:") in names
    checks = [
        _check(
            "built-in encoders",
            "ok" if default_there else "missing",
            ", ".join(names) or "none",
            "" if default_there else "install again",
        )
    ]
    for group in ("readers", "encoders", "indexes"):
        found = sorted(p.name for p in metadata.entry_points(group=f"pathsearch.{group}"))
        if found:
            checks.append(_check(group, "ok", ", ".join(found)))
    return checks


def _extras() -> list[dict[str, str]]:
    checks = []
    for extra, package in _EXTRAS.items():
        try:
            checks.append(_check(f"extra {extra}", "ok", f"{package} {metadata.version(package)}"))
        except metadata.PackageNotFoundError:
            hint = f'pip install "napari-pathsearch[{extra}]"'
            checks.append(_check(f"extra {extra}", "optional", "not installed", hint))
    return checks


def _print(facts: dict[str, Any]) -> None:
    print_table(
        ("part", "state", "what", ""),
        [(c["name"], c["state"], c["detail"], c["hint"]) for c in facts["checks"]],
    )
    say(
        f"pathsearch {facts['pathsearch']}, Python {facts['python']}, {facts['system']}: "
        + ("ready." if facts["ok"] else "something is missing.")
    )
    sys.stderr.flush()
