"""`pathsearch index --from LIB`: the slides of a library with another encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.config import IndexSettings
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.cli.index import Request
    from pathsearch.indexing import Listener, Report
    from pathsearch.nouns import Encoder


def run_from(
    request: Request,
    settings: IndexSettings,
    load: Callable[[Path, IndexSettings], tuple[Encoder, str]],
    listener: Listener,
) -> Report:
    """Index the slides of ``request.from_library`` into ``request.library``, then its reviews."""
    from pathsearch.indexing import index_slides
    from pathsearch.indexing.carry import carried
    from pathsearch.indexing.drawn import with_regions
    from pathsearch.indexing.target import open_or_create, refuse_other_specs
    from pathsearch.library import Library
    from pathsearch.review.carry import carry_reviews

    assert request.from_library is not None
    if request.from_library.resolve() == request.library.resolve():
        raise UsageError("--from and --library are one library: name a new one with --library.")
    with Library.open(request.from_library) as old:
        what = carried(old)
        sources, notes = list(what.sources), list(what.notes)
        if request.regions is not None:
            sources, more = with_regions(sources, request.regions, settings.regions_mode)
            notes = [*notes, *more]
        settings = settings.model_copy(update={"specs": what.specs})
        encoder, word = load(request.library, settings)
        with open_or_create(request.library, settings, encoder, word) as library:
            refuse_other_specs(library, what.specs)
            report = index_slides(
                library,
                sources,
                encoder,
                settings,
                listener=listener,
                retry_failed=request.retry_failed,
            )
            if not report.interrupted and carry_reviews(old, library):
                notes.append("Its reviews were copied; they name the encoder they were asked with.")
    return replace(report, notes=(*notes, *report.notes))
