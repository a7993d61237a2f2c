"""The command line from slides to matches: exit codes, streams, JSON, files, wrong input."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest
from PIL import Image

from pathsearch.cli import main
from pathsearch.testing import PlainEncoder, make_slide
from pathsearch.testing.hostile import overwrite_tiles


class Ran:
    """What a command left behind."""

    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self):
        """stdout as one JSON value."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def plain_encoder(monkeypatch):
    """`plain` and `other` are encoders here; they need no weights."""
    encoders = {"plain": PlainEncoder(), "other": PlainEncoder(seed=1)}

    def load(spec, **_):
        from pathsearch.encoders.loading import load_encoder

        return encoders.get(str(spec)) or load_encoder(spec)

    monkeypatch.setattr("pathsearch.encoders.load_encoder", load)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """No command here may open a connection that is not loopback."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            assert host in ("127.0.0.1", "::1", "localhost"), f"connection to {host}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded)


def picture_width(path):
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        return picture.width


@pytest.fixture
def run(capfd):
    def call(*words):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Ran(ended.value.code or 0, out, err)

    return call


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    (folder / "sub").mkdir()
    for number, name in enumerate(["a.tiff", "b.tiff", "sub/a.tiff"]):
        make_slide(folder / name, size=(1800, 1500), mpp=0.5, seed=number)
    (folder / "broken.svs").write_bytes(b"this is no slide")
    return folder


@pytest.fixture(scope="module")
def library(slides, tmp_path_factory):
    from pathsearch.config import IndexSettings
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.indexing.run import open_or_create

    path = tmp_path_factory.mktemp("lib") / "l.pathsearch"
    manifest = slides / "m.csv"
    manifest.write_text("path,case_id,organ\na.tiff,C1,lung\nb.tiff,C1,skin\nsub/a.tiff,C2,lung\n")
    from pathsearch.indexing.manifest import read_manifest

    encoder, settings = PlainEncoder(), IndexSettings()
    with open_or_create(path, settings, encoder, "plain") as made:
        sources = find_sources([slides], manifest=read_manifest(manifest), library=made)
        index_slides(made, sources, encoder, settings)
    return path


def test_index_reports_lists_and_goes_on(run, slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    first = run("index", slides, "--library", target, "--encoder", "plain", "--json")
    assert first.status == 3
    report = first.json
    assert report["indexed"] == 3
    assert [f["slide_id"] for f in report["failed"]] == ["broken.svs"]
    assert report["failed"][0]["code"] == "slide-unreadable"
    assert report["patches"] > 20
    assert report["patches_per_second"] > 0
    again = run("index", slides, "--library", target, "--json")
    assert again.status == 3
    assert (again.json["indexed"], again.json["unchanged"]) == (0, 3)
    listed = run("list", target, "--json").json
    assert [s["slide_id"] for s in listed["slides"]] == [
        "a.tiff", "b.tiff", "broken.svs", "sub/a.tiff",
    ]  # fmt: skip
    failed = run("list", target, "--failed")
    assert "slide-unreadable" in failed.out
    assert "a.tiff" not in failed.out
    assert run("verify", target).status == 0


def test_another_encoder_or_spec_is_refused_by_name(run, slides, library):
    other = run("index", slides, "--library", library, "--encoder", "other")
    assert other.status == 1
    assert "plain-0" in other.err
    assert "plain-1" in other.err
    spec = run("index", slides, "--library", library, "--spec-mpp", "1.0")
    assert spec.status == 2
    assert "0.5um-224px" in spec.err


def test_a_manifest_alone_and_an_mpp_make_a_slide_indexable(run, tmp_path):
    picture = tmp_path / "field.tiff"
    make_slide(picture, size=(1200, 1200), stated_mpp=None, seed=4)
    target = tmp_path / "l.pathsearch"
    failed = run("index", picture, "-l", target, "--encoder", "plain", "--json")
    assert [f["code"] for f in failed.json["failed"]] == ["mpp-missing"]
    again = run("index", picture, "-l", target, "--json")
    assert [f["code"] for f in again.json["failed"]] == ["mpp-missing"]
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,mpp\nfield.tiff,0.5\n")
    done = run("index", "--manifest", manifest, "-l", target, "--json")
    assert done.status == 0
    assert done.json["indexed"] == 1
    later = run("index", picture, "-l", target, "--json")
    assert (later.status, later.json["unchanged"]) == (0, 1)


def test_query_answers_by_the_contract(run, library, tmp_path):
    answer = run("query", library, "--like", "a.tiff#400,400,448,448", "-k", "5", "--json")
    assert answer.status == 0
    raw = answer.json
    assert len(raw["matches"]) == 5
    assert raw["recall"]["exact"] is True
    saved = tmp_path / "q.json"
    saved.write_text(answer.out)
    back = run("query", library, "--query", saved, "--json").json
    assert back["matches"] == raw["matches"]
    files = {s: tmp_path / f"m.{s}" for s in ("csv", "geojson", "png")}
    table = run(
        "query", library, "--like", "a.tiff#400,400,448,448", "-k", "5",
        "--csv", files["csv"], "--geojson", files["geojson"], "--picture", files["png"],
    )  # fmt: skip
    assert table.status == 0
    assert len(table.out.splitlines()) == 6
    assert len(files["csv"].read_text().splitlines()) == 6
    corners = set()
    for path in tmp_path.glob("m.*geojson"):  # a file a slide
        for feature in json.loads(path.read_text())["features"]:
            slide_id = feature["properties"]["metadata"]["slide_id"]
            corners.add((slide_id, *feature["geometry"]["coordinates"][0][0]))
    assert corners == {(m["slide_id"], m["x"], m["y"]) for m in raw["matches"]}
    assert picture_width(files["png"]) > 800


@pytest.mark.parametrize(
    ("exclude", "allowed"),
    [
        ("overlap", {"a.tiff", "b.tiff", "sub/a.tiff"}),
        ("slide", {"b.tiff", "sub/a.tiff"}),
        ("case", {"sub/a.tiff"}),
    ],
)
def test_exclusion(run, library, exclude, allowed):
    words = ("--like", "a.tiff#400,400,448,448", "-k", "500", "--exclude", exclude, "--json")
    matches = run("query", library, *words).json["matches"]
    assert {m["slide_id"] for m in matches} == allowed
    for m in matches:  # never on the own spot
        inside = m["slide_id"] == "a.tiff" and abs(m["x"] - 400) < 448 and abs(m["y"] - 400) < 448
        overlap = inside and m["x"] < 848 and m["x"] + m["width"] > 400
        assert not overlap or not (m["y"] < 848 and m["y"] + m["height"] > 400)


def test_a_filter_a_polygon_a_point_and_a_picture(run, library, slides, tmp_path):
    words = ("--where", "organ = skin", "-k", "3", "--json")
    found = run("query", library, "--like", "a.tiff#700,700", *words).json
    assert {m["slide_id"] for m in found["matches"]} == {"b.tiff"}
    assert found["matches"][0]["metadata"] == {"organ": "skin"}
    shape = tmp_path / "r.geojson"
    ring = [[300, 300], [900, 320], [600, 900], [300, 300]]
    shape.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert run("query", library, "--like", f"a.tiff#{shape}", "--json").status == 0
    pixels = np.asarray(Image.effect_noise((300, 300), 40).convert("RGB"))
    Image.fromarray(pixels).save(tmp_path / "p.png")
    assert run("query", library, "--like", f"{tmp_path / 'p.png'}@0.5", "--json").status == 0
    outside = slides / "sub" / "a.tiff"
    by_path = run("query", library, "--like", f"{outside}#400,400,300,300", "-k", "9", "--json")
    by_id = run("query", library, "--like", "sub/a.tiff#400,400,300,300", "-k", "9", "--json")
    assert by_path.json["matches"] == by_id.json["matches"]


def test_map_writes_an_array_with_its_frame(run, library, tmp_path):
    out = tmp_path / "m.npy"
    words = ("--like", "a.tiff#400,400,448,448", "--on", "b.tiff", "--out", out, "--json")
    facts = run("map", library, *words).json
    values = np.load(out)
    assert list(values.shape) == facts["shape"]
    assert np.isfinite(values).sum() > 3
    assert facts["footprint"] == 224
    picture = tmp_path / "m.png"
    words = ("--like", "a.tiff#400,400,448,448", "--on", "b.tiff", "--out", picture)
    assert run("map", library, *words).status == 0
    assert picture_width(picture) > 500


def test_inspect_tells_and_draws(run, slides, tmp_path):
    out = tmp_path / "p.png"
    facts = run("inspect", slides / "a.tiff", "--preview", out, "--json").json
    assert facts["size"] == [1800, 1500]
    assert facts["mpp"] == pytest.approx(0.5, rel=1e-3)
    assert facts["specs"][0]["footprint"] == 224
    assert picture_width(out) > 200
    assert "about 20x" in run("inspect", slides / "a.tiff").out
    assert facts["unreadable_share"] == 0
    assert "unreadable" not in run("inspect", slides / "a.tiff").out


def test_inspect_says_what_cannot_be_decoded_and_which_reader_is_used(run, tmp_path):
    path = make_slide(tmp_path / "hole.tiff", size=(1024, 1024), tile=256, seed=1).path
    overwrite_tiles(path, (5,))
    ran = run("inspect", path)
    assert "unreadable     up to" in ran.out
    assert "reader         tiff" in ran.out
    assert 1 / 16 <= run("inspect", path, "--json").json["unreadable_share"] < 0.2
    settings = tmp_path / "index.yaml"
    settings.write_text("slides: {reader: openslide}", encoding="utf-8")
    assert "reader         openslide" in run("inspect", path, "--config", settings).out


def square(x, y, side):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


def patches_of(target):
    from pathsearch.library import Library

    with Library.open(target) as made:
        assert [p for p in made.verify(deep=True) if p.severity == "error"] == []
        return {s.slide_id: made.read_segment(s).coords.tolist() for s in made.segments()}


def test_index_takes_the_users_own_regions(run, slides, tmp_path):
    target, drawn = tmp_path / "l.pathsearch", tmp_path / "drawn"
    (drawn / "sub").mkdir(parents=True)
    (drawn / "b.tiff.geojson").write_text(square(0, 0, 448))
    (drawn / "sub" / "a.geojson").write_text(square(224, 448, 448))
    (drawn / "z.geojson").write_text(square(0, 0, 10))
    words = ("index", slides, "--library", target, "--encoder", "plain", "--json")
    free = run(*words).json
    assert free["indexed"] == 3
    whole = patches_of(target)

    def index(*more):
        return run(*words, "--regions", *more).json

    first = index(drawn)
    assert (first["indexed"], first["unchanged"], first["patches"]) == (2, 1, 8)
    assert any("z.geojson" in note for note in first["notes"])
    assert any("a.tiff, broken.svs" in note for note in first["notes"])
    taken = patches_of(target)
    assert taken["a.tiff"] == whole["a.tiff"]
    assert taken["b.tiff"] == [[0, 0], [224, 0], [0, 224], [224, 224]]
    assert taken["sub/a.tiff"] == [[224, 448], [448, 448], [224, 672], [448, 672]]
    # Unchanged regions, also with other names and spaces in the file: nothing is read again.
    text = {
        "type": "Feature",
        "properties": {"name": "b"},
        "geometry": json.loads(square(0, 0, 448)),
    }
    (drawn / "b.tiff.geojson").write_text(json.dumps(text, indent=2))
    assert index(drawn)["indexed"] == 0
    (drawn / "b.tiff.geojson").write_text(square(0, 0, 224))
    changed = index(drawn)
    assert (changed["indexed"], changed["patches"]) == (1, 1)
    # Without --regions they stay, and it is said; restricting is another choice than replacing.
    kept = run(*words).json
    assert (kept["indexed"], kept["unchanged"]) == (0, 3)
    assert "regions that they were indexed with: 2" in " ".join(kept["notes"])
    index(drawn, "--regions-mode", "restrict")
    only = patches_of(target)
    assert {tuple(p) for p in only["sub/a.tiff"]} <= {tuple(p) for p in whole["sub/a.tiff"]}
    assert index(drawn, "--regions-mode", "restrict")["indexed"] == 0
    # Taken back: the arrays of the first run are still there.
    back = index("none")
    assert (back["indexed"], back["patches"]) == (2, 0)
    assert patches_of(target) == whole
    assert "regions that they" not in " ".join(run(*words).json["notes"])


def test_regions_that_do_not_fit_are_said(run, slides, tmp_path):
    target, drawn = tmp_path / "l.pathsearch", tmp_path / "r.geojson"
    words = ("index", "--library", target, "--encoder", "plain", "--regions", drawn)
    drawn.write_text(square(-900, -900, 400))
    report = run(*words, slides / "b.tiff").out
    assert "level-0 pixels?" in report
    other = ("index", "--library", tmp_path / "m.pathsearch", *words[3:], slides / "b.tiff")
    again = run(*other, "--json")
    assert "b.tiff: Its regions hold no patch" in " ".join(again.json["notes"])
    several = run(*words, slides)
    assert (several.status, "one file" in several.err) == (2, True)
    drawn.write_text("{")
    broken = run(*words, slides / "b.tiff")
    assert (broken.status, "r.geojson" in broken.err) == (2, True)


WRONG = [
    (("query", "LIB"), 2, "--like"),
    (("query", "nowhere.pathsearch", "--like", "a#1,2"), 1, "nowhere.pathsearch"),
    (("query", "LIB", "--like", "a.tiff"), 1, "not an example"),
    (("query", "LIB", "--like", "c.tiff#1,2"), 1, "c.tiff"),
    (("query", "LIB", "--like", "a.tiff#90000,2"), 1, "outside"),
    (("query", "LIB", "--like", "a.tiff#1,2", "--spec", "x"), 1, "0.5um-224px"),
    (("query", "LIB", "--like", "a.tiff#500,500", "-k", "0"), 2, "-k"),
    (("query", "LIB", "--like", "a.tiff#500,500", "--exclude", "all"), 2, "--exclude"),
    (("query", "LIB", "--like", "a.tiff#500,500", "--where", "x = 1"), 1, "no column"),
    (("query", "LIB", "--query", "no.json"), 1, "no.json"),
    (("query", "LIB", "--like", "no.png@0.5"), 1, "no.png"),
    (("index", "--library", "x.pathsearch"), 2, "SLIDES"),
    (("index", "SLIDES"), 2, "--library"),
    (("index", "no-such-folder", "--library", "x.pathsearch"), 1, "no-such-folder"),
    (("index", "SLIDES", "--library", "x.pathsearch", "--encoder", "nothing"), 1, "nothing"),
    (("index", "SLIDES", "--library", "x.pathsearch", "--mpp", "99"), 2, "0.05 to 10"),
    (("index", "SLIDES", "--library", "x.pathsearch", "--manifest", "no.csv"), 2, "no.csv"),
    (("index", "SLIDES", "--library", "x.pathsearch", "--config", "no.yaml"), 2, "no.yaml"),
    (("index", "SLIDES", "--library", "SLIDES/m.csv"), 1, "m.csv"),
    (("inspect", "nothing.svs"), 1, "nothing.svs"),
    (("inspect", "SLIDES/broken.svs"), 1, "broken.svs"),
    (("inspect", "SLIDES/a.tiff", "--spec-mpp", "99"), 2, "0.05 to 10"),
    (("list", "nowhere"), 1, "nowhere"),
    (("verify", "nowhere"), 1, "nowhere"),
    (("reindex", "LIB", "--spec", "x"), 2, "0.5um-224px"),
    (("remove", "LIB"), 2, "--case"),
    (("remove", "LIB", "c.tiff"), 1, "c.tiff"),
    (("compact", "nowhere"), 1, "nowhere"),
    (("relocate", "LIB", "nothing", "."), 2, "nothing"),
    (("map", "LIB", "--like", "a.tiff#1,2", "--on", "zzz", "--out", "m.png"), 1, "zzz"),
    (("map", "LIB", "--like", "a.tiff#1,2", "--on", "a.tiff", "--out", "m.jpg"), 2, ".npy"),
    (("evaluate", "no.csv", "--encoder", "plain"), 2, "no.csv"),
    (("train", "no-such-folder", "--out", "enc"), 1, "no-such-folder"),
    (("nonsense",), 2, "nonsense"),
    (("completion", "tcsh"), 2, "tcsh"),
]


@pytest.mark.parametrize(("words", "status", "says"), WRONG, ids=lambda v: str(v)[:60])
def test_wrong_input_is_one_line_and_the_right_status(
    run, library, slides, tmp_path, monkeypatch, words, status, says
):
    monkeypatch.chdir(tmp_path)
    places = {"LIB": str(library), "SLIDES": str(slides)}
    real = [places.get(w, w) for w in words]
    real = [w.replace("SLIDES/", f"{slides}/") for w in real]
    ran = run(*real)
    assert ran.status in ((status,) if status == 2 else (1, 2))
    assert ran.out == ""
    assert says in ran.err
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith(("pathsearch: ", "Error: "))
    assert not (tmp_path / "x.pathsearch").exists()


def test_slides_leave_a_library(run, slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    manifest = slides / "m.csv"
    words = ("-l", target, "--encoder", "plain", "--manifest", manifest)
    assert run("index", slides / "a.tiff", slides / "b.tiff", *words).status == 0
    everything = ("--like", "sub/a.tiff#400,400,300,300", "-k", "500", "--json")

    def found():
        return {m["slide_id"] for m in run("query", target, *everything).json["matches"]}

    assert found() == {"a.tiff", "b.tiff", "sub/a.tiff"}
    assert run("remove", target, "b.tiff").status == 0
    assert found() == {"a.tiff", "sub/a.tiff"}
    assert run("compact", target, "--json").json["segments"] == 1
    assert run("remove", target, "--case", "nobody").status == 2
    receipt = run("remove", target, "--case", "C1", "--purge", "--json").json
    assert receipt["verified"] is True
    assert "C1" not in json.dumps(receipt)
    assert found() == {"sub/a.tiff"}
    assert run("verify", target, "--deep").status == 0
    assert run("verify", target, "--repair", "--json").json["ok"] is True


def test_moved_slides_are_found_again(run, slides, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "a.tiff").write_bytes((slides / "a.tiff").read_bytes())
    target = tmp_path / "l.pathsearch"
    assert run("index", here, "-l", target, "--encoder", "plain").status == 0
    here.rename(there)
    asked = ("query", target, "--like", "a.tiff#400,400,448,448")
    lost = run(*asked)
    assert "stored patches" in lost.err  # still answered, and said
    assert run("relocate", target, "here", there).status == 0
    assert "stored patches" not in run(*asked).err
    assert str(there) in run("relocate", target).out


def test_help_and_completion(run):
    names = ("demo", "inspect", "train", "index", "query", "map", "evaluate", "list", "doctor")
    text = run("--help").out
    assert all(name in text for name in names)
    for name in names:
        assert run(name, "--help").status == 0
    assert "_PATHSEARCH_COMPLETE" in run("completion", "bash").out


def test_doctor_is_well_here(run):
    facts = run("doctor", "--json").json
    assert {c["name"] for c in facts["checks"]} >= {"torch", "bfloat16 units", "extra napari"}
