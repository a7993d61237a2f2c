"""From the words of `pathsearch index` to a run, or to a plan of one."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathsearch.config import IndexSettings, TileSpec, load_yaml
from pathsearch.errors import UsageError
from pathsearch.indexing.target import add_specs, is_there, open_or_create, refuse_other_specs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress

    from pathsearch.cli.index import Request
    from pathsearch.indexing import Report, Source
    from pathsearch.indexing.plan import Plan
    from pathsearch.library import Library
    from pathsearch.nouns import Encoder


def settings_of(request: Request) -> IndexSettings:
    """The settings file, with what the command line overrides."""
    settings = load_yaml(request.config, IndexSettings) if request.config else IndexSettings()
    changes: dict[str, Any] = {}
    if request.encoder:
        changes["encoder"] = request.encoder
    if request.regions_mode:
        changes["regions_mode"] = request.regions_mode
    if request.device:
        changes["device"] = request.device
    if request.workers:
        changes["workers"] = request.workers
    if request.spec_mpp is not None:
        if request.config:
            raise UsageError("--spec-mpp and --config both say the resolution: leave one out.")
        try:
            changes["specs"] = (TileSpec(mpp=request.spec_mpp),)
        except ValueError:
            raise UsageError("--spec-mpp must be 0.05 to 10 µm per pixel.") from None
    return settings.model_copy(update=changes)


def run(request: Request, bar: Progress | None) -> Report:
    """Index what was asked for.

    Raises
    ------
    UsageError
        The words do not fit together, or not this library.
    """
    from pathsearch.cli.index_display import listener_of
    from pathsearch.indexing import index_slides

    settings = settings_of(request)
    if request.from_library is not None:
        from pathsearch.cli.carry import run_from

        return run_from(request, settings, _encoder, listener_of(bar))
    # Everything that can be wrong with the words comes before the encoder, which takes seconds,
    # and before a library is made
    sources, notes = _sources(request, settings)
    encoder, source = _encoder(request.library, settings)
    with open_or_create(request.library, settings, encoder, source) as library:
        notes += _fit_specs(library, request, settings)
        report = index_slides(
            library,
            sources,
            encoder,
            settings,
            listener=listener_of(bar),
            retry_failed=request.retry_failed,
            part=request.part,
        )
        return replace(report, notes=(*notes, *report.notes))


def plan(request: Request, bar: Progress | None) -> Plan:
    """What `run` would do; nothing is written."""
    from pathsearch.cli.index_display import listener_of
    from pathsearch.indexing.plan import make_plan
    from pathsearch.indexing.run import part_of

    settings = settings_of(request)
    sources, _ = _sources(request, settings)
    if request.part is not None:
        number, count = request.part
        sources = [s for s in sources if part_of(s.slide_id, count) == number]
    encoder, _ = _encoder(request.library, settings)
    with _opened(request.library) as library:
        return make_plan(
            request.library,
            library,
            sources,
            encoder,
            settings,
            listener=listener_of(bar),
            retry_failed=request.retry_failed,
        )


def _fit_specs(library: Library, request: Request, settings: IndexSettings) -> list[str]:
    """The settings' magnifications are added; a resolution in words is compared."""
    if request.spec_mpp is not None:
        refuse_other_specs(library, settings.specs)
    elif "specs" in settings.model_fields_set:
        return list(add_specs(library, settings.specs))
    return []


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Library | None]:
    from pathsearch.library import Library

    if not is_there(path):
        yield None
        return
    with Library.open(path) as library:
        yield library


def _sources(request: Request, settings: IndexSettings) -> tuple[list[Source], list[str]]:
    """The slides, and what there is to say about them."""
    from pathsearch.indexing.drawn import with_regions

    with _opened(request.library) as library:
        sources = _found(request, library)
    if request.regions is None:
        return sources, []
    return with_regions(sources, request.regions, settings.regions_mode)


def _found(request: Request, library: Library | None) -> list[Source]:
    from pathsearch.indexing import find_sources
    from pathsearch.indexing.manifest import read_manifest
    from pathsearch.indexing.sources import failed_sources

    if not request.slides and request.manifest is None:
        if library is None:
            raise UsageError(f"{request.library}: there is no library with failed slides yet.")
        return failed_sources(library, mpp=request.mpp)
    rows = []
    if request.manifest:
        rows = read_manifest(request.manifest, [Path(word) for word in request.slides])
    sources = find_sources(
        request.slides,
        manifest=rows,
        library=library,
        root_names=request.root_names,
        mpp=request.mpp,
    )
    if not sources:
        raise UsageError(f"no slides in {', '.join(request.slides) or request.manifest}.")
    return sources


def _encoder(path: Path, settings: IndexSettings) -> tuple[Encoder, str]:
    """The encoder that was named, else the library's own, else the built-in default."""
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.library import Library

    source = settings.encoder
    if not source and is_there(path):
        with Library.open(path) as library:
            source = str(library.encoder_source())
    source = source or DEFAULT
    encoder = load_encoder(source, device=settings.device, precision=settings.precision)
    if Path(source).exists():
        source = str(Path(source).resolve())
    return encoder, source
