"""The pieces of the page around a match; everything that comes from outside is escaped here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

from pathsearch.export.records import Dossier, Item

SAID = {"accept": "accepted", "reject": "rejected", "unsure": "unsure", "": "not judged"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of the page.

    Attributes
    ----------
    source : str
        ``data:`` address.
    side : int
        Pixels; it is square.
    bar : str
        What the scale bar says, e.g. ``50 µm``; empty for none.
    bar_share : float
        Length of the bar in widths of the picture.
    """

    source: str
    side: int
    bar: str = ""
    bar_share: float = 0.0


def card(
    item: Item, near: Shown | None, far: Shown | None, *, quiz: bool, same: Collection[str] = ()
) -> str:
    """One match: its picture, and what there is to say about it.

    Parameters
    ----------
    item : Item
    near, far : Shown or None
        The place and its surroundings.
    quiz : bool
        Hide what it is until it is asked for.
    same : collection of str
        Columns of metadata that say the same of all: only told in the larger view.
    """
    what = f"Place {item.number}" if item.rank == 0 else f"Match {item.number}"
    alt = what if quiz else f"{what}, slide {item.slide_id}"
    if near is None:
        picture = '<span class="gone">The slide was not at hand</span>'
    else:
        picture = frame(near, alt, "near")
        if far is not None:
            picture += frame(far, f"Surroundings of {alt}", "far")
    told = _told(item, same)
    if quiz:
        told = f'<details class="answer"><summary>Show the answer</summary>{told}</details>'
    score = "0" if item.score is None or quiz else f"{item.score:.6f}"
    data = {
        "number": str(item.number),
        "score": score,
        "slide": "" if quiz else item.slide_id,
        "case": "" if quiz else item.case_id,
        "label": "" if quiz else item.label,
        "verdict": "" if quiz else item.decision,
    }
    attributes = "".join(f' data-{key}="{text(value)}"' for key, value in data.items())
    named = alt if quiz or not item.decision else f"{alt}, {SAID[item.decision]}"
    return (
        f'<li class="card"{attributes}><button type="button" class="pic" '
        f'aria-label="{text(named)}: show it larger">{picture}</button>'
        f'<div class="text">{_head(item, quiz=quiz)}{told}</div></li>'
    )


def frame(shown: Shown, alt: str, name: str) -> str:
    """A picture with its scale bar, which the browser draws: sharp at any size."""
    bar = ""
    if shown.bar:
        width = f"{100 * shown.bar_share:.2f}%"
        bar = f'<span class="scale" aria-hidden="true" style="width:{width}">{shown.bar}</span>'
    return (
        f'<span class="frame {name}"><img src="{shown.source}" alt="{text(alt)}" '
        f'decoding="async" width="{shown.side}" height="{shown.side}">{bar}</span>'
    )


def _head(item: Item, *, quiz: bool) -> str:
    pieces = [f'<span class="n">{item.number}</span>']
    if item.decision and not quiz:
        pieces.append(f'<span class="chip {item.decision}">{SAID[item.decision]}</span>')
    if item.control:
        pieces.append('<span class="chip plain">random control</span>')
    if item.score is None or quiz:
        return f'<div class="line">{"".join(pieces)}</div>'
    pieces.append(f'<span class="score" title="Cosine similarity, -1 to 1">{item.score:.3f}</span>')
    line = f'<div class="line">{"".join(pieces)}</div>'
    if item.percentile is not None:
        line += (
            '<div class="meter" aria-hidden="true">'
            f'<i style="width:{max(0.0, min(100.0, item.percentile)):.1f}%"></i></div>'
            '<div class="soft small" title="Compared with what searches in this library find at '
            f'this rank">closer than {item.percentile:.0f}% of what searches here usually find'
            "</div>"
        )
    return line


def _told(item: Item, same: Collection[str]) -> str:
    pieces = []
    if item.label:
        pieces.append(f'<div><span class="chip plain">{text(item.label)}</span></div>')
    if item.note:
        pieces.append(f'<p class="note">{text(item.note)}</p>')
    pieces.append(f'<div class="name">{text(item.slide_id)}</div>')
    box = item.footprint
    size = f"{box.width * item.mpp:.0f} × {box.height * item.mpp:.0f} µm"
    judged = item.reviewer + (", blinded" if item.blinded else "")
    rows = [("case", item.case_id, False)]
    rows += [(k, str(v), k in same) for k, v in sorted(item.metadata.items())]
    rows.append(("place", f"{size} at {box.x}, {box.y} px", True))
    rows.append(("judged by", f"{judged}, {item.judged_at[:10]}" if item.reviewer else "", True))
    pairs = "".join(
        f"<div{' class=more' if more else ''}><dt>{text(k)}</dt><dd>{text(v)}</dd></div>"
        for k, v, more in rows
        if v
    )
    return "".join(pieces) + f'<dl class="meta">{pairs}</dl>'


def toolbar(dossier: Dossier) -> str:
    """Sorting and filters; a filter that would have one choice is left out."""
    items = dossier.items
    judged = any(item.decision for item in items) and not dossier.quiz
    sorts = [("number", "as found" if dossier.kind != "collection" else "as collected")]
    if not dossier.quiz:
        if any(item.score is not None for item in items):
            sorts += [("best", "closest first"), ("worst", "farthest first")]
        sorts += [("slide", "by slide"), ("case", "by case")]
    if judged:
        sorts.append(("verdict", "by verdict"))
    pieces = [_options("Sort", "sort", sorts)] if len(sorts) > 1 else []
    if not dossier.quiz:
        pieces.append(_choice("slide", "Slide", [i.slide_id for i in items]))
        pieces.append(_choice("case", "Case", [i.case_id for i in items]))
        pieces.append(_choice("label", "Class", [i.label for i in items]))
    if judged:
        pieces.append(_choice("verdict", "Verdict", [i.decision for i in items]))
    views = [("near", "the place"), ("far", "its surroundings")]
    pieces.append(_options("Pictures", "view", views))
    pieces.append(
        '<label class="size">Size<input id="size" type="range" min="130" max="420" value="208">'
        "</label>"
    )
    pieces.append('<button type="button" id="reset">Reset</button>')
    if dossier.quiz:
        pieces.append('<button type="button" id="answers">Show all answers</button>')
    pieces.append('<output id="count" aria-live="polite"></output>')
    return f'<div class="bar" role="group" aria-label="Sort and filter">{"".join(pieces)}</div>'


def _options(title: str, name: str, options: Sequence[tuple[str, str]]) -> str:
    told = "".join(f'<option value="{value}">{words}</option>' for value, words in options)
    return f'<label>{title}<select id="{name}">{told}</select></label>'


def _choice(name: str, title: str, values: Sequence[str]) -> str:
    counts = Counter(values)
    if len(counts) < 2:
        return ""
    options = ['<option value="*">all</option>']
    for value in sorted(counts, key=lambda v: (v == "", v.casefold())):
        told = SAID.get(value, value) if name == "verdict" else value or "(none)"
        options.append(f'<option value="={text(value)}">{text(told)} ({counts[value]})</option>')
    return f'<label>{title}<select id="by-{name}">{"".join(options)}</select></label>'


def lead(dossier: Dossier) -> str:
    """The line below the title."""
    slides = len({item.slide_id for item in dossier.items})
    cases = len({item.case_id for item in dossier.items if item.case_id})
    what = "place" if dossier.kind == "collection" else "match"
    said = f"{_counted(len(dossier.items), what)} from {_counted(slides, 'slide')}"
    if cases:
        said += f" of {_counted(cases, 'case')}"
    if "Magnification" in dossier.facts:
        said += f", {dossier.facts['Magnification']}"
    if dossier.pseudonymised:
        said += " · names replaced by pseudonyms"
    return f'<p class="lead">{text(said)}</p>'


def _counted(number: int, word: str) -> str:
    plural = word + ("es" if word.endswith("ch") else "s")
    return f"{number} {word if number == 1 else plural}"


def glance(dossier: Dossier, same: Sequence[tuple[str, str]]) -> str:
    """What a reader should know before the matches: how it was asked, and what to mind.

    Parameters
    ----------
    dossier : Dossier
    same : sequence of (column, value)
        Metadata that say the same of all matches.
    """
    facts = dossier.facts
    rows = [(name, facts[name]) for name in ("Question", "Verdicts") if name in facts]
    if "Searched" in facts:
        rows.insert(1, ("Searched", f"{facts['Searched']}; {facts['Recall']}"))
    if same and not dossier.quiz:
        rows.append(("All of them", ", ".join(f"{name} {value}" for name, value in same)))
    pairs = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in rows)
    told = f'<dl class="facts">{pairs}</dl>' if pairs else ""
    lines = "".join(f"<li>{text(note)}</li>" for note in dossier.notes)
    told += f"<ul>{lines}</ul>" if lines else ""
    return f'<div class="said">{told}</div>' if told else ""


def text(value: object) -> str:
    """Any value as text that is safe between tags and in quoted attributes."""
    clean = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(value)
    )
    return escape(clean, quote=True)
