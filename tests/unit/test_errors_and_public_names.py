"""The error tree, the public surface, and what an import costs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from pathsearch.errors import MppInsaneError, PathsearchError, SlideError, UsageError, all_codes

ROOT = Path(__file__).parents[2]


def test_every_code_is_drawn_documented_and_of_one_class():
    drawn = sys.modules[PathsearchError.__module__].__doc__
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    classes = list(all_codes().values())
    assert len(set(classes)) == len(classes)
    for code, cls in all_codes().items():
        assert f"`{code}`" in page, code
        assert cls.__name__ in drawn, cls


@pytest.mark.parametrize("cls", list(all_codes().values()), ids=lambda c: c.code)
def test_errors_keep_their_fields_through_pickling(cls):
    error = cls("what; do this.", path="/a b", number=3)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == "what; do this."
    assert (again.path, again.number, again.code) == ("/a b", 3, cls.code)
    with pytest.raises(AttributeError):
        _ = again.nothing


def test_slide_errors_do_not_end_a_run_and_usage_is_wrong_words():
    assert issubclass(MppInsaneError, SlideError)
    assert not issubclass(UsageError, SlideError)


def test_import_is_light_and_does_nothing():
    code = (
        "import sys, pathsearch; heavy = {'torch', 'faiss', 'zarr', 'napari', 'numpy', "
        "'openslide', 'pytorch_lightning'} & set(sys.modules); print(sorted(heavy))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_public_names_are_these():
    import pathsearch

    assert sorted(pathsearch.__all__) == [
        "Library",
        "Match",
        "Picture",
        "Point",
        "Query",
        "Region",
        "Searcher",
        "TileSpec",
        "Vector",
        "__version__",
        "find_slides",
        "index_slides",
        "load_encoder",
        "open_slide",
    ]
    for name in pathsearch.__all__:
        assert getattr(pathsearch, name) is not None
