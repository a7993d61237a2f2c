"""The format as others read it: the page that describes it, and libraries of the past."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_cases import COARSE, ENCODER, SPEC, grid, put, slide, unit_vectors

from pathsearch.library import FORMAT_VERSION, Library
from pathsearch.library.schema import SCHEMA
from pathsearch.maintenance import repair

PAGE = Path(__file__).parents[3] / "docs" / "library-format.md"
DATA = Path(__file__).parents[2] / "data"


def test_the_page_s_example_reads_a_library(library: Library, tmp_path: Path) -> None:
    with library.writer() as writer:
        put(writer, slide("a/b.svs"), 5000)
        put(writer, slide("a/b.svs"), 3, spec=COARSE)
        put(writer, slide("gone"), 5)
        writer.put_empty(slide("empty"), SPEC)
        writer.remove_slides(["gone"])
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert "pathsearch" not in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    command = [sys.executable, "-W", "error", "-c", code, str(library.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"a/b.svs {SPEC.name}: 5000 patches of 448 px, first at [0, 0]",
        f"a/b.svs {COARSE.name}: 3 patches of 448 px, first at [0, 0]",
    ]


def test_the_page_names_every_table_and_column() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"# The library on disk, format {FORMAT_VERSION}" in text
    for table, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", SCHEMA, re.DOTALL):
        assert f"**{table}**" in text
        for column in re.findall(r"^    (\w+) ", body, re.MULTILINE):
            assert f"`{column}`" in text, f"{table}.{column}"


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
@pytest.mark.parametrize("read_only", [None, True])
def test_a_library_of_every_version_opens(
    tmp_path: Path, version: int, read_only: bool | None
) -> None:
    """Kept for ever: what users have on their disks must go on working."""
    archive = DATA / f"library-v{version}.zip"
    assert archive.stat().st_size < 60_000
    with zipfile.ZipFile(archive) as kept:
        kept.extractall(tmp_path)
    place = tmp_path / "kept.pathsearch"
    if version < FORMAT_VERSION:
        repair(place)
    with Library.open(place, read_only=read_only) as library:
        assert library.verify(deep=True) == []
        assert library.encoder == replace(ENCODER, storage="copy")
        assert library.encoder_source() == place / "encoder"
        assert set(library.specs) == {SPEC.name, COARSE.name}
        statuses = {s.slide_id: s.status for s in library.slides("all")}
        assert statuses == {
            "a/b.svs": "indexed",
            "bad.svs": "failed",
            "blank.svs": "empty",
            "c.tiff": "indexed",
            "elsewhere.svs": "indexed",
            "gone.svs": "removed",
        }
        record = library.slide("a/b.svs")
        assert (record.case_id, record.bounds, record.metadata) == (
            "case-1",
            (0, 0, 9, 9),
            {"stain": "H&E"},
        )
        assert library.slide("bad.svs").error_code == "mpp-missing"
        rows = [(s.number, s.slide_id, s.rows) for s in library.segments()]
        assert rows == [
            (1, "a/b.svs", 6),
            (2, "a/b.svs", 2),
            (4, "c.tiff", 4),
            (5, "blank.svs", 0),
            (7, "elsewhere.svs", 3),
        ]
        arrays = library.read_segment(library.segments()[0])
        np.testing.assert_array_equal(arrays.coords, grid(6))
        np.testing.assert_array_equal(arrays.vectors, unit_vectors(6).astype(np.float16))
        scales = library.read_segment(library.segments()[-1]).scales
        assert scales is not None
        assert scales.tolist() == [2, 2, 2]
        assert library.thumbnail("a/b.svs") == b"\xff\xd8\xff"
        assert library.roots() == {"archive": "/archive/slides"}
        assert library.runs()[0].counts == {"indexed": 2}
        assert library.run_log(1)[0].message == "mpp-missing: no mpp"
