"""An evaluation as one HTML file: figures, confusion, best and worst examples."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.evaluate.judging import FIGURES, K
from pathsearch.evaluate.measuring import Evaluation
from pathsearch.evaluate.sources import PatchSource

__all__ = ["write_page"]

#: Queries shown of each class, best and worst.
_EACH = 2
#: Side of a picture, pixels.
_SIDE = 128

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 68em; color: #1e1e1e }
table { border-collapse: collapse; margin: .8em 0 }
th, td { padding: .25em .8em; text-align: right }
th:first-child, td:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
.row { display: flex; gap: .5em; margin: .5em 0; flex-wrap: wrap } figure { margin: 0; width: 9em }
img { width: 100%; border: 4px solid #888; box-sizing: border-box; display: block }
.yes img { border-color: #0072b2 } .no img { border-color: #d55e00; border-style: dashed }
figcaption { font-size: 12px; overflow-wrap: anywhere }
"""


def write_page(path: Path | str, evaluation: Evaluation, source: PatchSource | None) -> None:
    """Write the page; it needs no other file and opens no connection.

    Parameters
    ----------
    path : Path or str
    evaluation : Evaluation
    source : PatchSource, optional
        Where the pictures of the examples are read; without it there are none.
    """
    answer = evaluation.to_json()
    parts = [
        f"<h1>{escape(evaluation.encoder)}: does like find like?</h1>",
        f"<p>{answer['n']} patches of {len(answer['classes'])} classes, each asked of all others "
        "outside its own group. Averages give every class the same weight.</p>",
        _figures(answer),
        "<h2>Classes</h2>",
        _classes(answer),
        f"<h2>What the first {K} are</h2><p>Rows: the query's class. Percent of its matches.</p>",
        _confusion(answer["confusion"]),
    ]
    if source is not None:
        parts += _examples(evaluation, source)
    parts += [f"<p>{escape(note)}</p>" for note in evaluation.notes]
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(evaluation.encoder)}</title><style>{_STYLE}</style>" + "\n".join(parts)
    )
    Path(path).write_text(text + "\n</html>\n", encoding="utf-8")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def _pct(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _figures(answer: dict[str, Any]) -> str:
    rows = [[answer["encoder"], *(_pct(answer[key]) for key in FIGURES)]]
    spans = [answer["intervals"][key] for key in FIGURES]
    rows.append(["95% interval", *(f"{_pct(low)} to {_pct(high)}" for low, high in spans)])
    if "against" in answer:
        against = answer["against"]
        rows.append([against["encoder"], *(_pct(against[key]) for key in FIGURES)])
    for name, line in answer["floors"].items():
        rows.append([f"floor: {name.replace('_', ' ')}", *(_pct(line[key]) for key in FIGURES)])
    return _table(["%", "acc@1", "mMV@5", "P@5", "mAP@5"], rows)


def _classes(answer: dict[str, Any]) -> str:
    rows = [
        [name, str(line["n"]), *(_pct(line[key]) for key in FIGURES)]
        for name, line in answer["classes"].items()
    ]
    return _table(["class", "n", "acc@1", "mMV@5", "P@5", "mAP@5"], rows)


def _confusion(confusion: dict[str, dict[str, float]]) -> str:
    names = list(confusion)
    head = "<tr><th></th>" + "".join(f"<th>{escape(n)}</th>" for n in names) + "</tr>"
    lines = [head]
    for name in names:
        cells = "".join(
            f'<td style="background:rgba(0,114,178,{share:.2f})">{100 * share:.0f}</td>'
            for share in confusion[name].values()
        )
        lines.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return "<table>" + "\n".join(lines) + "</table>"


def chosen(evaluation: Evaluation) -> dict[str, tuple[list[int], list[int]]]:
    """Queries to show: for each class the best and the worst, by average precision.

    Returns
    -------
    dict of label to (best, worst)
        Positions; no query is in both.
    """
    figures = evaluation.judged.figures
    out = {}
    for name in np.unique(evaluation.labels):
        rows = np.flatnonzero((evaluation.labels == name) & figures.valid)
        ranked = rows[np.argsort(-figures.ap[rows], kind="stable")].tolist()
        if ranked:
            worst = [row for row in ranked[::-1][:_EACH] if row not in ranked[:_EACH]]
            out[str(name)] = (ranked[:_EACH], worst)
    return out


def _examples(evaluation: Evaluation, source: PatchSource) -> list[str]:
    picked = chosen(evaluation)
    queries = [row for both in picked.values() for rows in both for row in rows]
    found = evaluation.judged.order[queries][:, :K]
    shown = np.unique(np.concatenate([np.array(queries), found[found >= 0]])).astype(np.int64)
    pictures: dict[int, str] = {}
    for rows, pixels in source.stream(rows=shown):
        for row, patch in zip(rows.tolist(), pixels, strict=True):
            pictures[row] = _picture(patch)
    parts = [
        "<h2>Examples</h2><p>Left the query, then its matches: solid frame for the same class, "
        "dashed for another.</p>"
    ]
    for name, (best, worst) in picked.items():
        parts.append(f"<h3>{escape(name)}</h3>")
        for title, these in (("Best", best), ("Worst", worst)):
            if these:
                parts.append(f"<p>{title}</p>")
            parts += [_row(evaluation, source, row, pictures) for row in these]
    return parts


def _row(evaluation: Evaluation, source: PatchSource, query: int, pictures: dict[int, str]) -> str:
    cells = [_figure("query", pictures[query], source.names[query])]
    for other in evaluation.judged.order[query, :K].tolist():
        if other >= 0:
            label = str(evaluation.labels[other])
            same = label == str(evaluation.labels[query])
            caption = f"{label}: {source.names[other]}"
            cells.append(_figure("yes" if same else "no", pictures[other], caption))
    return f'<div class="row">{"".join(cells)}</div>'


def _figure(kind: str, picture: str, caption: str) -> str:
    text = escape(caption)
    return (
        f'<figure class="{kind}"><img src="data:image/jpeg;base64,{picture}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _picture(patch: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    image = Image.fromarray(patch)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    held = io.BytesIO()
    image.save(held, "JPEG", quality=88)
    return base64.b64encode(held.getvalue()).decode("ascii")
