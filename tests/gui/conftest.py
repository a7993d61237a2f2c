"""A real viewer for the tests. Without a display, Qt or napari they are left out.

`make test` runs them under Xvfb: ``pytest -p pytest-qt tests/gui``.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from pathlib import Path

import pytest

# Before napari is imported: no test reads or writes the user's own settings
_OWN = tempfile.mkdtemp(prefix="pathsearch-gui-")
os.environ["NAPARI_CONFIG"] = str(Path(_OWN, "napari.yaml"))
os.environ["PATHSEARCH_CONFIG_DIR"] = _OWN
os.environ["XDG_DATA_HOME"] = os.environ["XDG_CONFIG_HOME"] = _OWN

_READY = bool(
    (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.name == "nt")
    and importlib.util.find_spec("napari")
    and importlib.util.find_spec("qtpy")
)
#: napari 0.9 and what it is made of warn about each other
_THEIRS = (
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",
    "ignore::DeprecationWarning:napari[.].*",
    "ignore::FutureWarning:napari[.].*",
    "ignore::DeprecationWarning:vispy.*",
    "ignore::DeprecationWarning:app_model.*",
    "ignore::DeprecationWarning:npe2.*",
    "ignore::DeprecationWarning:superqt.*",
)


def pytest_ignore_collect(collection_path, config):
    """Leave the tests out where there can be no window."""
    if collection_path.name.startswith("test_"):
        return True if not (_READY and config.pluginmanager.hasplugin("pytest-qt")) else None
    return None


def pytest_collection_modifyitems(items):
    """Warnings of others are no errors of ours."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for theirs in _THEIRS:
                item.add_marker(pytest.mark.filterwarnings(theirs))


@pytest.fixture(scope="session")
def slides_dir(tmp_path_factory):
    """Three made-up slides of two cases, and a file that is none."""
    from pathsearch.testing import make_slide

    folder = tmp_path_factory.mktemp("slides")
    (folder / "sub").mkdir()
    sizes = {"a.tiff": (3000, 2400), "b.tiff": (1500, 1200), "sub/c.tiff": (1500, 1200)}
    for number, (name, size) in enumerate(sizes.items()):
        make_slide(folder / name, size=size, mpp=0.5, seed=number)
    (folder / "broken.svs").write_bytes(b"this is no slide")
    (folder / "cases.csv").write_text(
        "path,case_id,organ\na.tiff,C-1001,lung\nb.tiff,C-1001,skin\nsub/c.tiff,C-1002,lung\n"
    )
    return folder


@pytest.fixture(scope="session")
def library(slides_dir, tmp_path_factory):
    """A library of those slides, with the built-in encoder; its path. Do not change it."""
    from pathsearch.config import IndexSettings
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.indexing.manifest import read_manifest
    from pathsearch.indexing.target import open_or_create

    path = tmp_path_factory.mktemp("libraries") / "small.pathsearch"
    encoder, settings = load_encoder(DEFAULT, device="cpu"), IndexSettings()
    with open_or_create(path, settings, encoder, DEFAULT) as made:
        rows = read_manifest(slides_dir / "cases.csv")
        sources = find_sources([slides_dir], manifest=rows, library=made)
        report = index_slides(made, sources, encoder, settings)
    assert report.patches > 20
    return path


@pytest.fixture(scope="module")
def viewer(qapp):
    """One napari window for a module's tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import napari

        made = napari.Viewer(show=True)
        yield made
        from napari_pathsearch.session import session_of

        session_of(made).close()
        made.close()
        for _ in range(3):  # the window is deleted later
            qapp.processEvents()


@pytest.fixture
def until(qtbot, heard):
    """``until(condition)``: run the event loop until it holds; fail after 30 s."""

    def wait(condition, timeout=30_000):
        try:
            qtbot.waitUntil(lambda: bool(condition()), timeout=timeout)
        except qtbot.TimeoutError:
            pytest.fail(f"waited for {timeout / 1000:.0f} s; the viewer said: {heard}")

    return wait


@pytest.fixture
def heard():
    """The messages that the session gave the user, oldest first."""
    return []


@pytest.fixture
def session(viewer, until, heard):
    """The viewer's session; afterwards no slide is open and nothing runs."""
    from napari_pathsearch.session import session_of

    found = session_of(viewer)
    found.heard = heard
    found.said.connect(heard.append)
    yield found
    found.said.disconnect(heard.append)
    found.hide_names = False
    viewer.layers.clear()
    found.close_library()
    until(lambda: not found.running)


@pytest.fixture
def panel(viewer, session):
    """The dock widget."""
    from napari_pathsearch.panel import show_panel

    return show_panel(viewer)
