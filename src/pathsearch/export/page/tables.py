"""What stands below the matches: figures, slides and cases, provenance, methods, citation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from pathsearch import __version__
from pathsearch.export.page.parts import text
from pathsearch.export.records import Dossier, Item
from pathsearch.search.slide_shares import SlideShare

CITATION = (
    f"The pathsearch authors. pathsearch: similar-tissue search for digital pathology, version "
    f"{__version__} [computer software]."
)
#: Bars beside the question.
_FIRST = 5
#: Rows of a table at most, besides those that have matches on the page.
_MOST = 200

Column = tuple[str, Callable[[SlideShare], str], bool]


def first_slides(dossier: Dossier) -> str:
    """The slides that hold most of it, beside the question; empty where it was not measured."""
    shares = [share for share in dossier.shares if share.hits][:_FIRST]
    if not shares or dossier.quiz:
        return ""
    rows = "".join(
        f"<li><span>{text(share.slide_id)}</span>{_bar(share, dossier.shares)}"
        f"<b>{100 * share.share:.1f}%</b></li>"
        for share in shares
    )
    more = len([share for share in dossier.shares if share.hits]) - len(shares)
    told = f'<a href="#slides">{f"and {more} more; " if more else ""}the table</a>'
    return (
        f'<div class="first"><h2>Slides that hold this</h2><ol>{rows}</ol>'
        f'<p class="soft small">Share of each slide\'s tissue · {told}</p></div>'
    )


def slides(dossier: Dossier) -> str:
    """By slide and by case: how much looks like it, how many matches, how they were judged."""
    if dossier.quiz or not dossier.items or dossier.kind == "collection":
        return ""
    parts = ['<h2 id="slides">By slide</h2>']
    if dossier.shares:
        parts = ['<h2 id="slides">Slides that hold this</h2>']
        parts.append(f'<p class="soft">{text(dossier.threshold_told)}</p>')
    slide_of = {item.slide_id: item.case_id for item in dossier.items}
    shares = {share.slide_id: share for share in dossier.shares}
    slide_of |= {name: share.case_id for name, share in shares.items()}
    names = list(dict.fromkeys((*shares, *_by_count(dossier.items, lambda i: i.slide_id))))
    held: dict[str, list[Item]] = defaultdict(list)
    for item in dossier.items:
        held[item.slide_id].append(item)
    rows = [(name, slide_of[name], held.get(name, [])) for name in names]
    parts.append(_table(("Slide", "Case"), rows, shares, dossier))
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if slide_of[name]:
            groups[slide_of[name]].append(name)
    if any(len(group) > 1 for group in groups.values()) and len(groups) > 1:
        parts.append("<h2>By case</h2>" + _cases(groups, shares, dossier))
    return "".join(parts)


def _by_count(items: Sequence[Item], of: Callable[[Item], str]) -> list[str]:
    return [name for name, _ in Counter(map(of, items)).most_common()]


def _cases(groups: dict[str, list[str]], shares: dict[str, SlideShare], dossier: Dossier) -> str:
    from pathsearch.review.across import by_case

    whole = {share.case_id: share for share in by_case(tuple(shares.values())) if share.case_id}
    order = [*whole, *(name for name in groups if name not in whole)]
    held: dict[str, list[Item]] = defaultdict(list)
    for item in dossier.items:
        held[item.case_id].append(item)
    rows = [(case, str(len(groups[case])), held.get(case, [])) for case in order]
    return _table(("Case", "Slides"), rows, whole, dossier)


def _table(
    heads: tuple[str, str],
    rows: Sequence[tuple[str, str, Sequence[Item]]],
    shares: dict[str, SlideShare],
    dossier: Dossier,
) -> str:
    judged = any(item.decision for item in dossier.items)
    kept = [row for place, row in enumerate(rows) if place < _MOST or row[2]]
    left = len(rows) - len(kept)
    rows, lines = kept, []
    for name, second, items in rows:
        share = shares.get(name)
        own = ' <span class="chip plain">asked here</span>' if share and share.own else ""
        cells = f'<th scope="row">{text(name)}{own}</th><td>{text(second)}</td>'
        if shares:
            cells += _share_cells(share, tuple(shares.values()))
        cells += f'<td class="num">{len(items)}</td>'
        if judged:
            for decision in ("accept", "reject"):
                count = sum(item.decision == decision for item in items)
                cells += f'<td class="num">{count}</td>'
        lines.append(f"<tr>{cells}</tr>")
    titles = [(heads[0], ""), (heads[1], "")]
    if shares:
        titles += [
            ("Share of its tissue", " class=bars"),
            ("", " class=num"),
            ("mm²", " class=num"),
        ]
        titles += [("Strength", " class=num"), ("Best score", " class=num")]
    titles.append(("Matches here", " class=num"))
    if judged:
        titles += [("Accepted", " class=num"), ("Rejected", " class=num")]
    head = "".join(f'<th scope="col"{kind}>{title}</th>' for title, kind in titles)
    more = f"<p class=soft>{left:,} more hold less; pathsearch slides lists all.</p>"
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{heads[0]}s, a table"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    ) + (more if left else "")


def _share_cells(share: SlideShare | None, all_shares: Sequence[SlideShare]) -> str:
    if share is None:
        return '<td></td><td class="num"></td><td class="num"></td><td></td><td></td>'
    strength = f"{share.strength:.3f}" if share.hits else "–"
    return (
        f'<td>{_bar(share, all_shares)}</td><td class="num">{100 * share.share:.1f}%</td>'
        f'<td class="num">{share.area_mm2:.2f}</td><td class="num">{strength}</td>'
        f'<td class="num">{share.best:.3f}</td>'
    )


def _bar(share: SlideShare, all_shares: Sequence[SlideShare]) -> str:
    top = max((other.share for other in all_shares), default=0) or 1
    width = f"{100 * share.share / top:.1f}%"
    return f'<span class="meter" aria-hidden="true"><i style="width:{width}"></i></span>'


def figures(dossier: Dossier) -> str:
    """What the verdicts say in figures; empty without verdicts."""
    if not dossier.figures:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>'
        for name, value in dossier.figures
    )
    return (
        '<h2>What the verdicts say</h2><div class="wide"><table><tbody>'
        f"{rows}</tbody></table></div>"
    )


def provenance(dossier: Dossier) -> str:
    """Where it comes from, a paragraph for a paper, and how to cite it."""
    pairs = [("Example" + " (not like this)" * shot.against, f"{shot.name}, {shot.where}")
             for shot in dossier.shots if shot.where]  # fmt: skip
    pairs += list(dossier.facts.items())
    told = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs)
    parts = [f'<section><h2>Provenance</h2><dl class="facts">{told}</dl></section><section>']
    if dossier.kind != "collection":
        parts.append(f'<h2>Methods</h2><p class="methods">{text(methods(dossier))}</p>')
    parts.append(f'<h2>Citation</h2><p class="methods">{text(CITATION)}</p>')
    parts.append(
        '<p class="soft methods">For research and teaching; not for diagnosis. Pictures show '
        "tissue of the named slides; label and macro images are never read.</p></section>"
    )
    return "".join(parts)


def methods(dossier: Dossier) -> str:
    """How it was found, in the past tense, as a paper would say it."""
    facts = dossier.facts
    said = (
        f"Similar tissue was searched with pathsearch {__version__} (see Citation). "
        f"The question ({facts.get('Question', '')}) was asked at "
        f"{facts.get('Magnification', '')}: patches were turned into embeddings by the encoder "
        f"{facts.get('Encoder', '')}, and {facts.get('Searched', 'all patches')} were ranked by "
        f"cosine similarity; patches on the question's own spot were never returned. "
        f"Completeness: {facts.get('Recall', '')}. "
        "The percentile of a match is the share of library patches, asked as questions under the "
        "same exclusion, whose match at the same rank scored lower."
    )
    if dossier.kind == "review" and "Verdicts" in facts:
        said += f" Matches were judged by eye: {facts['Verdicts']}."
        if dossier.rounds > 1:
            said += f" The question was asked in {dossier.rounds} rounds ({facts['Rounds']})."
        said += " Intervals of precision are Wilson's, 95%." if dossier.figures else ""
    if dossier.shares:
        said += f" Slides were ranked by the share of their tissue. {dossier.threshold_told}"
    if dossier.pseudonymised:
        said += " Names of slides and cases were replaced by keyed pseudonyms (HMAC-SHA256)."
    return said
