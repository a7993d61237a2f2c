"""Pseudonyms for what leaves: the same name always gets the same one, and only the secret links.

What it can't promise is in ``docs/exports.md``: pixels, coordinates and what people wrote by hand
can still tell who it was.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pathsearch.errors import ReviewError
from pathsearch.library.roots import SETTINGS_VARIABLE, settings_file

_DIGITS = 10
#: Names of this length are replaced within texts too; shorter ones only as whole texts.
_IN_TEXT = 3


class Pseudonyms:
    """Replaces names; the same secret gives the same pseudonyms, on every day and machine.

    Parameters
    ----------
    secret : bytes
        Without it nobody can tell which name a pseudonym stands for, or try names out.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of_user(cls) -> Pseudonyms:
        """With this user's own secret, which is made at the first use, outside any library.

        Raises
        ------
        ReviewError
            The secret cannot be read or kept.
        """
        path = secret_file()
        try:
            if not path.exists():
                _make(path)
            secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise ReviewError(
                f"{path}: the secret of the pseudonyms cannot be used ({error}); set "
                f"{SETTINGS_VARIABLE} to a folder of your own, or restore the file.",
                path=str(path),
            ) from None
        if len(secret) < 16:
            raise ReviewError(f"{path}: is too short for a secret; restore or delete it.")
        return cls(secret)

    def name(self, kind: str, value: str) -> str:
        """What stands for a name, e.g. ``slide-0a1b2c3d4e``; empty stays empty."""
        if not value:
            return ""
        text = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._secret, text, hashlib.sha256).hexdigest()
        return f"{kind}-{digest[:_DIGITS]}"

    def metadata(self, columns: Mapping[str, Any]) -> dict[str, str]:
        """Every value of a slide's own columns replaced; equal values stay equal."""
        return {name: self.name("value", f"{name}={value}") for name, value in columns.items()}

    def text(self, text: str, names: Mapping[str, str]) -> str:
        """A text with every known name in it replaced, the longest first.

        All at once, so that no name is looked for within a pseudonym. A name of digits alone
        is not looked for within longer numbers.
        """
        if text in names:
            return names[text]
        held = [name for name in names if len(name) >= _IN_TEXT and name in text]
        if not held:
            return text
        held.sort(key=len, reverse=True)
        pattern = "|".join(
            rf"(?<![\d.,]){name}(?![.,]?\d)" if name.isdecimal() else re.escape(name)
            for name in held
        )
        return re.sub(pattern, lambda found: names[found[0]], text)

    def table(self, slides: Iterable[str], cases: Iterable[str]) -> dict[str, str]:
        """Names that may stand in a text, and what stands for them."""
        found = {}
        for slide in slides:
            masked = self.name("slide", slide)
            found[slide] = masked
            for piece in (slide.rsplit("/", 1)[-1], Path(slide).stem):
                found.setdefault(piece, masked)
        found |= {case: self.name("case", case) for case in cases if case}
        return {name: masked for name, masked in found.items() if name}


def secret_file() -> Path:
    """Where the user's secret is kept."""
    return settings_file().with_name("pseudonym-secret")


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was faster
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
