"""Many readers, job arrays, several magnifications: always the library of one plain run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from pathsearch.config import IndexSettings, SlideSettings, TileSpec
from pathsearch.errors import (
    LibraryLockedError,
    PathsearchError,
    SlideIdClashError,
    UsageError,
)
from pathsearch.indexing import find_sources, index_slides, merge
from pathsearch.indexing.plan import make_plan
from pathsearch.indexing.report import Listener
from pathsearch.indexing.run import open_or_create, part_of
from pathsearch.indexing.sources import failed_sources
from pathsearch.indexing.target import add_specs
from pathsearch.library import Library
from pathsearch.slides import open_slide
from pathsearch.testing import PlainEncoder, make_slide

IN_PLACE = SlideSettings(isolate=False)
SETTINGS = IndexSettings(batch_size=16, slides=IN_PLACE, workers=1)
COARSE = TileSpec(mpp=1.0)


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides") / "s"
    folder.mkdir()
    for number in range(5):
        make_slide(folder / f"s{number}.tiff", size=(1300, 1300), seed=number)
    (folder / "broken.tiff").write_bytes(b"no slide")
    return folder


def run(target, slides, *, settings=SETTINGS, mpp=None, encoder=None, **words):
    encoder = encoder or PlainEncoder()
    with open_or_create(target, settings, encoder, "plain") as library:
        if "specs" in settings.model_fields_set:
            add_specs(library, settings.specs)
        sources = find_sources([slides], library=library, mpp=mpp)
        return index_slides(library, sources, encoder, settings, **words)


def content(target):
    with Library.open(target) as library:
        assert [p for p in library.verify(deep=True) if p.severity == "error"] == []
        segments = sorted((s.slide_id, s.key, s.rows, s.digest) for s in library.segments())
        slides = [replace(r, file_mtime_ns=0) for r in library.slides()]
        return segments, slides, dict(library.roots())


@pytest.fixture(scope="module")
def single(slides, tmp_path_factory):
    target = tmp_path_factory.mktemp("single") / "l.pathsearch"
    report = run(target, slides)
    assert report.counts["indexed"] == 5
    assert report.counts["failed"] == 1
    return content(target)


@pytest.mark.parametrize(("workers", "isolate"), [(2, True), (5, False)])
def test_any_number_of_readers_gives_the_same_library(slides, tmp_path, single, workers, isolate):
    target = tmp_path / "l.pathsearch"
    update = {"workers": workers, "slides": SlideSettings(isolate=isolate)}
    report = run(target, slides, settings=SETTINGS.model_copy(update=update))
    assert content(target) == single
    assert [o.slide_id for o in report.outcomes] == sorted(o.slide_id for o in report.outcomes)


def test_a_reader_that_is_killed_costs_its_slide_and_a_retry_heals_it(slides, tmp_path, single):
    target = tmp_path / "l.pathsearch"

    class Killing(Listener):
        """Ends the process that has just opened a slide."""

        killed = ""

        def slide(self, slide_id):
            if not self.killed:
                self.killed = slide_id
                children = subprocess.run(
                    ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())],
                    capture_output=True, text=True, check=True,
                ).stdout  # fmt: skip
                for line in children.splitlines():
                    if "isolate_child" in line:
                        os.kill(int(line.split()[0]), signal.SIGKILL)

    if shutil.which("ps") is None:
        pytest.skip("asks the process table")
    listener = Killing()
    settings = SETTINGS.model_copy(update={"slides": SlideSettings()})
    report = run(target, slides, settings=settings, listener=listener)
    failed = {o.slide_id: o.code for o in report.of("failed")}
    assert failed.pop("broken.tiff") == "slide-unreadable"
    assert set(failed.values()) <= {"slide-crashed"}
    assert len(report.of("indexed")) == 5 - len(failed)
    with Library.open(target) as library:
        encoder = PlainEncoder()
        index_slides(library, failed_sources(library), encoder, SETTINGS, retry_failed=True)
    assert content(target) == single


PART = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[4])
import test_index_workers as case
from pathsearch.testing import PlainEncoder

class Dying(PlainEncoder):
    def encode(self, pixels):
        if sys.argv[5:] and (Path(sys.argv[1]) / "parts").is_dir():
            import os
            os._exit(9)
        return super().encode(pixels)

case.run(Path(sys.argv[1]), Path(sys.argv[2]), encoder=Dying(), part=(int(sys.argv[3]), 2))
"""


def test_parts_at_once_one_of_them_killed_make_the_library_of_one_run(slides, tmp_path, single):
    target = tmp_path / "l.pathsearch"
    assert {part_of(f"s{n}.tiff", 2) for n in range(5)} == {1, 2}

    def part(number, *words):
        here = os.path.dirname(__file__)
        words = [sys.executable, "-c", PART, str(target), str(slides), str(number), here, *words]
        return subprocess.Popen(words)

    both = part(1), part(2, "dies")
    assert [child.wait(timeout=120) for child in both] == [0, 9]
    with Library.open(target) as library:
        assert library.slides() == []  # nothing of a part is found before the merge
    assert part(2).wait(timeout=120) == 0
    with Library.open(target) as library:
        merged = merge(library)
        assert (merged.parts, merged.failed, merged.missing) == (2, 1, ())
        assert library.index_state(TileSpec().name) is not None
    assert content(target) == single
    report = run(target, slides)  # one run more finds nothing to do
    assert report.counts["unchanged"] == 5
    assert report.patches == 0


def test_a_part_does_not_write_again_what_the_library_has(slides, tmp_path, single):
    target = tmp_path / "l.pathsearch"
    run(target, slides)
    names = [segment[1] for segment in single[0]]
    before = {name: (target / "embeddings.zarr" / name).stat().st_ino for name in names}
    for number in (1, 2):
        assert run(target, slides, part=(number, 2)).patches == 0
    for slide in slides.iterdir():
        os.utime(slide)
    for number in (1, 2):
        assert run(target, slides, part=(number, 2)).patches == 0
    with Library.open(target) as library:
        merge(library)
    after = {name: (target / "embeddings.zarr" / name).stat().st_ino for name in names}
    assert after == before
    assert content(target) == single


def test_parts_over_other_folders_of_one_name_are_not_merged(slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    other = shutil.copytree(slides, tmp_path / "other" / "s")
    run(target, slides, part=(1, 2))
    run(target, other, part=(2, 2))
    with Library.open(target) as library:
        with pytest.raises(SlideIdClashError, match="one id could be two slides"):
            merge(library)
        assert library.slides() == []


def test_a_magnification_that_is_added_later_encodes_only_itself(slides, tmp_path, single):
    target = tmp_path / "l.pathsearch"
    first = run(target, slides)
    both = IndexSettings(**SETTINGS.model_dump() | {"specs": (TileSpec(), COARSE)})
    second = run(target, slides, settings=both)
    assert 0 < second.patches < first.patches
    assert run(target, slides, settings=both).patches == 0
    assert [s for s in content(target)[0] if s in single[0]] == single[0]
    with pytest.raises(UsageError, match="other settings"):
        run(target, slides, settings=IndexSettings(specs=(TileSpec(stride_px=112),)))


def test_a_magnification_that_is_too_fine_fails_alone(slides, tmp_path, single):
    target = tmp_path / "l.pathsearch"
    fine = TileSpec(mpp=0.1)
    specs = (fine, TileSpec())
    settings = IndexSettings(**SETTINGS.model_dump() | {"specs": specs})
    report = run(target, slides, settings=settings)
    assert {o.code for o in report.of("failed")} == {"resolution-too-coarse", "slide-unreadable"}
    assert report.patches == sum(s[2] for s in single[0])
    with Library.open(target) as library:
        failed = {r.slide_id: (r.status, r.error_spec) for r in library.slides("failed")}
    assert failed["s0.tiff"] == ("indexed", fine.name)
    assert failed["broken.tiff"] == ("failed", "")
    again = run(target, slides, settings=settings)
    assert {o.code for o in again.of("failed")} == {"resolution-too-coarse", "slide-unreadable"}
    assert again.patches == 0


def test_a_changed_slide_whose_run_ended_between_two_magnifications_is_read_again(slides, tmp_path):
    folder = shutil.copytree(slides, tmp_path / "copy")
    settings = IndexSettings(**SETTINGS.model_dump() | {"specs": (TileSpec(), COARSE)})
    target = tmp_path / "l.pathsearch"
    run(target, folder, settings=settings)
    make_slide(folder / "s0.tiff", size=(1300, 1300), seed=50)

    class Stopping(Listener):
        seen = 0

        def patches(self, slide_id, done, total):
            self.seen += done == total
            if self.seen == 2:  # of the second magnification, not committed yet
                raise KeyboardInterrupt

    assert run(target, folder, settings=settings, listener=Stopping()).interrupted
    run(target, folder, settings=settings)
    with Library.open(target) as library:
        prints = {s.fingerprint for s in library.segments() if s.slide_id == "s0.tiff"}
        assert prints == {library.slide("s0.tiff").fingerprint}


def test_a_resolution_that_was_given_holds_when_the_file_changes(slides, tmp_path):
    from PIL import Image

    folder, target = tmp_path / "s", tmp_path / "l.pathsearch"
    folder.mkdir()
    for seed in (1, 2):
        with open_slide(slides / f"s{seed}.tiff") as made:
            Image.fromarray(made.read(0, 0, 1300, 1300, made.mpp)).save(folder / "a.png")
        encoder = PlainEncoder()
        with open_or_create(target, SETTINGS, encoder, "plain") as library:
            sources = find_sources(
                [folder / "a.png"], library=library, mpp=made.mpp if seed == 1 else None
            )
            report = index_slides(library, sources, encoder, SETTINGS)
        assert report.counts["indexed"] == 1, report.outcomes


def test_facts_and_the_log_say_how_it_was_made(slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    encoder = PlainEncoder()
    encoder.runtime, encoder.precision = "torch", "bf16"
    run(target, slides, encoder=encoder)
    with Library.open(target) as library:
        assert {(s.facts["runtime"], s.facts["precision"]) for s in library.segments()} == {
            ("torch", "bf16")
        }
        (only,) = library.runs()
        assert only.counts["indexed"] == 5
        lines = {line.slide_id: line.message for line in library.run_log(only.number)}
        assert lines["s3.tiff"].startswith("indexed: ")
        assert lines["broken.tiff"].startswith("slide-unreadable: ")


def test_a_second_indexer_is_refused_and_a_reader_sees_whole_slides_only(slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    run(target, slides)
    shutil.rmtree(target)
    seen = []

    class Looking(Listener):
        def patches(self, slide_id, done, total):
            with Library.open(target) as other:
                seen.append([len(other.read_segment(s)) == s.rows for s in other.segments()])
                with pytest.raises(LibraryLockedError, match="is writing this library"):
                    other.writer().__enter__()

    run(target, slides, listener=Looking())
    assert max(map(len, seen)) == 4  # the fifth slide was still open
    assert all(all(whole) for whole in seen)


def test_the_plan_says_what_the_run_does(slides, tmp_path, single, monkeypatch):
    monkeypatch.setattr("pathsearch.indexing.plan.SECONDS", 1.0)
    target = tmp_path / "l.pathsearch"
    encoder = PlainEncoder()
    plan = make_plan(target, None, find_sources([slides]), encoder, SETTINGS)
    assert not target.exists()
    assert (plan.found, plan.unchanged, plan.to_read, plan.counted_on) == (6, 0, 5, 5)
    assert [o.slide_id for o in plan.failed] == ["broken.tiff"]
    assert plan.patches == sum(segment[2] for segment in single[0])
    assert plan.patches_per_second > 0
    assert plan.seconds == pytest.approx(plan.patches / plan.patches_per_second)
    run(target, slides)
    held = sum(f.stat().st_size for f in target.rglob("*") if f.is_file())
    assert 0.5 < plan.bytes / held < 2
    with Library.open(target) as library:
        sources = find_sources([slides], library=library)
        rest = make_plan(target, library, sources, encoder, SETTINGS)
    assert (rest.unchanged, rest.to_read, rest.patches, rest.seconds) == (5, 0, 0, 0.0)


def test_a_plan_of_many_slides_counts_on_some(slides, tmp_path, monkeypatch, single):
    monkeypatch.setattr("pathsearch.indexing.plan.SECONDS", 0.1)
    monkeypatch.setattr("pathsearch.indexing.plan.SAMPLE", 3)
    plan = make_plan(tmp_path / "l", None, find_sources([slides]), PlainEncoder(), SETTINGS)
    whole = sum(segment[2] for segment in single[0])
    assert plan.counted_on < plan.to_read
    assert 0.5 * whole < plan.patches < 2 * whole


def test_a_fault_of_the_encoder_ends_the_run_at_once(slides, tmp_path):
    class Broken(PlainEncoder):
        def encode(self, pixels):
            return super().encode(pixels) * 3

    target = tmp_path / "l.pathsearch"
    settings = SETTINGS.model_copy(update={"workers": 3, "slides": SlideSettings()})
    with pytest.raises(PathsearchError, match="not of length 1"):
        run(target, slides, settings=settings, encoder=Broken())
    with Library.open(target) as library:
        assert library.segments() == []
        assert "stopped" in library.run_log(1)[-1].message
