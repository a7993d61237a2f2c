"""The whole evaluation of an encoder on a set of labelled patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderInvalidError
from pathsearch.evaluate import floors, judging, robustness
from pathsearch.evaluate.judging import Judged, Strings
from pathsearch.evaluate.sources import PatchSource
from pathsearch.metrics import summary
from pathsearch.nouns import Encoder

__all__ = ["Evaluation", "Options", "measure", "measure_vectors"]

Floats = npt.NDArray[np.float32]
Describe = Callable[[npt.NDArray[np.uint8]], Floats]


@dataclass(frozen=True)
class Options:
    """What is measured beside the figures themselves.

    Attributes
    ----------
    against : Encoder, optional
        A second encoder, compared query by query.
    floors : bool
        Random weights, mean colour and colour histogram.
    robustness : bool
        Rotation stability and stain robustness; up to 11 times 400 patches more to encode.
    seed : int
        Of everything that is drawn by chance.
    batch_size : int
        Patches read at once.
    """

    against: Encoder | None = None
    floors: bool = True
    robustness: bool = False
    seed: int = 0
    batch_size: int = 64


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes
    ----------
    encoder : str
        Its name.
    labels, groups : str arrays, shape (n,)
    judged : Judged
        Neighbours and figures of every query.
    floors : dict of name to Judged
    against : tuple of name and Judged, optional
    rotation, stain : dict, optional
        See `robustness`.
    notes : tuple of str
        What the reader should know.
    seed : int
    """

    encoder: str
    labels: Strings
    groups: Strings
    judged: Judged
    floors: dict[str, Judged] = field(default_factory=dict)
    against: tuple[str, Judged] | None = None
    rotation: dict[str, Any] | None = None
    stain: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The answer of ``pathsearch evaluate --json``.

        Returns
        -------
        dict
            ``n``, ``classes`` (figures of each), ``acc1``, ``mmv5``, ``p5``, ``map5``
            (fractions 0..1, classes weigh the same), ``floors``; besides ``encoder``,
            ``intervals``, ``confusion``, ``notes``, and what else was asked for.
        """
        out: dict[str, Any] = {"n": len(self.labels)}
        out["classes"] = judging.per_class(self.judged, self.labels)
        out |= summary(self.judged.figures, self.labels)
        out["floors"] = {
            name: summary(judged.figures, self.labels) for name, judged in self.floors.items()
        }
        out["encoder"] = self.encoder
        out["intervals"] = judging.intervals(self.judged, self.labels, self.groups, self.seed)
        out["confusion"] = judging.confusion(self.judged, self.labels)
        if self.against is not None:
            name, judged = self.against
            out["against"] = {
                "encoder": name,
                **summary(judged.figures, self.labels),
                "differences": judging.difference(
                    self.judged, judged, self.labels, self.groups, self.seed
                ),
            }
        if self.rotation is not None:
            out["rotation"] = self.rotation
        if self.stain is not None:
            out["stain"] = self.stain
        out["notes"] = list(self.notes)
        return out


def measure(source: PatchSource, encoder: Encoder, options: Options | None = None) -> Evaluation:
    """Encode the patches of `source` and judge every one as a query.

    Each patch is read once for the encoder and all floors together.

    Parameters
    ----------
    source : PatchSource
    encoder : Encoder
    options : Options, optional

    Raises
    ------
    UsageError
        No query can be answered, because every label occurs within one group only.
    SlideError
        A patch cannot be read.
    EncoderInvalidError
        The encoder returns vectors that are not finite.
    """
    options = options or Options()
    describers: dict[str, Describe] = {"": encoder.encode}
    if options.against is not None:
        describers["against"] = options.against.encode
    random = floors.random_weights(encoder, options.seed) if options.floors else None
    if random is not None:
        describers |= {
            "random": random.features,
            "mean_colour": floors.mean_colour,
            "histogram": floors.colour_histogram,
        }
    described = describe(source, describers, options.batch_size)
    if random is not None:
        described["random"] = whitened(described["random"], random.dim)
    evaluation = measure_vectors(source.labels, source.groups, described, encoder.name, options)
    if not options.robustness:
        return evaluation
    arguments = (source, encoder, described[""], evaluation.judged.order, options.seed)
    return _with(
        evaluation,
        rotation=robustness.rotation_stability(*arguments),
        stain=robustness.stain_robustness(*arguments),
    )


def measure_vectors(
    labels: Strings,
    groups: Strings,
    described: dict[str, Floats],
    encoder: str,
    options: Options | None = None,
) -> Evaluation:
    """Judge vectors that are there already.

    Parameters
    ----------
    labels, groups : str arrays, shape (n,)
    described : dict of name to float32 array, shape (n, dim)
        Under the empty name those of the encoder, under ``against`` those of another one;
        any further name is a floor.
    encoder : str
        Its name.
    options : Options, optional
    """
    options = options or Options()
    rest = dict(described)
    judged = judging.judge(_finite(rest.pop(""), encoder), labels, groups)
    against = None
    if options.against is not None and "against" in rest:
        name = options.against.name
        theirs = judging.judge(_finite(rest.pop("against"), name), labels, groups)
        against = (name, theirs)
    return Evaluation(
        encoder=encoder,
        labels=labels,
        groups=groups,
        judged=judged,
        floors={name: _floor(name, vectors, labels, groups) for name, vectors in rest.items()},
        against=against,
        notes=_notes(judged, labels),
        seed=options.seed,
    )


def describe(
    source: PatchSource, describers: dict[str, Describe], batch_size: int = 64
) -> dict[str, Floats]:
    """All descriptors of all patches, each patch read once.

    Returns
    -------
    dict of name to float32 array, shape (n, dim of that descriptor)
    """
    out: dict[str, Floats] = {}
    n = len(source.labels)
    for rows, pixels in source.stream(batch_size):
        for name, function in describers.items():
            values = function(pixels)
            if name not in out:
                out[name] = np.full((n, values.shape[1]), np.nan, dtype=np.float32)
            out[name][rows] = values
    return out


def _floor(name: str, vectors: Floats, labels: Strings, groups: Strings) -> Judged:
    # Angles between mean colours say little: all of them are some kind of pink.
    metric = "euclidean" if name == "mean_colour" else "cosine"
    return judging.judge(vectors, labels, groups, metric)  # type: ignore[arg-type]


def whitened(features: Floats, dim: int) -> Floats:
    """Features (n, f) to unit vectors (n, dim), by a whitening that is fitted on themselves."""
    from pathsearch.encoders.whitening import fit_whitening

    return fit_whitening(features, dim).apply(features)


def _finite(vectors: Floats, encoder: str) -> Floats:
    if not np.isfinite(vectors).all():
        raise EncoderInvalidError(
            f"{encoder}: returns vectors that are not finite; its weights are damaged.",
            spec=encoder,
        )
    return vectors


def _notes(judged: Judged, labels: Strings) -> tuple[str, ...]:
    lost = sorted(set(labels.tolist()) - set(labels[judged.figures.valid].tolist()))
    if not lost:
        return ()
    return (
        f"Left out of the average, because all their patches are of one group: {', '.join(lost)}.",
    )


def _with(evaluation: Evaluation, **changes: Any) -> Evaluation:
    from dataclasses import replace

    return replace(evaluation, **changes)
