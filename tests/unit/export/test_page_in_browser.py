"""The page in headless Chromium: layout, sort, filter, keyboard, and names that mean harm."""

from __future__ import annotations

import shutil
from dataclasses import replace

import export_cases as cases
import pytest

from pathsearch.export.dossier import of_answer
from pathsearch.export.page import write_page
from pathsearch.nouns import Footprint
from pathsearch.search.slide_shares import SlideShare

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

DECISIONS = ["accept", "reject", "unsure", ""]


@pytest.fixture(scope="module")
def file(library, searched, tmp_path_factory):
    dossier = of_answer(library, searched[1], title=f"Title {cases.HOSTILE}")
    shares = [
        SlideShare("b.tiff", "patient-b", 20, 8, 0.4, 0.9, 0.95, Footprint(0, 0, 9, 9), 1.0),
        SlideShare("sub/c.tiff", "", 20, 4, 0.2, 0.85, 0.9, Footprint(0, 0, 9, 9), 0.5),
        SlideShare(cases.HOSTILE, cases.BREAKOUT, 9, 0, 0.0, 0.3, 0.3, Footprint(0, 0, 9, 9), 0.0),
    ]
    items = tuple(
        replace(item, decision=DECISIONS[n % 4], label=cases.BREAKOUT, note=cases.HOSTILE)
        for n, item in enumerate(dossier.items)
    )
    path = tmp_path_factory.mktemp("page") / "page.html"
    notes = (cases.BREAKOUT, "</style></script><script>document.title='owned'</script>")
    write_page(path, library, replace(
        dossier, items=items, notes=notes, kind="review", shares=tuple(shares),
        threshold_told="Patches count from 0.8 on.",
    ))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, file):
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.said = []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on(
        "request",
        lambda r: None if r.url.startswith(("data:", file.as_uri())) else opened.said.append(r.url),
    )
    opened.goto(file.as_uri())
    yield opened
    assert opened.said == []
    assert opened.title().startswith("Title <img")
    opened.close()


def numbers(page):
    cards = page.locator(".card:visible")
    return [int(card.get_attribute("data-number")) for card in cards.all()]


@pytest.mark.parametrize("width", [1400, 390])
def test_it_fits_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [card.bounding_box() for card in page.locator(".card").all()]
    assert len(boxes) == 12
    across = len({round(box["x"]) for box in boxes})
    assert across == (2 if width == 390 else 6)
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    sizes = page.evaluate(
        "Array.from(document.querySelectorAll('.pic .near img'), i => i.naturalWidth)"
    )
    assert sizes == [256] * 12
    page.locator(".pic").last.click()
    large = page.locator("dialog[open]").bounding_box()
    assert large["x"] >= 0
    assert large["x"] + large["width"] <= width
    assert page.locator("dialog .frame.near").bounding_box()["y"] >= large["y"]
    assert page.locator("#close").evaluate("e => e === document.activeElement")
    page.click("#close")


def test_names_are_text_and_do_nothing(page):
    assert page.locator("h1").inner_text() == f"Title {cases.HOSTILE}"
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("script").count() == 1
    assert cases.HOSTILE in page.locator(".note").first.inner_text()
    names = set(page.locator(".card .name").all_inner_texts())
    assert names <= {cases.HOSTILE, "b.tiff", "sub/c.tiff"}
    assert cases.HOSTILE in page.locator("#by-slide").inner_text()
    assert cases.BREAKOUT in page.locator(".said").inner_text()


def test_it_sorts_and_filters(page):
    assert numbers(page) == list(range(1, 13))
    page.select_option("#sort", "worst")
    assert numbers(page) == list(range(12, 0, -1))
    page.select_option("#sort", "verdict")
    assert [n % 4 for n in numbers(page)] == [1] * 3 + [3] * 3 + [2] * 3 + [0] * 3
    page.select_option("#by-verdict", "=accept")
    assert numbers(page) == [1, 5, 9]
    assert page.locator("#count").inner_text() == "3 of 12 shown"
    page.click("#reset")
    assert numbers(page) == list(range(1, 13))
    page.select_option("#by-slide", "=b.tiff")
    shown = page.locator(".card:visible .name").all_inner_texts()
    assert set(shown) == {"b.tiff"}
    page.select_option("#by-case", "=")
    assert page.locator("#none").is_visible()
    page.select_option("#by-slide", "*")
    assert set(page.locator(".card:visible .name").all_inner_texts()) == {"sub/c.tiff"}


def test_a_scale_bar_is_as_long_as_it_says(page):
    # 224 px of 0.5 µm: 112 µm wide, so that a bar of 20 µm takes 20/112 of it
    bar, box = (page.locator(f".card .near {s}").first for s in (".scale", "img"))
    assert bar.inner_text() == "20 µm"
    share = bar.bounding_box()["width"] / box.bounding_box()["width"]
    assert share == pytest.approx(20 / 112, abs=0.01)


def test_the_surroundings_can_be_shown_for_all_at_once(page):
    assert page.locator(".card .near:visible").count() == 12
    page.select_option("#view", "far")
    assert page.locator(".card .near:visible").count() == 0
    assert page.locator(".card .far:visible").count() == 12
    page.click("#reset")
    assert page.locator(".card .near:visible").count() == 12


def test_slides_are_ranked_beside_the_question_and_in_a_table(page):
    table = page.locator("table").last
    assert page.locator(".first li").count() == 2
    assert page.locator(".first li span").first.inner_text() == "b.tiff"
    heads = table.locator("thead th").all_inner_texts()
    assert heads == ["Slide", "Case", "Share of its tissue", "", "mm²", "Strength", "Best score",
                     "Matches here", "Accepted", "Rejected"]  # fmt: skip
    names = table.locator("tbody th").all_inner_texts()
    assert [name.removesuffix(" asked here") for name in names] == [
        "b.tiff", "sub/c.tiff", cases.HOSTILE,
    ]  # fmt: skip
    cells = table.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells[:1] + cells[2:6] == ["patient-b", "40.0%", "1.00", "0.900", "0.950"]
    counts = [int(c) for c in table.locator("tbody td:nth-child(8)").all_inner_texts()]
    assert sum(counts) == 12
    bars = [b.bounding_box()["width"] for b in table.locator("i").all()]
    assert bars[0] > bars[1] * 1.9
    assert "from 0.8 on" in page.locator("main").inner_text()


def test_the_keyboard_does_it_all(page):
    page.locator(".pic").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    large = page.locator("dialog[open]")
    assert large.locator(".n").inner_text() == "8"
    assert large.locator("#place").inner_text() == "8 of 12"
    page.keyboard.press("ArrowRight")
    assert large.locator(".n").inner_text() == "9"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert large.locator(".n").inner_text() == "7"
    assert large.locator("#far img").evaluate("i => i.naturalWidth") == 560
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    focused = page.evaluate("document.activeElement.closest('.card').dataset.number")
    assert focused == "7"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.closest('.card').dataset.number") == "12"


def test_everything_has_a_name_for_a_screen_reader(page):
    for button in page.locator("button:visible").all():
        assert (button.get_attribute("aria-label") or button.inner_text()).strip()
    for image in page.locator("img:visible").all():
        assert image.get_attribute("alt")
    for choice in page.locator("select:visible, input:visible").all():
        assert choice.evaluate("e => e.labels.length") == 1
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator("[aria-live]").count() == 1


def test_dark_light_and_paper(page):
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert page.locator(".card").count() == 12
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"


def test_a_quiz_hides_its_answers(browser, library, answer, tmp_path):
    from pathsearch.export.dossier import of_collection
    from pathsearch.review import Collections

    with Collections(library) as sets:
        held = sets.add(f"Quiz {tmp_path.name}", answer.matches[:3], label="edge", caption="rim")
    path = tmp_path / "quiz.html"
    write_page(path, library, of_collection(library, held, quiz=True))
    page = browser.new_page()
    page.goto(path.as_uri())
    for word in ("edge", "rim", answer.matches[0].key.slide_id, "organ"):
        assert word not in page.locator("main").inner_text()
    page.click("#answers")
    assert "edge" in page.locator("main").inner_text()
    page.click("#answers")
    page.emulate_media(media="print")
    assert "edge" not in page.locator("body").inner_text()
    page.emulate_media(media="screen")
    page.locator(".pic").first.click()
    assert "edge" not in page.locator("dialog").inner_text()
    page.keyboard.press("a")
    assert "rim" in page.locator("dialog").inner_text()
    page.close()
