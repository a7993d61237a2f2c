"""The commands of docs/features.md run as they stand there, on small made-up files."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as parquet
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "maintenance"))

from feature_cases import clam, clam_coords, draw, features_of, trident

from pathsearch.cli import main
from pathsearch.library import Library
from pathsearch.testing import PlainEncoder

PAGE = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
ENCODERS = {"uni": PlainEncoder(), "builtin:small": PlainEncoder(seed=1)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """What the page's commands find in their folder."""
    slide = draw(tmp_path / "slides" / "a.tiff")
    vectors = features_of(slide, ENCODERS["uni"])
    trident(tmp_path / "trident" / "20x_256px" / "features_uni_v1" / "a.h5", vectors)
    clam(tmp_path / "clam_features" / "h5_files" / "a.h5", vectors)
    clam_coords(tmp_path / "clam_run" / "patches" / "a.h5")
    (tmp_path / "slides.csv").write_text("path,mpp,organ\nelsewhere/a.svs,0.5,lung\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setattr("pathsearch.encoders.load_encoder", lambda spec, **_: ENCODERS[str(spec)])
    return tmp_path


def test_the_pages_commands(place, capfd):
    commands = re.findall(r"^    pathsearch (.+)$", PAGE, re.MULTILINE)
    assert [words.split()[0] for words in commands] == [
        "import", "import", "import", "export", "export", "index",
    ]  # fmt: skip
    for words in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(words))
        said = capfd.readouterr()
        assert not ended.value.code, f"{words}: {said.err}"
        assert re.search(r"\b[1-9]\d* patches", said.err)
    with h5py.File("back/a.h5") as back, h5py.File("clam_features/h5_files/a.h5") as came:
        assert np.allclose(back["features"][:], came["features"][:], rtol=2**-11, atol=1e-6)
    named = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE.split("`--parquet` writes")[1], re.M)
    columns = [name for cell in named for name in re.findall(r"`(\w+)`", cell)]
    assert columns == parquet.read_table("vectors.parquet").column_names
    for name in ("uni", "clam", "gone", "new"):
        with Library.open(f"{name}.pathsearch") as library:
            assert [p for p in library.verify(deep=True) if p.severity == "error"] == []
            assert library.encoder.bound == (name in ("uni", "new"))
