"""Libraries that are closed at the end, and settings that are not the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from library_cases import COARSE, ENCODER, SPEC

from pathsearch.library import Library


@pytest.fixture
def make_library(tmp_path: Path) -> Iterator[Callable[..., Library]]:
    """Makes libraries that are closed at the end."""
    made: list[Library] = []

    def make(name: str = "a.pathsearch", **more: object) -> Library:
        settings: dict[str, object] = {"specs": [SPEC, COARSE], "encoder": ENCODER} | more
        library = Library.create(tmp_path / name, **settings)  # type: ignore[arg-type]
        made.append(library)
        return library

    yield make
    for library in made:
        library.close()


@pytest.fixture
def library(make_library: Callable[..., Library], tmp_path: Path) -> Library:
    """An empty library that knows the root ``archive``."""
    made = make_library()
    (tmp_path / "slides").mkdir()
    with made.writer() as writer:
        writer.ensure_root("archive", tmp_path / "slides")
    return made


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's real settings are neither read nor written."""
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
