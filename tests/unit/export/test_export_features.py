"""Vectors out again: as they came in, under safe names, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as parquet
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "maintenance"))
sys.path.insert(0, str(Path(__file__).parents[1] / "library"))

from feature_cases import LEVEL0, SIZE, clam, clam_coords, grid, made_up, trident
from library_cases import COARSE, ENCODER, SPEC, put, slide

from pathsearch.config import IndexSettings
from pathsearch.errors import LibraryWriteError, UsageError
from pathsearch.export import export_h5, export_parquet
from pathsearch.export.feature_files import file_names
from pathsearch.library import Library
from pathsearch.maintenance import Given, ImportEncoder, find_tasks, import_features

SETTINGS = IndexSettings(slides={"isolate": False})


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))


def bring(target, features, **match):
    tasks = find_tasks([features], mpp=0.5, **match)
    return import_features(target, tasks, Given(), ImportEncoder(name="uni"), settings=SETTINGS)


def test_what_came_in_goes_out_again(tmp_path):
    vectors = made_up(30, 48) * np.geomspace(1e-3, 1e3, 30, dtype=np.float32)[:, None]
    xy = np.stack([np.arange(30) * 70, np.arange(30) * 50], axis=1)
    trident(tmp_path / "f" / "a.h5", vectors, xy)
    bring(tmp_path / "l", tmp_path / "f")
    with Library.open(tmp_path / "l") as library:
        done = export_h5(library, tmp_path / "out")
        scales = library.read_segment(library.segments()[0]).scales
    assert (done.slides, done.patches, done.files) == (1, 30, 1)
    with h5py.File(tmp_path / "f" / "a.h5") as before, h5py.File(tmp_path / "out/a.h5") as after:
        came, went = before["features"][:], after["features"][:]
        assert went.dtype == came.dtype
        lengths = np.linalg.norm(came.astype(np.float64), axis=1, keepdims=True)
        assert np.allclose(scales, lengths[:, 0], rtol=1e-6)
        # Bit by bit the same unit vectors in float16, so that this is all that was lost ...
        unit = (came / lengths).astype(np.float32).astype(np.float16)
        assert np.array_equal((went / scales[:, None]).astype(np.float16), unit)
        # ... which is at most half a unit in the last place of each number
        bound = np.maximum(np.abs(came) * 2.0**-11, lengths * 2.0**-25)
        assert (np.abs(went.astype(np.float64) - came) <= bound * 1.001).all()
        assert np.array_equal(after["coords"][:], before["coords"][:])
        old, new = dict(before["coords"].attrs), dict(after["coords"].attrs)
        assert {k: new[k] for k in old if k != "savetodir"} == {
            k: v for k, v in old.items() if k != "savetodir"
        }
        assert "savetodir" not in new
        assert new["level0_mpp"] == 0.5
    # and comes in once more, without any word on size or resolution
    tasks = find_tasks([tmp_path / "out"])
    import_features(tmp_path / "m", tasks, Given(), ImportEncoder(name="uni"), settings=SETTINGS)
    with Library.open(tmp_path / "l") as one, Library.open(tmp_path / "m") as other:
        (a,), (b,) = one.segments(), other.segments()
        assert (a.footprint, a.mpp, a.rows) == (b.footprint, b.mpp, b.rows)
        assert np.allclose(one.read_segment(a).vectors, other.read_segment(b).vectors, atol=1e-3)


def test_half_precision_stays_half_precision(tmp_path):
    trident(tmp_path / "f" / "a.h5", made_up().astype(np.float16))
    bring(tmp_path / "l", tmp_path / "f")
    with Library.open(tmp_path / "l") as library:
        export_h5(library, tmp_path / "out")
    with h5py.File(tmp_path / "f" / "a.h5") as before, h5py.File(tmp_path / "out/a.h5") as after:
        assert after["features"].dtype == np.float16
        assert np.allclose(after["features"][:], before["features"][:], rtol=2**-9, atol=1e-5)


def test_clams_attributes_come_back(tmp_path):
    clam(tmp_path / "h5_files" / "a.h5", made_up())
    clam_coords(tmp_path / "run" / "a.h5")
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,width,height\na.svs,{SIZE[0]},{SIZE[1]}\n")
    from pathsearch.indexing.manifest import read_manifest

    rows = read_manifest(manifest)
    bring(tmp_path / "l", tmp_path / "h5_files", coords=tmp_path / "run", manifest=rows)
    with Library.open(tmp_path / "l") as library:
        export_h5(library, tmp_path / "out")
    with h5py.File(tmp_path / "out" / "a.h5") as file:
        attributes = dict(file["coords"].attrs)
        assert attributes["patch_level"] == 1
        assert attributes["patch_size_level0"] == LEVEL0
        assert attributes["downsample"].tolist() == [2.0, 2.0]
        assert np.array_equal(file["coords"][:], grid())


@pytest.fixture
def library(tmp_path):
    """Two slides at two magnifications, encoded here."""
    path = tmp_path / "own.pathsearch"
    with Library.create(path, specs=[SPEC, COARSE], encoder=ENCODER) as made:
        with made.writer() as writer:
            for number, name in enumerate(["x/a.svs", "b.svs"]):
                put(writer, slide(name, case_id=f"C{number}"), 6, seed=number)
            put(writer, slide("b.svs", case_id="C1"), 4, seed=9, spec=COARSE)
        yield made


def test_own_vectors_and_several_magnifications(library, tmp_path):
    done = export_h5(library, tmp_path / "out")
    assert (done.slides, done.patches, done.files) == (2, 16, 3)
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.h5")}
    assert names == {f"{SPEC.name}/x/a.h5", f"{SPEC.name}/b.h5", f"{COARSE.name}/b.h5"}
    with h5py.File(tmp_path / "out" / COARSE.name / "b.h5") as file:
        assert np.allclose(np.linalg.norm(file["features"][:], axis=1), 1, atol=1e-6)
        assert file["coords"].attrs["level0_width"] == 100_000
        assert file["tissue"].shape == (4,)
    assert export_h5(library, tmp_path / "one", spec=COARSE.name).patches == 4


def test_nothing_is_written_over(library, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        export_h5(library, tmp_path / "full")
    with pytest.raises(UsageError, match="exists"):
        export_parquet(library, tmp_path / "full" / "mine")
    with pytest.raises(UsageError, match="no spec 'x'"):
        export_parquet(library, tmp_path / "t.parquet", spec="x")
    assert (tmp_path / "full" / "mine").read_text() == "mine"


def test_no_id_leads_out_of_the_folder_and_none_clash():
    ids = ["../../etc/a.svs", "/abs.svs", "a.svs", "a.tiff", "C:\\x.svs", "d/.h.svs", "A.ndpi"]
    names = file_names(ids)
    assert len({n.as_posix().casefold() for n in names.values()}) == len(ids)
    for name in names.values():
        assert not name.is_absolute()
        assert not any(part.startswith(".") for part in name.parts)
        assert not any(c in name.as_posix() for c in ':\\"')
        assert name.suffix == ".h5"


def test_one_table_of_keys_and_vectors(library, tmp_path):
    done = export_parquet(library, tmp_path / "t.parquet")
    assert (done.slides, done.patches) == (2, 16)
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column_names == [
        "slide_id", "case_id", "spec", "x", "y", "footprint", "mpp", "tissue", "scale", "vector",
    ]  # fmt: skip
    assert table.schema.metadata[b"pathsearch.encoder_fingerprint"] == b"ab" * 32
    row = 0
    for segment in library.segments():
        held = library.read_segment(segment)
        for number in range(len(held)):
            line = {name: table[name][row].as_py() for name in table.column_names}
            assert (line["slide_id"], line["spec"]) == (segment.slide_id, segment.spec)
            assert (line["x"], line["y"]) == tuple(held.coords[number])
            assert (line["footprint"], line["mpp"], line["scale"]) == (448, 0.25, None)
            unit = held.vectors[number].astype(np.float32) / held.norms[number]
            assert np.array_equal(np.asarray(line["vector"], np.float32), unit)
            row += 1
    assert row == table.num_rows


def test_a_failed_export_leaves_no_half_file(library, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathsearch.export.parquet._table", fail)
    with pytest.raises(LibraryWriteError, match="disk is full"):
        export_parquet(library, tmp_path / "out" / "t.parquet")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("module", "extra"), [("h5py", "features"), ("pyarrow", "parquet")])
def test_a_missing_extra_is_named(module, extra, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        f"sys.modules[{module!r}] = None\n"
        "from pathsearch.export import export_h5, export_parquet\n"
        "from pathsearch.errors import ExtraMissingError\n"
        f"write = {'export_h5' if module == 'h5py' else 'export_parquet'}\n"
        "try:\n    write(None, Path('x'))\n"
        "except ExtraMissingError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"napari-pathsearch[{extra}]" in ran.stdout
