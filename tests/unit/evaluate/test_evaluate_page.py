"""The HTML page, and what the command prints."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from evaluate_cases import CLASSES, Small, write_pictures, write_table

from pathsearch.cli.evaluate import evaluate_command
from pathsearch.errors import UsageError
from pathsearch.evaluate.measuring import Options, measure
from pathsearch.evaluate.page import chosen, write_page
from pathsearch.evaluate.sets import picture_source


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def table(tmp_path):
    return write_pictures(tmp_path)


def test_the_page_stands_alone(table, tmp_path):
    source = picture_source(table)
    evaluation = measure(source, Small(), Options(against=Small(seed=2)))
    write_page(tmp_path / "page.html", evaluation, source)
    reader = Reader()
    reader.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "script" not in reader.tags
    assert reader.sources
    assert all(s.startswith("data:image/jpeg;base64,") for s in reader.sources)
    text = " ".join(reader.text)
    for word in (*CLASSES, "plain-0", "plain-2", "floor: histogram", "Best", "Worst"):
        assert word in text
    assert f"{100 * evaluation.to_json()['p5']:.1f}" in text


def test_names_are_escaped(table, tmp_path):
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    evil = "<script>alert(1)</script>"
    rows = [(p, evil if label == "dots" else label, g) for p, label, g in rows]
    write_table(table, ("path", "label", "group"), rows)
    source = picture_source(table)
    evaluation = measure(source, Small(), Options(floors=False))
    write_page(tmp_path / "page.html", evaluation, source)
    assert "<script" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_best_and_worst_of_each_class(table):
    source = picture_source(table)
    evaluation = measure(source, Small(), Options(floors=False))
    picked = chosen(evaluation)
    assert set(picked) == set(CLASSES)
    ap = evaluation.judged.figures.ap
    for name, (best, worst) in picked.items():
        rows = (evaluation.labels == name).nonzero()[0]
        assert max(ap[rows]) == ap[best[0]]
        assert min(ap[rows]) == ap[worst[0]]
        assert not set(best) & set(worst)


def test_without_pictures_there_are_tables(table, tmp_path):
    evaluation = measure(picture_source(table), Small(), Options(floors=False))
    write_page(tmp_path / "page.html", evaluation, None)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<table>" in text
    assert "<img" not in text


# ---------------------------------------------------------------------- the command


@pytest.fixture
def run(monkeypatch):
    import pathsearch.cli.evaluate as module

    monkeypatch.setattr(module, "_load", lambda spec, device: Small(int(spec or 0)))

    def call(*words):
        runner = CliRunner()
        return runner.invoke(
            evaluate_command, [str(word) for word in words], obj={}, catch_exceptions=False
        )

    return call


def test_json_is_one_line(run, table):
    result = run(table, "--encoder", "0", "--json")
    answer = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert answer["n"] == 18
    assert set(answer["floors"]) == {"random", "mean_colour", "histogram"}


def test_the_table_shows_floors_and_comparison(run, table, tmp_path):
    page = tmp_path / "p.html"
    result = run(table, "--encoder", "0", "--against", "3", "--robustness", "--html", page)
    text = result.stdout
    for word in ("random weights", "mean colour", "histogram", "95% interval", "plain-3", "dots"):
        assert word in text
    assert re.search(r"Turned and mirrored: [\d.]+%", text)
    assert re.search(r"Re-stained: [\d.]+%", text)
    assert page.exists()
    assert "Wrote" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{table}", "--regions", "{table}"), "go with a library"),
        (("{table}", "--spec", "x"), "go with a library"),
        (("{table}", "--mpp", "0.5"), "pictures are as they are"),
        (("{folder}",), "give --regions"),
        (("{folder}", "--encoder", "0", "--regions", "{table}"), "stored vectors"),
        (("{folder}/missing.csv",), "cannot be read"),
    ],
)
def test_wrong_words_are_one_clear_line(run, table, words, message):
    words = [word.format(table=table, folder=table.parent) for word in words]
    with pytest.raises(UsageError, match=message):
        run(*words)
