"""A working day on the command line: search, judge, come back, show, hand on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))

import export_cases as cases

from pathsearch.cli import main
from pathsearch.testing import PlainEncoder


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with cases.make_library(tmp_path_factory.mktemp("day")) as made:
        return made.path


@pytest.fixture(scope="module")
def example(library):
    from pathsearch.library import Library

    with Library.open(library) as opened:
        segment = opened.segments()[0]
        x, y = opened.read_segment(segment).coords[0].tolist()
        return f"b.tiff#{x + 112},{y + 112}"


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    from pathsearch.encoders.loading import load_encoder

    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("PATHSEARCH_USER_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setattr(
        "pathsearch.encoders.load_encoder",
        lambda spec, **_: PlainEncoder() if str(spec) == "plain" else load_encoder(spec),
    )

    def call(*words, status=0):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert (ended.value.code or 0) == status, err
        if status:
            assert len(err.strip().splitlines()) == 1 or "Usage" in err, err
        return json.loads(out) if "--json" in map(str, words) else out + err

    return call


def test_a_day(run, library, example, tmp_path):
    page = tmp_path / "q.html"
    said = run("query", library, "--like", example, "-k", 6, "--save", "--title", "Day",
               "--html", page)  # fmt: skip
    assert "Kept as review" in said
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "Signed unnamed-" in run("review", library, "judge", "--accept", "1")
    assert "2 verdicts kept" in run(
        "review", library, "judge", "--accept", "1-2", "--reviewer", "Ada",
        "--class", "edge", "--note", "see it",
    )  # fmt: skip
    assert "Signed" not in run("review", library, "judge", "--reject", 4, "--unsure", 5)
    assert "Taken back: unsure" in run("review", library, "judge", "--undo")
    (summary,) = run("review", library, "list", "--json")
    assert (summary["title"], summary["accepted"], summary["rejected"]) == ("Day", 2, 1)
    shown = run("review", library, "show", "--json")
    assert [v["decision"] for v in shown["verdicts"]] == [
        "accept", "accept", "accept", "reject", "unsure",
    ]  # fmt: skip
    assert [v["label"] for v in shown["verdicts"]] == ["", "edge", "edge", "", ""]
    assert "Round 1, precision at 1" in shown["figures"]
    assert "the same 6 matches" in run("review", library, "replay", summary["review"][:8])
    assert run("review", library, "replay", "--json")["same"]
    assert "No slides came in" in run("review", library, "new")
    second = run("review", library, "refine", "-k", 4, "--more", "--json")
    first = [(m["slide_id"], m["x"], m["y"]) for m in shown["rounds"][0]["matches"]]
    assert not set(first) & {(m["slide_id"], m["x"], m["y"]) for m in second["matches"]}
    assert (second["round"], len(second["query"]["accepted"])) == (2, 2)
    names = ["html", "csv", "parquet", "sheet"]
    endings = dict(zip(names, ["html", "csv", "parquet", "pdf"], strict=True))
    files = [w for n in names for w in (f"--{n}", tmp_path / f"r.{endings[n]}")]
    told = run("review", library, "export", *files, "--geojson", tmp_path / "g",
               "--patches", tmp_path / "p", "--json")  # fmt: skip
    assert "Slides that hold this" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Slides that hold this" in page.read_text(encoding="utf-8")
    log = run("review", library, "log", "--json")
    assert [line["what"] for line in log] == [
        "html", "html", "csv", "parquet", "geojson", "patches", "sheet",
    ]  # fmt: skip
    told = run("review", library, "export", *files, "--geojson", tmp_path / "g",
               "--patches", tmp_path / "p", "--pseudonymise", "--json")  # fmt: skip
    assert (told["items"], set(told["written"])) == (10, {*names, "geojson", "patches"})
    log = run("review", library, "log", "--json")
    assert sum(line["pseudonymised"] for line in log) == 6
    assert {line["reviewer"] for line in log[1:]} == {"Ada"}


def test_which_slides_hold_this(run, library, example, tmp_path):
    found = run("slides", library, "--like", example, "--threshold", "0.5", "--json",
                "--csv", tmp_path / "s.csv", "--plot", tmp_path / "s.png")  # fmt: skip
    shares = [s["share"] for s in found["slides"]]
    assert shares == sorted(shares, reverse=True)
    assert [s["slide_id"] for s in found["slides"] if s["own"]] == ["b.tiff"]
    assert len((tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()) == 4
    masked = run("slides", library, "--like", example, "--threshold", "0.5", "--pseudonymise")
    assert "b.tiff" not in masked
    assert "patient-b" not in masked
    assert "patient-b" in run("slides", library, "--like", example, "--threshold", 0, "--by-case")


def test_a_collection_is_made_shown_and_handed_on(run, library, example, tmp_path):
    run("query", library, "--like", example, "-k", 6, "--save")
    run("review", library, "judge", "--accept", "1,3")
    run("collection", library, "add", "Edges", "--review", "last", "--accepted", "--class", "edge")
    place = "b.tiff#100,100,300,200"
    added = run("collection", library, "add", "Edges", "--place", place, "--caption", "rim")
    assert "3 places" in added
    run("collection", library, "edit", "Edges", 3, "--to", 1, "--class", "other")
    held = run("collection", library, "show", "Edges", "--json")
    assert [p["label"] for p in held["places"]] == ["other", "edge", "edge"]
    assert held["places"][0]["footprint"] == {"x": 100, "y": 100, "width": 300, "height": 200}
    run("collection", library, "export", "Edges", "--quiz", "--html", tmp_path / "q.html",
        "--pack", tmp_path / "p.zip")  # fmt: skip
    assert (tmp_path / "p.zip").stat().st_size > 1000
    run("collection", library, "remove", "Edges", 1)
    assert [len(c["places"]) for c in run("collection", library, "list", "--json")] == [2]
    run("collection", library, "remove", "Edges")
    assert run("collection", library, "list", "--json") == []


def test_names_are_hidden_in_all_that_query_says(run, library, example, tmp_path):
    said = run("query", library, "--like", example, "--pseudonymise", "--json",
               "--csv", tmp_path / "q.csv", "--geojson", tmp_path / "q.geojson",
               "--picture", tmp_path / "q.png", "--html", tmp_path / "q.html")  # fmt: skip
    texts = [json.dumps(said)]
    texts += [(tmp_path / f"q.{e}").read_text(encoding="utf-8") for e in ("csv", "html")]
    notes = sorted(tmp_path.glob("q*.geojson"))
    assert len(notes) == len({m["slide_id"] for m in said["matches"]}) > 1
    texts += [p.name + p.read_text(encoding="utf-8") for p in notes]
    for word in ("b.tiff", "patient-b", "onerror", str(library)):
        assert not [text for text in texts if word in text]
    assert said["matches"][0]["slide_id"].startswith("slide-")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("review", "LIB", "show", "zzz"), 1, "no such review"),
        (("review", "LIB", "judge", "--accept", "99"), 2, "has ranks 1 to"),
        (("review", "LIB", "judge", "--accept", "x"), 2, "1,2,5-9"),
        (("review", "LIB", "judge"), 2, "--accept"),
        (("review", "LIB", "export", "--by", "Nobody", "--csv", "x.csv"), 2, "has no verdicts"),
        (("review", "LIB", "judge", "--accept", "1", "--reject", "1"), 2, "not two of them"),
        (
            ("review", "LIB", "judge", "--accept", "1", "--reject", "2", "--class", "x"),
            2,
            "one at a time",
        ),
        (("review", "LIB", "export"), 2, "at least one file"),
        (("review", "LIB", "export", "--sheet", "x.gif"), 2, "F.png or F.pdf"),
        (("review", "LIB", "export", "--csv", "/nowhere/x.csv"), 1, "cannot be written"),
        (("review", "LIB", "replay", "--round", "9"), 1, "rounds 1 to"),
        (("review", "LIB", "replay", "--on", "/nowhere"), 1, "no library"),
        (("slides", "LIB"), 2, "--like"),
        (("collection", "LIB", "show", "zzz"), 1, "no such collection"),
        (("collection", "LIB", "add", "A"), 2, "--place"),
        (("collection", "LIB", "add", "A", "--place", "b.tiff#99999,9,9,9"), 1, "outside"),
        (("collection", "LIB", "add", "A", "--place", "zzz#9,9,9,9"), 1, "no such slide"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_words_are_one_line(run, library, example, words, status, said, request):
    if "judge" in words or "--round" in words or "export" in words:
        run("query", library, "--like", example, "-k", 4, "--save")
    told = run(*(library if w == "LIB" else w for w in words), status=status)
    assert said in told
