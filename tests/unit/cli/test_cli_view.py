"""`pathsearch view`: what can be said before a window opens."""

from __future__ import annotations

import sys

import pytest

from pathsearch.cli import main


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--slide", "a"], 2, "needs the LIBRARY"),
        (["none.pathsearch"], 1, "none.pathsearch"),
        ([], 1, "no display"),
    ],
)
def test_wrong_words_are_one_line_and_open_nothing(
    words, status, said, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(SystemExit) as ended:
        main(["view", *words])
    out, err = capsys.readouterr()
    assert ended.value.code == status
    assert said in err
    assert err.count("\n") == 1
    assert not out


def test_without_napari_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(SystemExit) as ended:
        main(["view"])
    assert ended.value.code == 1
    assert "napari-pathsearch[napari]" in capsys.readouterr().err
