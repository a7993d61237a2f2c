"""The blocks of docs/python.md run as they stand there, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pathsearch.testing import make_slide

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_pages_program(tmp_path, monkeypatch, capsys):
    (tmp_path / "slides").mkdir()
    for seed, name in enumerate("abc"):
        make_slide(tmp_path / "slides" / f"{name}.tiff", size=(2600, 2200), mpp=0.5, seed=seed)
    table = ["path,case_id,organ", "slides/a.tiff,A,skin", "slides/b.tiff,B,skin"]
    (tmp_path / "slides.csv").write_text("\n".join([*table, "slides/c.tiff,C,lung"]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert len(blocks) == 9
    assert names["report"].patches > 60
    assert not names["report"].of("failed")
    # What the page says of each block
    first, answer, second, found = (names[n] for n in ("first", "answer", "second", "found"))
    assert {m.key.slide_id for m in answer.matches} <= {"c.tiff"}  # cases A and B are the query's
    assert answer.matches
    assert len(first.matches) == len(second.matches) == 8
    assert "turned by" in second.notes[-1]
    assert np.nanmax(found.values) > 0.3
    assert [m.key for m in names["again"].matches] == [m.key for m in first.matches]
    said = capsys.readouterr().out
    assert "cases: skin" in said
    assert "compared with every patch" in said
