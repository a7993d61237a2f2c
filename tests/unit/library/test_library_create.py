"""Making and opening libraries: what is refused, and how."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from library_cases import COARSE, ENCODER, SPEC

from pathsearch.config import TileSpec
from pathsearch.errors import (
    LibraryCorruptError,
    LibraryExistsError,
    LibraryFormatError,
    LibraryNotFoundError,
    LibraryReadOnlyError,
    UsageError,
)
from pathsearch.library import FORMAT_VERSION, EncoderRecord, Library


def test_what_was_created_is_opened(make_library: Callable[..., Library]) -> None:
    made = make_library()
    with Library.open(made.path) as opened:
        assert opened.specs == {SPEC.name: SPEC, COARSE.name: COARSE}
        assert opened.encoder == ENCODER
        assert opened.encoder_source() == "builtin:made-up"
        assert opened.library_id == made.library_id
        assert not opened.read_only
        assert opened.slides() == []
        assert opened.segments() == []
        assert opened.verify(deep=True) == []
    assert (made.path / "library.json").exists()
    assert [p.name for p in made.path.parent.iterdir()] == [made.path.name]


def test_the_encoder_is_copied_where_it_may_be(tmp_path: Path) -> None:
    files = tmp_path / "encoder"
    files.mkdir()
    (files / "config.json").write_text("{}")
    record = EncoderRecord("e", 8, 224, (0.4, 0.6), "ff", storage="copy")
    with Library.create(
        tmp_path / "lib", specs=[SPEC], encoder=record, encoder_files=files
    ) as library:
        assert library.encoder_source() == library.path / "encoder"
        assert (library.path / "encoder" / "config.json").read_text() == "{}"
        assert library.verify() == []
        (library.path / "encoder" / "config.json").write_text("{ }")
        assert [p.code for p in library.verify()] == ["encoder-damaged"]
        (library.path / "encoder" / "config.json").unlink()
        assert [p.code for p in library.verify()] == ["encoder-damaged"]
    with pytest.raises(UsageError, match="its files are needed"):
        Library.create(tmp_path / "other", specs=[SPEC], encoder=record)


def test_nothing_that_exists_is_overwritten(
    make_library: Callable[..., Library], tmp_path: Path
) -> None:
    made = make_library()
    with pytest.raises(LibraryExistsError, match="a library is there already"):
        make_library(made.path.name)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LibraryExistsError):
        make_library("file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(LibraryExistsError):
        make_library("full")
    (tmp_path / "empty").mkdir()
    assert make_library("empty").verify() == []


def test_specs_must_make_sense(make_library: Callable[..., Library]) -> None:
    with pytest.raises(UsageError, match="at least one"):
        make_library(specs=[])
    twice = [TileSpec(mpp=0.5, name="a"), TileSpec(mpp=1.0, name="a")]
    with pytest.raises(UsageError, match="one name"):
        make_library(specs=twice)


def test_a_failed_creation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_library: Callable[..., Library]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathsearch.library.building.sync_tree", fail)
    from pathsearch.errors import LibraryWriteError

    with pytest.raises(LibraryWriteError, match="disk is full"):
        make_library()
    assert list(tmp_path.iterdir()) == []


def test_a_creation_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the catalog does not fit."""
    pytest.importorskip("resource", reason="POSIX only")
    code = """
import resource, signal, sys
from pathsearch.config import TileSpec
from pathsearch.library import EncoderRecord, Library
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
record = EncoderRecord("e", 8, 224, (0.4, 0.6), "ff")
Library.create(sys.argv[1], specs=[TileSpec()], encoder=record)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "lib")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "LibraryWriteError" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_killed_creation_does_not_open(tmp_path: Path) -> None:
    """A process that ends in the middle of `create` leaves no library at the place."""
    code = """
import os, sys
from pathlib import Path
import pathsearch.library.building as room
from pathsearch.config import TileSpec
from pathsearch.library import EncoderRecord, Library
room.write_header = lambda *_: os._exit(7)
record = EncoderRecord("e", 8, 224, (0.4, 0.6), "ff")
Library.create(Path(sys.argv[1]), specs=[TileSpec()], encoder=record)
"""
    place = tmp_path / "lib"
    done = subprocess.run([sys.executable, "-c", code, str(place)], check=False)
    assert done.returncode == 7
    with pytest.raises(LibraryNotFoundError):
        Library.open(place)


@pytest.mark.parametrize("what", ["nothing", "folder", "file", "foreign"])
def test_what_is_no_library(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "file":
        place.write_text("x")
    elif what != "nothing":
        place.mkdir()
    if what == "foreign":
        (place / "library.json").write_text('{"books": 3}')
    with pytest.raises(LibraryNotFoundError) as error:
        Library.open(place)
    assert str(place) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("version", "words"), [(FORMAT_VERSION + 1, "update"), (FORMAT_VERSION - 1, "--repair")]
)
def test_other_formats_say_what_to_do(library: Library, version: int, words: str) -> None:
    header = library.path / "library.json"
    raw = json.loads(header.read_text())
    header.write_text(json.dumps(raw | {"format_version": version}))
    with pytest.raises(LibraryFormatError, match=words):
        Library.open(library.path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: (p / "library.json").write_text("{"),
        lambda p: (p / "library.json").write_bytes(b"\xff\xfe"),
        lambda p: (p / "library.json").write_text('{"format": "pathsearch-library"}'),
        lambda p: (p / "library.json").write_text(
            (p / "library.json").read_text().replace('"made-up"', "3", 1).replace("0.4", "[]")
        ),
        lambda p: (p / "library.json").write_text(
            (p / "library.json").read_text().replace("embeddings.zarr", "../elsewhere")
        ),
        lambda p: (p / "catalog.db").unlink(),
        lambda p: (p / "catalog.db").write_bytes(b""),
        lambda p: (p / "catalog.db").write_bytes(b"not a database" * 500),
        lambda p: (p / "catalog.db").write_bytes((p / "catalog.db").read_bytes()[:6000]),
    ],
)
@pytest.mark.parametrize("read_only", [None, True])
def test_damage_is_one_clear_line(
    library: Library, damage: Callable[[Path], object], read_only: bool | None
) -> None:
    library.close()
    damage(library.path)
    with pytest.raises(LibraryCorruptError, match="restore") as error:
        Library.open(library.path, read_only=read_only).slides()
    assert "\n" not in str(error.value)


def test_a_catalog_of_another_library_is_refused(
    library: Library, make_library: Callable[..., Library]
) -> None:
    other = make_library("other")
    shutil.copy(other.path / "catalog.db", library.path / "catalog.db")
    with pytest.raises(LibraryCorruptError, match="does not belong"):
        Library.open(library.path)


def test_read_only_on_request(library: Library) -> None:
    with Library.open(library.path, read_only=True) as opened:
        assert opened.read_only
        with pytest.raises(LibraryReadOnlyError):
            opened.writer()


def test_a_copy_elsewhere_opens(library: Library, tmp_path: Path) -> None:
    shutil.copytree(library.path, tmp_path / "copy with space & ü")
    with Library.open(tmp_path / "copy with space & ü") as copy:
        assert copy.library_id == library.library_id


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, pathsearch.library as l; assert l.Library;"
        "bad = {'zarr', 'torch', 'faiss', 'scipy', 'PIL'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    import pathsearch.library as room

    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError):
        _ = room.nothing
