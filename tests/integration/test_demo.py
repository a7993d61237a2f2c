"""The demo: fetched, offline, and with one's own slides."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading

import pytest
from PIL import Image

from pathsearch import demo
from pathsearch.testing import make_slide


@pytest.fixture
def server(tmp_path):
    """A web server on loopback; gives its address and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}", folder
        served.shutdown()
        thread.join()


def test_a_download_is_checked_and_kept(server, tmp_path, monkeypatch):
    url, folder = server
    (folder / "s.svs").write_bytes(b"pixels")
    monkeypatch.setattr(demo, "SLIDE_SHA256", hashlib.sha256(b"pixels").hexdigest())
    said = []
    (path,) = demo.demo_slides(tmp_path / "slides", f"{url}/s.svs", said.append)
    assert path.read_bytes() == b"pixels"
    assert url in said[0]
    (folder / "s.svs").unlink()
    said.clear()
    assert demo.demo_slides(tmp_path / "slides", f"{url}/s.svs", said.append) == [path]
    assert said == []  # what is there is not fetched again


@pytest.mark.parametrize("served", [b"something else", None])
def test_a_wrong_or_missing_file_leads_to_made_slides(server, tmp_path, monkeypatch, served):
    url, folder = server
    if served is not None:
        (folder / "s.svs").write_bytes(served)
    monkeypatch.setattr(demo, "made_slides", lambda folder: [folder / "made.tiff"])
    said = []
    target = tmp_path / "slides"
    assert demo.demo_slides(target, f"{url}/s.svs", said.append) == [target / "made.tiff"]
    assert "making slides instead" in said[-1]
    assert list(target.iterdir()) == []  # nothing half-fetched stays


def test_only_https_or_loopback_is_fetched(tmp_path):
    with pytest.raises(ValueError, match="not https"):
        demo.fetch("http://example.org/s.svs", tmp_path / "s.svs", "")


def test_the_whole_job_ends_with_a_picture(tmp_path):
    slides = [tmp_path / "a.tiff", tmp_path / "b.tiff"]
    for number, path in enumerate(slides):
        make_slide(path, size=(1600, 1600), seed=number)
    said = []
    result = demo.run_demo(tmp_path / "out", slides, train_seconds=2, say=said.append)
    assert [line[:3] for line in said if line[1] == "/"] == ["1/4", "2/4", "3/4", "4/4"]
    assert len(result.answer.matches) == 10
    assert result.answer.matches[0].percentile is not None
    with Image.open(result.picture) as picture:
        assert picture.width > 1000
    again = demo.run_demo(tmp_path / "out", slides, train_seconds=2, say=said.append)
    assert again.picture == result.picture
