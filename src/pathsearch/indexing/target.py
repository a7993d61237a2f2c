"""The library that a run writes to: opened, made, given another magnification."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.config import IndexSettings, TileSpec
from pathsearch.errors import EncoderMismatchError, LibraryExistsError, UsageError
from pathsearch.nouns import Encoder

if TYPE_CHECKING:
    from pathsearch.library import EncoderRecord, Library


def is_there(path: Path) -> bool:
    """Whether there is a library to open; what is there but is none is refused when opened."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def open_or_create(path: Path, settings: IndexSettings, encoder: Encoder, source: str) -> Library:
    """The library at `path`; a new one where there is none.

    Parameters
    ----------
    path : Path
    settings : IndexSettings
        With the specs of a new library.
    encoder : Encoder
    source : str
        What `pathsearch.encoders.load_encoder` takes, for an encoder that may not be copied.

    Raises
    ------
    EncoderMismatchError
        The library's vectors are of another encoder.
    """
    from pathsearch.library import Library

    if not is_there(path):
        try:
            return _create(path, settings.specs, encoder, source)
        except LibraryExistsError:  # another part of a job array was faster
            pass
    library = Library.open(path)
    if library.encoder.fingerprint != encoder.fingerprint:
        have = library.encoder
        library.close()
        raise EncoderMismatchError(
            f"{path} was made with {have.name} ({have.fingerprint[:12]}), not with "
            f"{encoder.name} ({encoder.fingerprint[:12]}). Leave --encoder out, or name a new "
            "library.",
            expected=have.fingerprint,
            got=encoder.fingerprint,
        )
    return library


def _create(path: Path, specs: Sequence[TileSpec], encoder: Encoder, source: str) -> Library:
    from pathsearch.library import EncoderRecord

    record = EncoderRecord(
        name=encoder.name,
        dim=encoder.dim,
        input_px=encoder.input_px,
        mpp_range=encoder.mpp_range,
        fingerprint=encoder.fingerprint,
        storage="copy" if encoder.copyable else "reference",
        source=source,
    )
    return create_with_encoder(path, specs, record, encoder)


def create_with_encoder(
    path: Path, specs: Sequence[TileSpec], record: EncoderRecord, encoder: Encoder
) -> Library:
    """A new library that holds a copy of its encoder where the licence permits."""
    import tempfile

    from pathsearch.library import Library

    if record.storage != "copy":
        return Library.create(path, specs=specs, encoder=record, encoder_files=None)
    with tempfile.TemporaryDirectory(prefix="pathsearch-") as folder:
        encoder.save(folder)
        return Library.create(path, specs=specs, encoder=record, encoder_files=Path(folder))


def add_specs(library: Library, specs: Sequence[TileSpec]) -> tuple[str, ...]:
    """Give a library the magnifications that it lacks; slides are cut by the next run.

    Returns
    -------
    tuple of str
        What the user should know, one line each.

    Raises
    ------
    UsageError
        The library has another spec of one of the names.
    """
    new = [spec for spec in specs if library.specs.get(spec.name) != spec]
    if not new:
        return ()
    with library.writer() as writer:
        for spec in new:
            writer.add_spec(spec)
    names = ", ".join(spec.name for spec in new)
    return (f"{names} is new in this library: slides that it lacks are cut at it now.",)


def refuse_other_specs(library: Library, specs: Sequence[TileSpec]) -> None:
    """UsageError where a library has other specs than were asked for by name or numbers."""
    for spec in specs:
        have = library.specs.get(spec.name)
        if have != spec:
            names = ", ".join(library.specs)
            raise UsageError(
                f"{library.path} holds {names}, not {spec.name}: leave --spec-mpp out, name a "
                "new library, or add the magnification under 'specs:' in a --config file."
            )
