"""Tables, annotations, pictures, packs: what is in them, and where it points."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from dataclasses import replace
from itertools import pairwise

import export_cases as cases
import numpy as np
import pytest
from PIL import Image

from pathsearch.errors import ReviewError
from pathsearch.export.bars import draw_bars
from pathsearch.export.dossier import masked, masked_answer, of_answer, of_collection, of_review
from pathsearch.export.files import (
    COLUMNS,
    file_names,
    write_csv,
    write_geojson,
    write_parquet,
    write_patches,
    write_sheet,
)
from pathsearch.export.pack import write_pack
from pathsearch.export.page import page_of
from pathsearch.export.pictures import Pictures, with_scale_bar
from pathsearch.export.pseudonyms import Pseudonyms, secret_file
from pathsearch.review import Collections, Reviews
from pathsearch.search.slide_shares import SlideShare


@pytest.fixture
def dossier(library, answer):
    with Reviews(library, reviewer="Ada") as reviews:
        one = reviews.record(answer, title="Kept")
        keys = [m.key for m in answer.matches]
        reviews.judge(one.review, keys[:2], "accept", label="edge", note="=cmd()")
        reviews.judge(one.review, keys[2], "reject")
        return of_review(library, reviews.get(one.review))


def test_the_tables_hold_every_column_and_no_formula(dossier, tmp_path):
    write_csv(tmp_path / "t.csv", dossier)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*COLUMNS, "meta.organ", "meta.remark"]
    assert [int(row["number"]) for row in rows] == list(range(1, 13))
    assert [row["decision"] for row in rows[:4]] == ["accept", "accept", "reject", ""]
    assert rows[0]["note"] == "'=cmd()"
    assert not any(cell.startswith("=") for row in rows for cell in row.values())
    for row, item in zip(rows, dossier.items, strict=True):
        assert (int(row["x"]), int(row["y"])) == (item.footprint.x, item.footprint.y)
        assert float(row["score"]) == item.score


def test_parquet_is_the_same_table_typed(dossier, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet(tmp_path / "t.parquet", dossier)
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.schema.names == [*COLUMNS, "meta.organ", "meta.remark"]
    assert {str(table.schema.field(n).type) for n in ("x", "score", "control", "note")} == {
        "int64", "double", "bool", "string",
    }  # fmt: skip
    assert table.column("note").to_pylist()[0] == "=cmd()"
    assert table.column("score").to_pylist() == [item.score for item in dossier.items]


def test_annotations_are_geojson_as_qupath_reads_it(dossier, tmp_path, library):
    files = write_geojson(tmp_path / "g", dossier)
    assert len(files) == len({item.slide_id for item in dossier.items})
    seen, notes = 0, []
    for path in files:
        assert path.parent == tmp_path / "g"
        found = json.loads(path.read_text(encoding="utf-8"))
        assert set(found) == {"type", "features"}
        assert found["type"] == "FeatureCollection"
        slides = set()
        for feature in found["features"]:
            # RFC 7946, and what QuPath's PathObjectTypeAdapters.java reads
            assert feature["type"] == "Feature"
            assert feature["geometry"]["type"] == "Polygon"
            (ring,) = feature["geometry"]["coordinates"]
            assert len(ring) == 5
            assert ring[0] == ring[-1]
            area = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
            assert area > 0
            properties = feature["properties"]
            assert properties["objectType"] == "annotation"
            assert isinstance(properties["classification"]["name"], str)
            assert all(0 <= c <= 255 for c in properties["classification"]["color"])
            assert all(isinstance(v, int | float) for v in properties["measurements"].values())
            assert all(isinstance(v, str) for v in properties["metadata"].values())
            slides.add(properties["metadata"]["slide_id"])
            notes.append(properties["metadata"].get("ANNOTATION_DESCRIPTION"))
            seen += 1
        assert len(slides) == 1
    assert seen == 12
    assert notes.count("=cmd()") == 2
    record = library.slide(dossier.items[0].slide_id)
    assert all(x <= record.width + 448 for x, _ in ring)


def test_a_named_file_of_annotations_is_of_one_slide_only(dossier, tmp_path):
    first = dossier.items[0].slide_id
    one = replace(dossier, items=tuple(i for i in dossier.items if i.slide_id == first))
    assert write_geojson(tmp_path / "one.geojson", one) == [tmp_path / "one.geojson"]
    files = write_geojson(tmp_path / "all.geojson", dossier)
    assert not (tmp_path / "all.geojson").exists()
    assert {p.parent for p in files} == {tmp_path}
    assert len(files) == len({i.slide_id for i in dossier.items}) > 1
    assert all(p.name.startswith("all.") and p.suffix == ".geojson" for p in files)


def test_a_class_of_several_lines_is_one_line_for_qupath(dossier, tmp_path):
    odd = replace(dossier, items=(replace(dossier.items[0], label="a\n b"),))
    (path,) = write_geojson(tmp_path / "g", odd)
    (feature,) = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert feature["properties"]["classification"]["name"] == "a b"


def test_names_of_files_stay_inside_and_apart():
    names = file_names(["a/b", "a_b", "A/B", "../../etc", "<img>", "..", "", "x" * 300])
    assert len({n.casefold() for n in names.values()}) == 8
    assert all("/" not in n and not n.startswith(".") and n for n in names.values())
    assert max(map(len, names.values())) <= 104


def test_pictures_show_the_very_pixels(dossier, library, tmp_path):
    count, missing = write_patches(tmp_path / "p", library, dossier, mpp=0)
    assert (count, missing) == (12, {})
    with (tmp_path / "p" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    with Pictures(library) as pictures:
        for row, item in zip(rows, dossier.items, strict=True):
            with Image.open(tmp_path / "p" / row["file"]) as picture:
                got = np.asarray(picture)
            box = item.footprint
            slide = pictures.slide(item.source)
            np.testing.assert_array_equal(
                got, slide.read(box.x, box.y, box.width, box.height, slide.mpp)
            )
            assert (float(row["picture_mpp"]), int(row["picture_px"])) == (0.5, box.width)
    write_patches(tmp_path / "q", library, dossier, mpp=2.0, times=3, bar=True)
    with Image.open(next((tmp_path / "q").rglob("*.png"))) as picture:
        assert picture.size == (168, 168)
    with pytest.raises(ReviewError, match="coarser"):
        write_patches(tmp_path / "r", library, dossier, mpp=0.01)


def test_the_scale_bar_is_as_long_as_it_says():
    picture = with_scale_bar(Image.new("RGB", (400, 400), (200, 100, 100)), 0.5)
    pixels = np.asarray(picture)
    row = pixels[400 - 10 - 2]
    dark = np.flatnonzero((row < 40).all(axis=1))
    assert dark[-1] - dark[0] == pytest.approx(50 / 0.5, abs=1)


def test_contact_sheets_and_bars(dossier, library, searcher, answer, tmp_path):
    assert write_sheet(tmp_path / "s.png", library, dossier) == 1
    many = replace(dossier, items=dossier.items * 4)
    assert write_sheet(tmp_path / "s.pdf", library, many) == 2
    assert (tmp_path / "s.pdf").read_bytes().startswith(b"%PDF")
    shares = searcher.by_slide(answer.query, 0.5)
    picture = draw_bars(shares, title="Slides", told="why", cases=False)
    assert picture.height == 84 + 3 * 30 + 40
    assert (np.asarray(picture) == (0, 114, 178)).all(axis=2).any()


def test_a_slide_that_is_not_at_hand_has_no_picture_and_does_no_harm(
    dossier, library, tmp_path, monkeypatch
):
    from pathsearch.errors import SlideNotFoundError
    from pathsearch.library import Library

    def lost(self, slide):
        raise SlideNotFoundError(f"{slide.slide_id}: not here")

    monkeypatch.setattr(Library, "locate", lost)
    assert page_of(library, dossier).count("The slide was not at hand") == 12
    count, missing = write_patches(tmp_path / "p", library, dossier)
    assert count == 0
    assert set(missing) == {item.slide_id for item in dossier.items}
    write_sheet(tmp_path / "s.png", library, dossier)


def test_a_pack_opens_without_the_slides(library, answer, tmp_path):
    with Collections(library) as sets:
        held = sets.add(f"Pack {tmp_path.name}", answer.matches[:4], label="edge")
    write_pack(tmp_path / "c.zip", library, of_collection(library, held, quiz=True))
    with zipfile.ZipFile(tmp_path / "c.zip") as pack:
        names = pack.namelist()
        assert pack.testzip() is None
        assert "http" not in pack.read("index.html").decode().replace("http-equiv", "")
    assert sum(name.startswith("places/") and name.endswith(".png") for name in names) == 4
    assert {"index.html", "places.csv", "README.txt", "places/manifest.csv"} <= set(names)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_pseudonyms_are_the_same_every_time_and_hide_every_name(dossier, library, answer, tmp_path):
    told = replace(
        dossier,
        title="about patient-b",
        notes=(f"{cases.HOSTILE} has changed", str(library.path)),
        figures=(("Agreement of Ada and Bo", "b.tiff"),),
    )
    names = Pseudonyms.of_user()
    hidden = masked(told, library, names)
    assert hidden == masked(told, library, Pseudonyms.of_user())
    other = masked(told, library, Pseudonyms(b"another secret of this length"))
    assert other.items[0].slide_id != hidden.items[0].slide_id
    folder = tmp_path / "out"
    folder.mkdir()
    write_csv(folder / "t.csv", hidden)
    write_geojson(folder / "g", hidden)
    (folder / "page.html").write_text(page_of(library, hidden), encoding="utf-8")
    (folder / "answer.json").write_text(
        json.dumps(masked_answer(answer, library, names).to_json()), encoding="utf-8"
    )
    write_patches(folder / "p", library, hidden)
    written = [p for p in folder.rglob("*") if p.is_file()]
    texts = [p.read_text(encoding="utf-8") for p in written if p.suffix != ".png"]
    texts = [re.sub(r"base64,[^\"']*", "", text) for text in texts]  # pixels, no words
    texts += [str(p.relative_to(folder)) for p in written]
    words = ["patient-b", "b.tiff", "c.tiff", "onerror", "lung", "skin", "=1+1", str(library.path)]
    words += ["Ada", "owned"]
    for word in words:
        assert not [t[:200] for t in texts if word in t], word
    assert len({item.slide_id for item in hidden.items}) == len({i.slide_id for i in told.items})
    assert secret_file().stat().st_mode & 0o077 == 0
    assert library.path not in secret_file().parents
    secret_file().write_text("zz", encoding="ascii")
    with pytest.raises(ReviewError, match="pseudonym"):
        Pseudonyms.of_user()


def test_a_name_is_not_looked_for_in_pseudonyms_or_longer_numbers():
    names = Pseudonyms(b"a secret of this length")
    known = {"123": "case-x", "her2_C2": "slide-123abc", "C2b": "case-y"}
    said = names.text("her2_C2 of 123: 1,123 patches, 0.123, C2b (123)", known)
    assert said == "slide-123abc of case-x: 1,123 patches, 0.123, case-y (case-x)"


def test_both_reviewers_are_hidden_where_their_agreement_is_told(library, answer):
    keys = [m.key for m in answer.matches]
    with Reviews(library, reviewer="Ada") as ada, Reviews(library, reviewer="Bobby") as other:
        review = ada.record(answer).review
        other.judge(review, keys[:3], "accept")
        ada.judge(review, keys[:3], "accept")
        held = ada.get(review)
    told = replace(of_review(library, held), figures=(("Agreement of Ada and Bobby", "3 of 3"),))
    hidden = masked(told, library, Pseudonyms(b"a secret of this length"))
    page = re.sub(r"base64,[^\"']*", "", page_of(library, hidden))
    assert "Ada" not in page
    assert "Bobby" not in page


def test_completeness_is_that_of_the_question_not_of_a_later_round(library, answer, searcher):
    with Reviews(library, reviewer="Ada") as reviews:
        controls = searcher.random_matches(answer.query, 3, seed=2)
        controls = [m for m in controls if m.key not in {n.key for n in answer.matches}]
        review = reviews.record(answer, controls=controls).review
        reviews.judge(review, [m.key for m in controls], "reject")
        some = searcher.search(answer.query, within={"b.tiff"})
        reviews.record(some, review=review, kind="new")
        found = of_review(library, reviews.get(review))
    assert some.searched < answer.searched
    asked = f"12 matches of {answer.searched:,} patches"
    assert asked in found.facts["Rounds"]
    assert found.facts["Verdicts"].startswith("0 accepted, 0 rejected, 0 unsure, and ")
    assert found.facts["Searched"] == f"{answer.searched:,} patches"
    assert f"of {some.searched:,} patches" in found.facts["Rounds"]
    assert "asked of slides that had come in" in found.facts["Rounds"]


def test_an_archive_of_thousands_does_not_fill_the_page(library, answer):
    found = of_answer(library, answer)
    box = answer.matches[0].footprint
    many = [SlideShare(f"s{n:04}", f"c{n // 2}", 10, 1, 1 / (n + 1), 0.9, 0.9, box, 0.1)
            for n in range(3000)]  # fmt: skip
    last = SlideShare(answer.matches[0].key.slide_id, "", 9, 0, 0.0, 0.1, 0.1, box, 0.0)
    page = page_of(library, replace(found, shares=(*many, last)))
    slides, cases_ = re.findall(r"<tbody>(.*?)</tbody>", page, re.S)
    assert 200 < slides.count("<tr>") < 206  # and those with matches
    assert 200 <= cases_.count("<tr>") < 206
    assert page.count("more hold less") == 2


def test_a_filter_is_left_out_of_what_is_masked(library, searcher, answer):
    asked = replace(answer.query, where="organ = skin or case_id = 7", k=3)
    found = of_answer(library, searcher.search(asked))
    hidden = masked(found, library, Pseudonyms(b"a secret of this length"))
    assert hidden.facts["Only where"] == "(left out)"
    assert found.facts["Only where"] == asked.where


def test_what_is_exported_of_a_search_is_what_was_found(library, answer):
    found = of_answer(library, answer, title="T")
    assert [i.score for i in found.items] == [m.score for m in answer.matches]
    assert found.facts["Recall"] == str(answer.recall)
    page = page_of(library, found)
    assert str(answer.recall) in page
    assert library.encoder.fingerprint[:12] in page
    empty = page_of(library, replace(found, items=(), shots=()))
    assert "Nothing was found." in empty
