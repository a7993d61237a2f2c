"""Manifests: what is read from them, and what is refused."""

from __future__ import annotations

import pytest

from pathsearch.errors import UsageError
from pathsearch.indexing.manifest import read_manifest


def write(folder, text, name="m.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_become_fields_and_metadata(tmp_path):
    (tmp_path / "a.svs").touch()
    text = (
        "\ufeffpath, slide_id,case_id,mpp,organ,age,block\n"
        "a.svs,S1,C1,0.25,breast,61,007\n"
        "sub/b.svs,,,,,,12\n"
    )
    first, second = read_manifest(write(tmp_path, text))
    assert first.path == (tmp_path / "a.svs").resolve()
    assert (first.slide_id, first.case_id, first.mpp) == ("S1", "C1", 0.25)
    assert first.metadata == {"organ": "breast", "age": 61, "block": "007"}
    assert second.metadata == {"block": "12"}
    assert (second.slide_id, second.mpp) == ("", None)
    assert second.path == (tmp_path / "sub/b.svs").resolve()


def test_tabs_and_decimals(tmp_path):
    rows = read_manifest(write(tmp_path, "path\tki67\na.svs\t0.5\nb.svs\t12\n", "m.tsv"))
    assert [row.metadata["ki67"] for row in rows] == [0.5, 12]


def test_a_relative_path_is_also_looked_for_in_the_named_folders(tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "a.svs").touch()
    (tmp_path / "meta").mkdir()
    manifest = write(tmp_path / "meta", "path\na.svs\n")
    assert read_manifest(manifest, [slides])[0].path == (slides / "a.svs").resolve()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs a column 'path'; it has: none"),
        ("slide,case\na,b\n", "it has: slide, case"),
        ("path,path\na,b\n", "twice"),
        ("path,mpp\na.svs,50\n", "line 2: mpp '50'"),
        ("path,mpp\na.svs,fine\n", "line 2: mpp 'fine'"),
        ("path\na.svs\na.svs\n", "line 3: path"),
        ("path,slide_id\na.svs,X\nb.svs,X\n", "line 3: slide_id 'X' is already on line 2"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path, text, says):
    with pytest.raises(UsageError, match=says):
        read_manifest(write(tmp_path, text))


def test_a_missing_manifest_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_manifest(tmp_path / "no.csv")
