"""`verify --deep` encodes a sample again: vectors that are not their patches' are found."""

from __future__ import annotations

import pytest

from pathsearch.cli import main
from pathsearch.config import IndexSettings
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.run import open_or_create
from pathsearch.library import Library
from pathsearch.maintenance import reencode_sample
from pathsearch.testing import PlainEncoder, make_slide

ENCODER = PlainEncoder()


def changed():
    """Says that it is the library's encoder, and gives other vectors."""
    other = PlainEncoder(seed=1)
    other.fingerprint = ENCODER.fingerprint
    return other


@pytest.fixture
def use(monkeypatch):
    def give(encoder):
        monkeypatch.setattr("pathsearch.encoders.load_encoder", lambda *_, **__: encoder)

    give(ENCODER)
    return give


@pytest.fixture
def path(tmp_path, use):
    folder = tmp_path / "slides"
    folder.mkdir()
    for name, seed in (("a.tiff", 0), ("b.tiff", 1)):
        make_slide(folder / name, size=(1500, 1300), mpp=0.5, seed=seed)
    specs = ({"mpp": 1.0}, {"mpp": 2.0, "size_px": 128})
    settings = IndexSettings(specs=specs, slides={"isolate": False})
    out = tmp_path / "lib.pathsearch"
    with open_or_create(out, settings, ENCODER, "plain") as library:
        index_slides(library, find_sources([folder], library=library), ENCODER, settings)
    return out


def test_vectors_that_are_right_agree(path):
    with Library.open(path) as library:
        found = reencode_sample(library, patches=9, slides=3)
        assert (found.patches, found.slides, found.problems) == (9, 3, ())
        assert found.least > 0.9999
        assert reencode_sample(library, patches=9, slides=3) == found


def test_vectors_of_other_pixels_are_faults(path, use, capsys):
    use(changed())
    with Library.open(path) as library:
        found = reencode_sample(library)
    assert found.least < 0.995
    assert {p.code for p in found.problems} == {"vectors-differ"}
    assert {p.slide_id for p in found.problems} == {"a.tiff", "b.tiff"}
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(path), "--deep"])
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert "a.tiff" in out
    assert "index it again" in out
    assert "encoded again" in err


def test_what_cannot_be_compared_is_a_note(path, use):
    slides = path.parent / "slides"
    (slides / "a.tiff").unlink()
    make_slide(slides / "b.tiff", size=(1500, 1300), mpp=0.5, seed=7)
    with Library.open(path) as library:
        found = reencode_sample(library)
        assert found.patches == 0
        assert {p.severity for p in found.problems} == {"note"}
        words = " ".join(p.message for p in found.problems)
        assert "not at" in words
        assert "has changed since" in words
        use(PlainEncoder(seed=1))
        other = reencode_sample(library)
    assert [p.code for p in other.problems] == ["not-encoded-again"]
    assert "is not the encoder of this library" in other.problems[0].message
