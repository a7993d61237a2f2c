"""Everything that can go wrong, as one tree of typed errors.

Each error stores its fields, prints as one line that says what is wrong and what to
do next, has a stable code (listed in ``docs/errors.md``), and survives pickling.

PathsearchError
├── UsageError                  wrong words, wrong settings            usage
│   └── ConfigError             a settings file that does not fit      config-invalid
├── SlideError                  one slide; the run goes on
│   ├── SlideNotFoundError                                             slide-not-found
│   ├── SlideUnreadableError    no reader opens it                     slide-unreadable
│   ├── SlideFormatError        known format, reader not installed     format-not-installed
│   ├── MppMissingError         no resolution in the file              mpp-missing
│   ├── MppInsaneError          a resolution no microscope has         mpp-insane
│   ├── MppAnisotropicError     x and y differ                         mpp-anisotropic
│   ├── ResolutionTooCoarseError                                       resolution-too-coarse
│   ├── SlideTooLargeError      declared size is absurd                slide-too-large
│   ├── ReadFailedError         pixels cannot be read                  read-failed
│   ├── BadTilesError           too large a share of corrupt tiles     bad-tiles
│   ├── FeaturesError           a file of features does not fit        features-invalid
│   ├── SlideTimeoutError       no progress before the deadline        slide-timeout
│   └── SlideCrashedError       the reading process died               slide-crashed
├── EncoderError
│   ├── EncoderNotFoundError                                           encoder-not-found
│   ├── EncoderInvalidError     a folder or file that does not load    encoder-invalid
│   └── EncoderMismatchError    vectors of two encoders                encoder-mismatch
├── LibraryError
│   ├── LibraryNotFoundError                                           library-not-found
│   ├── LibraryExistsError                                             library-exists
│   ├── LibraryFormatError      written by another format version      library-format
│   ├── LibraryCorruptError                                            library-corrupt
│   ├── LibraryLockedError      another writer is at work              library-locked
│   ├── LibraryReadOnlyError                                           library-read-only
│   ├── LibraryWriteError       disk full, disk fault                  library-write-failed
│   ├── SegmentGoneError        compacted since it was listed          segment-gone
│   └── SlideIdClashError       two slides would get one id            slide-id-clash
├── IndexFileError              a derived index file does not fit      index-invalid
├── QueryError                  a question that cannot be asked        query-invalid
├── ReviewError                 reviews cannot be kept or read         review-failed
│   └── ReviewNotFoundError     no such review or collection           review-not-found
├── TrainingError                                                      training-failed
└── ExtraMissingError           an optional dependency is missing      extra-missing
"""

from __future__ import annotations

from typing import Any, ClassVar


class PathsearchError(Exception):
    """The root of the tree.

    Parameters
    ----------
    message : str
        One line: what is wrong, and what to do.
    **fields
        The facts behind the message, kept as attributes.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.fields)

    def __str__(self) -> str:
        return self.message


def _rebuild(cls: type[PathsearchError], message: str, fields: dict[str, Any]) -> PathsearchError:
    return cls(message, **fields)


class UsageError(PathsearchError):
    """Wrong words or settings; the command line exits with 2."""

    code = "usage"


class ConfigError(UsageError):
    """A settings file that is not valid."""

    code = "config-invalid"


class SlideError(PathsearchError):
    """Something is wrong with one slide; a run over many goes on."""

    code = "slide-error"


class SlideNotFoundError(SlideError):
    """No such file, or no such id in the library."""

    code = "slide-not-found"


class SlideUnreadableError(SlideError):
    """No reader opens the file."""

    code = "slide-unreadable"


class SlideFormatError(SlideError):
    """The format is known, but its reader is not installed."""

    code = "format-not-installed"


class MppMissingError(SlideError):
    """The file does not say how many µm a pixel is."""

    code = "mpp-missing"


class MppInsaneError(SlideError):
    """The file states a resolution outside 0.05 to 10 µm per pixel."""

    code = "mpp-insane"


class MppAnisotropicError(SlideError):
    """The µm per pixel of x and y differ."""

    code = "mpp-anisotropic"


class ResolutionTooCoarseError(SlideError):
    """The slide would have to be enlarged by more than 1.5 times."""

    code = "resolution-too-coarse"


class SlideTooLargeError(SlideError):
    """The declared size is beyond what is accepted."""

    code = "slide-too-large"


class ReadFailedError(SlideError):
    """The slide opens, but pixels cannot be read."""

    code = "read-failed"


class BadTilesError(SlideError):
    """More than the set share of the patches could not be read."""

    code = "bad-tiles"


class FeaturesError(SlideError):
    """A file of features does not hold, or say, what is needed."""

    code = "features-invalid"


class SlideTimeoutError(SlideError):
    """Reading made no progress before the deadline."""

    code = "slide-timeout"


class SlideCrashedError(SlideError):
    """The process that read the slide died."""

    code = "slide-crashed"


class EncoderError(PathsearchError):
    """Something is wrong with an encoder."""

    code = "encoder-error"


class EncoderNotFoundError(EncoderError):
    """No such folder, file or built-in name."""

    code = "encoder-not-found"


class EncoderInvalidError(EncoderError):
    """The files are there but do not make an encoder."""

    code = "encoder-invalid"


class EncoderMismatchError(EncoderError):
    """Vectors of two encoders would be mixed."""

    code = "encoder-mismatch"


class LibraryError(PathsearchError):
    """Something is wrong with a library."""

    code = "library-error"


class LibraryNotFoundError(LibraryError):
    """There is no library at this place."""

    code = "library-not-found"


class LibraryExistsError(LibraryError):
    """There is something at the place of a new library."""

    code = "library-exists"


class LibraryFormatError(LibraryError):
    """The library was written in a format that this version does not read."""

    code = "library-format"


class LibraryCorruptError(LibraryError):
    """The library's parts contradict each other."""

    code = "library-corrupt"


class LibraryLockedError(LibraryError):
    """Another process writes this library."""

    code = "library-locked"


class LibraryReadOnlyError(LibraryError):
    """The library's folder cannot be written."""

    code = "library-read-only"


class LibraryWriteError(LibraryError):
    """Writing failed: the disk is full or faulty. Nothing is half-written."""

    code = "library-write-failed"


class SegmentGoneError(LibraryError):
    """A segment was removed and compacted after it was listed; list again."""

    code = "segment-gone"


class SlideIdClashError(LibraryError):
    """Two different slides would get the same id."""

    code = "slide-id-clash"


class IndexFileError(PathsearchError):
    """A derived index file is damaged or does not fit; it can be rebuilt."""

    code = "index-invalid"


class QueryError(PathsearchError):
    """A question that cannot be asked of this library."""

    code = "query-invalid"


class ReviewError(PathsearchError):
    """A review, a collection or an export cannot be kept, read or made."""

    code = "review-failed"


class ReviewNotFoundError(ReviewError):
    """No review or collection of that name."""

    code = "review-not-found"


class TrainingError(PathsearchError):
    """Training cannot start or go on."""

    code = "training-failed"


class ExtraMissingError(PathsearchError):
    """An optional dependency is not installed; the message names the extra."""

    code = "extra-missing"


def all_codes() -> dict[str, type[PathsearchError]]:
    """Every code and its class, for the documentation and its test."""
    found: dict[str, type[PathsearchError]] = {}
    stack: list[type[PathsearchError]] = [PathsearchError]
    while stack:
        cls = stack.pop()
        found[cls.code] = cls
        stack.extend(cls.__subclasses__())
    return found
