"""The three ways in, from files to the answer's keys."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluate_cases import CLASSES, Small, write_pictures, write_slide, write_table
from PIL import Image

from pathsearch.config import TileSpec
from pathsearch.errors import SlideError, SlideNotFoundError, SlideUnreadableError, UsageError
from pathsearch.evaluate import (
    Options,
    evaluate,
    evaluate_library,
    evaluate_regions,
    measure_labels,
    table_kind,
)
from pathsearch.evaluate.sets import _patch_at
from pathsearch.evaluate.sources import PictureSource, RegionSource, read_picture
from pathsearch.evaluate.tables import read_labels, read_regions
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.slides import open_slide, stream_patches

FIGURES = {"acc1", "mmv5", "p5", "map5"}


def test_pictures(tmp_path):
    answer = evaluate(write_pictures(tmp_path), Small())
    assert {"n", "classes", "floors", *FIGURES} <= set(answer)
    assert answer["n"] == 18
    assert set(answer["classes"]) == set(CLASSES)
    assert set(answer["floors"]) == {"random", "mean_colour", "histogram"}
    for floor in answer["floors"].values():
        assert set(floor) == FIGURES
        assert all(0 <= value <= 1 for value in floor.values())
    assert answer["classes"]["dots"].items() >= {"n": 6, "queries": 6}.items()
    assert answer["acc1"] > 0.8  # the classes differ in spread, which this encoder sees
    assert answer["p5"] <= 4 / 5  # four of six lie outside the own group
    assert answer["acc1"] > answer["floors"]["mean_colour"]["acc1"]
    json.dumps(answer, allow_nan=False)


def test_the_averages_are_those_of_the_classes(tmp_path):
    answer = evaluate(write_pictures(tmp_path), Small(), Options(floors=False))
    for key in FIGURES:
        mean = np.mean([line[key] for line in answer["classes"].values()])
        assert answer[key] == pytest.approx(mean)
    assert answer["floors"] == {}
    for name, row in answer["confusion"].items():
        assert sum(row.values()) == pytest.approx(1)
        assert row[name] == pytest.approx(answer["classes"][name]["p5"])


def test_every_run_gives_the_same(tmp_path):
    table = write_pictures(tmp_path)
    assert evaluate(table, Small()) == evaluate(table, Small())


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(tmp_path, delimiter):
    table = write_pictures(tmp_path, delimiter=delimiter)
    table.write_text(table.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert evaluate(table, Small(), Options(floors=False))["n"] == 18


def test_pictures_of_several_sizes_keep_their_rows(tmp_path):
    table = write_pictures(tmp_path)
    odd = tmp_path / "images" / "lines_2.png"
    Image.open(odd).resize((96, 80)).save(odd)
    labels = read_labels(table)
    seen = {
        row: patch
        for rows, pixels in PictureSource(labels).stream(batch_size=4)
        for row, patch in zip(rows.tolist(), pixels, strict=True)
    }
    assert sorted(seen) == list(range(18))
    for row, path in enumerate(labels.paths):
        np.testing.assert_array_equal(seen[row], np.asarray(Image.open(path)))


@pytest.mark.parametrize("batch_size", [1, 4, 18, 64])
def test_some_rows_only(tmp_path, batch_size):
    source = PictureSource(read_labels(write_pictures(tmp_path)))
    wanted = np.array([3, 1, 7, 8, 17])
    found = [rows for rows, _ in source.stream(batch_size, rows=wanted)]
    np.testing.assert_array_equal(np.concatenate(found), wanted)


def test_transparent_pictures_lie_on_white(tmp_path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4] = (10, 20, 30, 255)
    Image.fromarray(rgba).save(tmp_path / "t.png")
    found = read_picture(tmp_path / "t.png")
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[7, 7].tolist() == [255, 255, 255]


def test_a_class_of_one_group_is_left_out_and_named(tmp_path):
    table = write_pictures(tmp_path)
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    rows = [(p, label, "alone" if label == "dots" else g) for p, label, g in rows]
    write_table(table, ("path", "label", "group"), rows)
    answer = evaluate(table, Small(), Options(floors=False))
    assert answer["classes"]["dots"]["acc1"] is None
    assert answer["acc1"] == np.mean([answer["classes"][c]["acc1"] for c in ("lines", "plain")])
    assert "dots" in answer["notes"][0]


def test_nothing_to_measure(tmp_path):
    table = write_pictures(tmp_path, groups=1)
    with pytest.raises(UsageError, match="every label occurs within one group"):
        evaluate(table, Small())


# ---------------------------------------------------------------------- slides


@pytest.fixture
def regions(tmp_path):
    rows = []
    for name in ("a.tif", "b.tif"):
        rows += [(name, x, y, label) for x, y, label in write_slide(tmp_path / name)]
    return write_table(tmp_path / "regions.csv", ("slide", "x", "y", "label"), rows)


def test_places_on_slides(regions):
    answer = evaluate_regions(regions, Small(input_px=100))
    assert answer["n"] == 32
    assert set(answer["floors"]) == {"random", "mean_colour", "histogram"}
    assert answer["acc1"] == 1.0
    assert answer["notes"] == []


def test_patches_are_centred_on_the_places(regions, tmp_path):
    import tifffile

    source = RegionSource(read_regions(regions), tmp_path, size_px=100, mpp=0.5)
    whole = {name: tifffile.imread(tmp_path / name) for name in ("a.tif", "b.tif")}
    table = read_regions(regions)
    count = 0
    for rows, pixels in source.stream(batch_size=5):
        for row, patch in zip(rows.tolist(), pixels, strict=True):
            x, y = (table.xy[row] - 50).astype(int)
            expected = whole[table.slides[row]][y : y + 100, x : x + 100]
            np.testing.assert_array_equal(patch, expected)
            count += 1
    assert count == 32


def test_a_resolution_the_encoder_has_not_seen_is_said(regions):
    encoder = Small()
    encoder.mpp_range = (0.25, 0.25)
    answer = evaluate_regions(regions, encoder, Options(floors=False), mpp=0.5)
    assert answer["notes"][0].endswith("have 0.5.")


def test_a_column_of_groups(regions):
    rows = [line.split(",") for line in regions.read_text(encoding="utf-8").splitlines()[1:]]
    head = ("slide", "x", "y", "label", "group")
    write_table(regions, head, [(*row, "one patient") for row in rows])
    with pytest.raises(UsageError, match="within one group"):
        evaluate_regions(regions, Small())


@pytest.mark.parametrize(
    ("row", "words"),
    [(("a.tif", 5000, 10, "dots"), "outside the slide"), (("c.tif", 1, 1, "dots"), r"c\.tif")],
)
def test_places_that_are_not_there(regions, row, words):
    with regions.open("a", encoding="utf-8") as file:
        file.write(",".join(map(str, row)) + "\n")
    with pytest.raises(SlideError, match=words):
        evaluate_regions(regions, Small())


# ---------------------------------------------------------------------- wrong tables


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "needs the columns"),
        ("path,label,group\nx.png,A\ny.png,B,g\n", "row 2 has no group"),
        ("path,label,group\nx.png,A,g\nx.png,B,h\n", "listed twice"),
        ("path,label,group\nx.png,A,g\n", "at least two rows"),
        ("path,label,group\nx.png,A,g\ny.png,B,h\n", "no such picture"),
        ('path,label,group\n"x.png,A,g\n', "not a CSV table"),
        ("slide,x,y,label\ns,1,2,A\ns,one,2,A\n", "row 3: x is 'one'"),
        ("slide,x,y,label\ns,1,2,A\ns,nan,2,A\n", "row 3: x is 'nan'"),
    ],
)
def test_wrong_tables_are_one_clear_line(tmp_path, text, words):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")

    def read():
        if table_kind(path) == "labels":
            return PictureSource(read_labels(path))
        return read_regions(path)

    with pytest.raises((UsageError, SlideNotFoundError), match=words) as caught:
        read()
    assert "\n" not in str(caught.value)


def test_no_table_and_no_text(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        table_kind(tmp_path / "missing.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00binary\x80")
    with pytest.raises(UsageError, match="not a text file"):
        table_kind(tmp_path / "b.csv")


def test_a_damaged_picture_is_named(tmp_path):
    table = write_pictures(tmp_path)
    (tmp_path / "images" / "dots_1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(SlideUnreadableError, match=r"dots_1\.png: cannot be read"):
        evaluate(table, Small())


# ---------------------------------------------------------------------- a library


@pytest.fixture
def library(tmp_path, regions):
    """The two slides of `regions`, cut at the cells; the last cell of each is left out."""
    encoder = Small()
    spec = TileSpec(size_px=128, mpp=0.5, name="s")
    record = EncoderRecord(encoder.name, encoder.dim, 100, (0.1, 4.0), encoder.fingerprint)
    table = read_regions(regions)
    with Library.create(tmp_path / "L.pathsearch", specs=[spec], encoder=record) as made:
        with made.writer() as writer:
            writer.ensure_root("archive", tmp_path)
            for name in ("a.tif", "b.tif"):
                path = f"deep/{name}"
                slide = SlideRecord(path, "archive", path, mpp=0.5, fingerprint=name)
                corners = (table.xy[table.slides == name] - 64).astype(np.int64)[:15]
                segment = writer.open_segment(slide, spec, 128)
                with open_slide(tmp_path / name) as opened:
                    for batch in stream_patches(opened, corners, 128, 0.5):
                        here = corners[batch.first : batch.first + len(batch.pixels)]
                        vectors = encoder.encode(batch.pixels)
                        segment.append(here, vectors, np.ones(len(here), np.float32))
                segment.commit(slide)
        yield made


def test_from_the_vectors_of_a_library(library, regions):
    answer = evaluate_library(library, regions)
    assert answer["n"] == 30
    assert answer["acc1"] == 1.0
    assert answer["floors"] == {}
    assert answer["notes"] == ["2 of 32 places lie on no patch of the library, and are left out."]


def test_stored_vectors_give_what_encoding_gives(library, regions):
    # The same cells, read and encoded anew: 128 px around each centre, less the last cells.
    encoder = Small(input_px=128)
    rows = regions.read_text(encoding="utf-8").splitlines()
    regions.write_text("\n".join(rows[:16] + rows[17:32]) + "\n", encoding="utf-8")
    anew = evaluate_regions(regions, encoder, Options(floors=False))
    stored = evaluate_library(library, regions)
    for key in FIGURES:
        assert stored[key] == pytest.approx(anew[key], abs=0.02)  # float16 may swap near ties


def test_the_patch_centred_nearest_holds_a_place():
    coords = np.array([[0, 0], [64, 0], [1000, 1000]])
    xy = np.array([[10.0, 10], [127, 64], [191, 100], [193, 100], [500, 500], [1064, 1127]])
    assert _patch_at(coords, 128, xy).tolist() == [0, 1, 1, -1, -1, 2]


def test_questions_a_library_cannot_answer(library, regions):
    with pytest.raises(UsageError, match="name one of its specs"):
        evaluate_library(library, regions, spec="none")
    text = regions.read_text(encoding="utf-8")
    regions.write_text(text.replace("a.tif", "z.tif"), encoding="utf-8")
    with pytest.raises(UsageError, match="is not in the library"):
        evaluate_library(library, regions)
    write_table(
        regions, ("slide", "x", "y", "label"), [("a.tif", 9999, 1, "x"), ("b.tif", 9999, 1, "x")]
    )
    with pytest.raises(UsageError, match="level-0 pixels"):
        evaluate_library(library, regions)


def test_examples_are_kept(tmp_path):
    evaluation = measure_labels(write_pictures(tmp_path), Small(), Options(floors=False))
    assert evaluation.judged.order.shape == (18, 10)
    same = evaluation.groups[evaluation.judged.order] == evaluation.groups[:, None]
    assert not same.any()
