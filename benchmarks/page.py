"""The HTML page: bytes, seconds to write, seconds until a browser has drawn it.

::

    python -m benchmarks.page [--matches 20 100 500] [--library LIB --like EXAMPLE]

Without a library, made-up slides are indexed first. The browser is headless Chromium, driven by
playwright; without it, the last columns are left out.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from pathsearch.config import IndexSettings
from pathsearch.export.dossier import of_answer
from pathsearch.export.page import write_page
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.run import open_or_create
from pathsearch.library import Library
from pathsearch.nouns import Point, Query
from pathsearch.search import Searcher, parse_example
from pathsearch.testing import PlainEncoder, make_slide

REPEATS = 5
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matches", type=int, nargs="+", default=[20, 100, 500])
    parser.add_argument("--library", type=Path)
    parser.add_argument("--like")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if words.library:
            library = Library.open(words.library)
            searcher, query = Searcher(library), Query((parse_example(words.like),))
        else:
            library, searcher, query = _made(folder)
        print("matches      MB  written s  load ms  all pictures ms  filter ms  sort ms")
        for count in words.matches:
            answer = searcher.search(
                Query(query.like, spec=next(iter(library.specs)), k=count, exact=True)
            )
            path = folder / f"{count}.html"
            start = time.perf_counter()
            size = write_page(path, library, of_answer(library, answer))
            written = time.perf_counter() - start
            row = f"{len(answer.matches):7}  {size / 1e6:6.2f}  {written:9.1f}"
            print(row + _in_browser(path))
        library.close()


def _made(folder: Path) -> tuple[Library, Searcher, Query]:
    slides = folder / "slides"
    slides.mkdir()
    for number in range(8):
        make_slide(slides / f"slide-{number}.tiff", size=(5000, 4000), mpp=0.5, seed=number)
    encoder, settings = PlainEncoder(), IndexSettings()
    library = open_or_create(folder / "l.pathsearch", settings, encoder, "plain")
    index_slides(library, find_sources([slides], library=library), encoder, settings)
    segment = library.segments()[0]
    x, y = library.read_segment(segment).coords[0].tolist()
    return library, Searcher(library, encoder), Query((Point(segment.slide_id, x + 112, y + 112),))


def _in_browser(path: Path) -> str:
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return ""
    if program is None:
        return ""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        rows = [_once(browser, path) for _ in range(REPEATS)]
        browser.close()
    load, drawn, filtered, sorted_ = (median(column) for column in zip(*rows, strict=True))
    return f"  {load:7.0f}  {drawn:15.0f}  {filtered:9.0f}  {sorted_:7.0f}"


def _once(browser: object, path: Path) -> tuple[float, float, float, float]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})  # type: ignore[attr-defined]
    page.goto(path.as_uri())
    load = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    drawn = page.evaluate(
        "async () => { await Promise.all(Array.from("
        "document.querySelectorAll('img[src]'), i => i.decode()));"
        " return performance.now() }"
    )
    act = (
        "async ([id, value]) => { const start = performance.now(); const e ="
        " document.getElementById(id); e.value = value; e.dispatchEvent(new Event('change'));"
        " await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)));"
        " return performance.now() - start }"
    )
    choice = page.evaluate(
        "(() => { const e = document.getElementById('by-slide');"
        " return e && e.options[1].value })()"
    )
    filtered = page.evaluate(act, ["by-slide", choice]) if choice else float("nan")
    if choice:
        page.evaluate(act, ["by-slide", "*"])
    ordered = page.evaluate(act, ["sort", "worst"])
    page.close()
    return load, drawn, filtered, ordered


if __name__ == "__main__":
    main()
