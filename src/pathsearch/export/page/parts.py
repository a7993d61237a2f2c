"""The pieces of the page; everything that comes from outside is escaped here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from pathsearch import __version__
from pathsearch.export.dossier import Dossier, Item

_SAID = {"accept": "accepted", "reject": "rejected", "unsure": "unsure", "": "not judged"}
_STRANGE = "\N{REPLACEMENT CHARACTER}"
CITATION = (
    f"The pathsearch authors. pathsearch: similar-tissue search for digital pathology, version "
    f"{__version__} [computer software]."
)


def card(item: Item, near: str | None, far: str | None, *, quiz: bool) -> str:
    """One match: its picture, and what there is to say about it.

    Parameters
    ----------
    item : Item
    near, far : str or None
        ``data:`` addresses of the place and of its surroundings.
    quiz : bool
        Hide what it is until it is asked for.
    """
    what = f"Place {item.number}" if item.rank == 0 else f"Match {item.number}"
    alt = what if quiz else f"{what}, slide {item.slide_id}"
    if near is None:
        picture = '<span class="gone">The slide was not at hand</span>'
    else:
        picture = f'<img src="{near}" alt="{_text(alt)}" decoding="async" width="256" height="256">'
        if far is not None:
            picture += f'<img src="{far}" alt="Surroundings of {_text(alt)}" hidden>'
    told = _told(item)
    if quiz:
        told = f'<details class="answer"><summary>Show the answer</summary>{told}</details>'
    score = "" if item.score is None or quiz else f"{item.score:.6f}"
    data = {
        "number": str(item.number),
        "score": score or "0",
        "slide": "" if quiz else item.slide_id,
        "case": "" if quiz else item.case_id,
        "verdict": item.decision,
    }
    if far is not None:
        data["far"] = ""
    attributes = "".join(f' data-{key}="{_text(value)}"' for key, value in data.items())
    return (
        f'<li class="card"{attributes}><button type="button" class="pic" '
        f'aria-label="{_text(alt)}: show it larger">{picture}</button>'
        f'<div class="text">{_head(item, quiz=quiz)}{told}</div></li>'
    )


def _head(item: Item, *, quiz: bool) -> str:
    parts = [f'<span class="n">{item.number}</span>']
    if item.decision and not quiz:
        parts.append(f'<span class="chip {item.decision}">{_SAID[item.decision]}</span>')
    if item.control:
        parts.append('<span class="chip plain">random control</span>')
    if item.score is None or quiz:
        return f'<div class="line">{"".join(parts)}</div>'
    parts.append(f'<span class="score" title="Cosine similarity, -1 to 1">{item.score:.3f}</span>')
    line = f'<div class="line">{"".join(parts)}</div>'
    share = max(0.0, min(1.0, item.score))
    line += f'<div class="meter" aria-hidden="true"><i style="width:{100 * share:.1f}%"></i></div>'
    if item.percentile is not None:
        line += (
            f'<div class="soft" title="Compared with what searches in this library find at this '
            f'rank">closer than {item.percentile:.0f}% of what searches here usually find</div>'
        )
    return line


def _told(item: Item) -> str:
    parts = []
    if item.label:
        parts.append(f'<div><span class="chip plain">{_text(item.label)}</span></div>')
    if item.note:
        parts.append(f'<p class="note">{_text(item.note)}</p>')
    parts.append(f'<div class="name">{_text(item.slide_id)}</div>')
    rows = [("case", item.case_id), *((k, str(v)) for k, v in sorted(item.metadata.items()))]
    rows.append(("place", f"{item.footprint.x}, {item.footprint.y} px"))
    if item.reviewer:
        rows.append(("judged by", item.reviewer + (", blinded" if item.blinded else "")))
    pairs = "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in rows if v)
    return "".join(parts) + f'<dl class="meta">{pairs}</dl>'


def toolbar(dossier: Dossier) -> str:
    """Sorting and filters; a filter that would have one choice is left out."""
    sorts = [("number", "as found" if dossier.kind != "collection" else "as collected")]
    if not dossier.quiz and any(item.score is not None for item in dossier.items):
        sorts += [("best", "closest first"), ("worst", "farthest first")]
    if not dossier.quiz:
        sorts += [("slide", "by slide"), ("case", "by case")]
    if any(item.decision for item in dossier.items):
        sorts.append(("verdict", "by verdict"))
    options = "".join(f'<option value="{value}">{text}</option>' for value, text in sorts)
    parts = [f'<label>Sort<select id="sort">{options}</select></label>']
    if not dossier.quiz:
        parts.append(_choice("slide", "Slide", [i.slide_id for i in dossier.items]))
        parts.append(_choice("case", "Case", [i.case_id for i in dossier.items]))
    if any(item.decision for item in dossier.items):
        parts.append(_choice("verdict", "Verdict", [i.decision for i in dossier.items]))
    parts.append(
        '<label class="size">Size<input id="size" type="range" min="130" max="420" value="208">'
        "</label>"
    )
    parts.append('<button type="button" id="reset">Reset</button>')
    if dossier.quiz:
        parts.append('<button type="button" id="answers">Show all answers</button>')
    parts.append('<output id="count" aria-live="polite"></output>')
    return f'<div class="bar" role="group" aria-label="Sort and filter">{"".join(parts)}</div>'


def _choice(name: str, title: str, values: Sequence[str]) -> str:
    counts = Counter(values)
    if len(counts) < 2:
        return ""
    options = ['<option value="*">all</option>']
    for value in sorted(counts, key=lambda v: (v == "", v.casefold())):
        told = _SAID.get(value, value) if name == "verdict" else value or "(none)"
        options.append(f'<option value="={_text(value)}">{_text(told)} ({counts[value]})</option>')
    return f'<label>{title}<select id="by-{name}">{"".join(options)}</select></label>'


def lead(dossier: Dossier) -> str:
    """The line below the title."""
    slides = len({item.slide_id for item in dossier.items})
    cases = len({item.case_id for item in dossier.items if item.case_id})
    what = "places" if dossier.kind == "collection" else "matches"
    text = f"{len(dossier.items)} {what} from {slides} slide{'s' * (slides != 1)}"
    if cases:
        text += f" of {cases} case{'s' * (cases != 1)}"
    if "Magnification" in dossier.facts:
        text += f", {dossier.facts['Magnification']}"
    if dossier.pseudonymised:
        text += " · names replaced by pseudonyms"
    return f'<p class="lead">{_text(text)}</p>'


def slide_table(dossier: Dossier) -> str:
    """How much of each slide looks like the question; empty where it was not measured."""
    if not dossier.shares:
        return ""
    rows = []
    top = max((share.share for share in dossier.shares), default=0) or 1
    for share in dossier.shares:
        own = ' <span class="chip plain">asked here</span>' if share.own else ""
        width = f"{100 * share.share / top:.1f}%"
        rows.append(
            f"<tr><td>{_text(share.slide_id)}{own}</td><td>{_text(share.case_id)}</td>"
            f'<td><div class="meter"><i style="width:{width}"></i></div></td>'
            f'<td class="num">{100 * share.share:.1f}%</td>'
            f'<td class="num">{share.area_mm2:.2f}</td><td class="num">{share.best:.3f}</td></tr>'
        )
    how = _text(dossier.threshold_told)
    return (
        f'<h2>Slides that hold this</h2><p class="soft">{how}</p><div class="wide"><table><thead>'
        '<tr><th scope="col">Slide</th><th scope="col">Case</th>'
        '<th scope="col"><span class="skip">Bar</span></th>'
        '<th scope="col" class="num">Share of its tissue</th>'
        '<th scope="col" class="num">mm²</th><th scope="col" class="num">Best score</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def figures(dossier: Dossier) -> str:
    """What the verdicts say in figures; empty without verdicts."""
    if not dossier.figures:
        return ""
    rows = "".join(
        f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in dossier.figures
    )
    return (
        '<h2>What the verdicts say</h2><div class="wide"><table><tbody>'
        f"{rows}</tbody></table></div>"
    )


def provenance(dossier: Dossier) -> str:
    """Where it comes from, and a paragraph for a paper."""
    pairs = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in dossier.facts.items()
    )
    parts = [f'<h2>Provenance</h2><dl class="facts">{pairs}</dl>']
    if dossier.kind != "collection":
        parts.append(f'<h2>Methods</h2><p class="methods">{_text(methods(dossier))}</p>')
    parts.append(f'<h2>Citation</h2><p class="methods">{_text(CITATION)}</p>')
    parts.append(
        '<p class="soft methods">For research and teaching; not for diagnosis. Pictures show '
        "tissue of the named slides; label and macro images are never read.</p>"
    )
    return "".join(parts)


def methods(dossier: Dossier) -> str:
    """How it was found, in the past tense, as a paper would say it."""
    facts = dossier.facts
    text = (
        f"Similar tissue was searched with pathsearch {__version__} (see Citation). "
        f"The question ({facts.get('Question', '')}) was asked at "
        f"{facts.get('Magnification', '')}: patches were turned into embeddings by the encoder "
        f"{facts.get('Encoder', '')}, and {facts.get('Searched', 'all patches')} were ranked by "
        f"cosine similarity; patches on the question's own spot were never returned. "
        f"Completeness: {facts.get('Recall', '')}. "
        "The percentile of a match is the share of library patches, asked as questions under the "
        "same exclusion, whose match at the same rank scored lower."
    )
    if dossier.kind == "review":
        text += f" Matches were judged by eye: {facts.get('Verdicts', '')}."
    if dossier.pseudonymised:
        text += " Names of slides and cases were replaced by keyed pseudonyms (HMAC-SHA256)."
    return text


def notes(dossier: Dossier) -> str:
    """What a reader should know before the matches."""
    lines = "".join(f"<li>{_text(note)}</li>" for note in dossier.notes)
    return f'<div class="said"><ul>{lines}</ul></div>' if lines else ""


def _text(value: object) -> str:
    """Any value as text that is safe between tags and in quoted attributes."""
    clean = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(value)
    )
    return escape(clean, quote=True)
