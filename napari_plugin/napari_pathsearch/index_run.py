"""What is indexed from the viewer, and the words for what came of it.

``pathsearch index`` runs in a process of its own. What it commits is seen in the library at
once, slide by slide. Stopping it loses nothing: the same command goes on where it was; so
pausing is stopping, and going on is starting again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Slides that are named where several cannot be read.
_NAMED = 8


@dataclass(frozen=True)
class Order:
    """What is to be indexed.

    Attributes
    ----------
    slides : tuple of Path
        Folders and files.
    library : Path
        Made where it is missing.
    spec_mpp : float or None
        µm per pixel to search at; None for a library that is there.
    manifest : Path or None
    mpp : float or None
        µm per level-0 pixel of slides that do not say; None leaves them out.
    """

    slides: tuple[Path, ...]
    library: Path
    spec_mpp: float | None = None
    manifest: Path | None = None
    mpp: float | None = None

    def words(self) -> list[str]:
        """The command's arguments."""
        words = ["index", *(str(path) for path in self.slides), "--library", str(self.library)]
        if self.spec_mpp is not None:
            words += ["--spec-mpp", f"{self.spec_mpp:g}"]
        if self.manifest is not None:
            words += ["--manifest", str(self.manifest)]
        if self.mpp is not None:
            words += ["--mpp", f"{self.mpp:g}"]
        return words


def plan_in_words(plan: dict[str, Any]) -> str:
    """What ``--plan`` measured, in lines for the user."""
    failed = plan.get("failed", [])
    lines = [
        f"{plan['found']:,} slides found: {plan['to_read']:,} to index, "
        f"{plan['unchanged']:,} in the library already, {len(failed):,} unreadable."
    ]
    if plan["to_read"]:
        lines.append(
            f"About {plan['patches']:,} patches (counted on {plan['counted_on']:,} slides), "
            f"{size_in_words(plan['bytes'])} of disk ({size_in_words(plan['free_bytes'])} free)."
        )
    if plan["seconds"]:
        lines.append(
            f"About {time_in_words(plan['seconds'])}, at the {plan['patches_per_second']:.0f} "
            "patches a second that this machine just did."
        )
    return "\n".join(lines + _faults_in_words(failed))


def _faults_in_words(failed: list[dict[str, Any]]) -> list[str]:
    """Slides that cannot be indexed; what the dialog itself can mend is said once."""
    silent = [f["slide_id"] for f in failed if f["code"] == "mpp-missing"]
    others = [f for f in failed if f["code"] != "mpp-missing"]
    lines = []
    if silent:
        named = ", ".join(silent[:_NAMED]) + (" …" if len(silent) > _NAMED else "")
        lines.append(f"✕ No resolution in the file: {named}. Give it above.")
    lines += [f"✕ {f['slide_id']}: {f['message']}" for f in others[:_NAMED]]
    if len(others) > _NAMED:
        lines.append(f"… and {len(others) - _NAMED} more.")
    return lines


def size_in_words(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            digits = 0 if count >= 10 or unit == "bytes" else 1
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def time_in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
