"""`pathsearch review`: what was kept of searches, and what comes of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.leaving import check_words, leaving_options, write_files
from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say
from pathsearch.cli.replaying import print_replay, replay_to_json
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.review import Review, Reviews
    from pathsearch.review.records import Decision

_DECISIONS: tuple[Decision, ...] = ("accept", "reject", "unsure")
_ID = click.argument("review", default="last", metavar="[ID]")
_DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")


@click.group("review")
@click.argument("library", type=click.Path(path_type=Path), metavar="LIB")
@verbose_option
@click.pass_context
def review_command(ctx: click.Context, library: Path) -> None:
    """Look at what was kept of searches in LIB: verdicts, exports, repetitions.

    ID is a review's id or the beginning of it; without, the one that changed last.
    """
    from pathsearch.library import Library
    from pathsearch.review import Reviews

    opened = ctx.with_resource(Library.open(library))
    ctx.obj["reviews"] = ctx.with_resource(Reviews(opened))


def _reviews() -> Reviews:
    reviews: Reviews = click.get_current_context().obj["reviews"]
    return reviews


def _warn(reviews: Reviews) -> None:
    for problem in reviews.problems:
        say(f"Not read: {problem}")


@review_command.command("list")
@json_option
def list_reviews(as_json: bool) -> int:
    """All reviews, the one that changed last first."""
    reviews = _reviews()
    found = reviews.list()
    _warn(reviews)
    if as_json:
        print_json([asdict(summary) for summary in found])
        return 0
    rows = [
        (
            s.review[:8],
            s.changed[:16].replace("T", " "),
            str(s.rounds),
            str(s.matches),
            f"{s.accepted}/{s.rejected}/{s.unsure}",
            ", ".join(s.reviewers),
            s.title,
        )
        for s in found
    ]
    if not rows:
        say("No reviews yet: 'pathsearch query LIB --like ... --save' keeps one.")
        return 0
    head = ("id", "changed (UTC)", "rounds", "matches", "yes/no/unsure", "reviewers", "title")
    print_table(head, rows, "llrrrll")
    return 0


@review_command.command("show")
@_ID
@click.option("--by", "who", help="Verdicts of this reviewer only.")
@json_option
def show_review(review: str, who: str | None, as_json: bool) -> int:
    """Rounds, verdicts and what they say in figures."""
    from pathsearch.review.across import told_figures

    reviews = _reviews()
    found = reviews.get(review)
    _warn(reviews)
    if who is not None:
        _person(found, who)
    figures = told_figures(found, who)
    if as_json:
        print_json(_review_json(found, figures))
        return 0
    said = found.current(who)
    rows = []
    for one in found.rounds:
        for shown in one.matches:
            m, verdict = shown.match, said.get(shown.match.key)
            rows.append(
                (
                    f"{one.number}{'' if one.kind == 'ask' else ' ' + one.kind}",
                    "control" if shown.control else str(m.rank),
                    f"{m.score:.3f}",
                    m.key.slide_id,
                    f"{m.footprint.x},{m.footprint.y}",
                    verdict.decision if verdict else "",
                    verdict.label if verdict else "",
                    verdict.note if verdict else "",
                )
            )
    head = ("round", "rank", "score", "slide", "x,y", "verdict", "class", "note")
    print_table(head, rows, "rrrl")
    title = f" '{found.title}'" if found.title else ""
    say(f"Review {found.review[:8]}{title}, begun {found.created[:10]} by {found.reviewer}.")
    for name, value in figures:
        say(f"{name}: {value}.")
    return 0


def _person(found: Review, who: str) -> None:
    """UsageError where nobody of that name judged."""
    if who not in found.reviewers:
        known = ", ".join(found.reviewers) or "nobody yet"
        raise UsageError(f"'{who}' has no verdicts in this review: {known}.")


def _review_json(found: Review, figures: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    from pathsearch.search.answer import match_to_json
    from pathsearch.search.questions import query_to_json

    rounds = [
        {
            "round": one.number,
            "kind": one.kind,
            "at": one.at,
            "reviewer": one.reviewer,
            "encoder": one.encoder,
            "fingerprint": one.fingerprint,
            "segments": one.segments,
            "recall": asdict(one.recall),
            "query": query_to_json(one.query),
            "matches": [match_to_json(s.match) | {"control": s.control} for s in one.matches],
        }
        for one in found.rounds
    ]
    return {
        "review": found.review,
        "title": found.title,
        "created": found.created,
        "rounds": rounds,
        "verdicts": [asdict(verdict) for verdict in found.verdicts],
        "figures": dict(figures),
    }


@review_command.command("judge")
@_ID
@click.option("--accept", default="", metavar="RANKS", help="Ranks of the round: 1,2,5-9.")
@click.option("--reject", default="", metavar="RANKS", help="Likewise.")
@click.option("--unsure", default="", metavar="RANKS", help="Likewise.")
@click.option("--round", "number", type=click.IntRange(1), help="Round  [default: the last]")
@click.option("--class", "label", default="", help="Class of these matches, in your words.")
@click.option("--note", default="", help="A remark on these matches.")
@click.option("--undo", is_flag=True, help="Take back your latest verdict.")
@click.option("--reviewer", help="Your name; it is remembered.")
def judge_matches(
    review: str, number: int | None, label: str, note: str, undo: bool, **words: Any
) -> int:
    """Accept, reject, or leave open matches of a round, by their ranks."""
    from pathsearch.review import running_of, set_reviewer_name

    reviews = _reviews()
    if words["reviewer"] is not None:
        set_reviewer_name(words["reviewer"])
        reviews.reviewer = words["reviewer"]
    found = reviews.get(review)
    if undo:
        gone = reviews.undo(found.review)
        say(f"Taken back: {gone.decision} of {gone.key.slide_id}." if gone else "Nothing to undo.")
        return 0
    last = found.rounds[-1] if number is None else _round(found, number)
    ranks = {s.match.rank: s.match.key for s in last.matches if not s.control}
    several = {d: _ranks(words[d]) for d in _DECISIONS if words[d]}
    if not any(several.values()):
        raise UsageError("give --accept, --reject or --unsure with ranks, e.g. --accept 1,2,5-9.")
    if label and len(several) > 1:
        raise UsageError(
            "--class says what these matches are: give it with --accept, --reject or --unsure, "
            "one at a time."
        )
    judged = {d: [_key(ranks, rank) for rank in wanted] for d, wanted in several.items()}
    _once_each(judged)
    count = 0
    for decision, keys in judged.items():
        count += len(reviews.judge(found.review, keys, decision, label=label, note=note))
    word = "verdict" if count == 1 else "verdicts"
    say(f"{count} {word} kept in review {found.review[:8]}, round {last.number}.")
    say(f"{running_of(reviews.get(found.review))}.")
    if not reviews.reviewer:
        say(f"Signed {reviews.identity}: --reviewer NAME says who you are, once for all.")
    return 0


def _once_each(judged: dict[Decision, list[Any]]) -> None:
    """UsageError where a match would be judged in two ways at once."""
    every = [key for keys in judged.values() for key in set(keys)]
    if len(every) != len(set(every)):
        raise UsageError("a match can be accepted, rejected or left unsure, not two of them.")


def _round(found: Review, number: int) -> Any:
    for one in found.rounds:
        if one.number == number:
            return one
    raise UsageError(f"round {number}: this review has rounds 1 to {len(found.rounds)}.")


def _ranks(text: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, text.replace(" ", "").split(",")):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"'{part}': ranks are written 1,2,5-9.")
        found += range(int(first), int(last if dash else first) + 1)
    return found


def _key(ranks: dict[int, Any], rank: int) -> Any:
    if rank not in ranks:
        raise UsageError(f"rank {rank}: the round has ranks {min(ranks)} to {max(ranks)}.")
    return ranks[rank]


@review_command.command("export")
@_ID
@leaving_options
@click.option("--round", "number", type=int, default=0, help="Only this round  [default: all]")
@click.option("--only", type=click.Choice(["accept", "reject", "unsure"]), help="One verdict only.")
@click.option("--by", "who", help="Verdicts of this reviewer only.")
@click.option("--controls", is_flag=True, help="Also the random controls of blinded judging.")
@click.option(
    "--slides/--no-slides",
    default=True,
    help="Rank the slides by how much of them looks like it (--html)  [default: yes]",
)
@_DEVICE
@json_option
def export_review(
    review: str, number: int, only: str | None, who: str | None, as_json: bool, **words: Any
) -> int:
    """Write a review as a page, tables, QuPath annotations, pictures or a contact sheet."""
    from dataclasses import replace

    from pathsearch.export.dossier import of_review
    from pathsearch.review.across import told_figures

    check_words(words)
    reviews = _reviews()
    found = reviews.get(review)
    if who is not None:
        _person(found, who)
    if number:
        _round(found, number)
    dossier = of_review(
        reviews.library, found, number=number, reviewer=who, controls=words["controls"]
    )
    dossier = replace(dossier, figures=told_figures(found, who))
    if only:
        dossier = replace(dossier, items=tuple(i for i in dossier.items if i.decision == only))
    if words["slides"] and words["html"]:
        from pathsearch.cli.leaving import with_slides
        from pathsearch.search import Searcher

        searcher = Searcher(reviews.library, device=words["device"])
        dossier = with_slides(dossier, searcher, found.refined(), found)
    written = write_files(reviews.library, dossier, words, reviews, found.review)
    if as_json:
        print_json({"review": found.review, "items": len(dossier.items), "written": written})
    return 0


@review_command.command("refine")
@_ID
@click.option("-k", type=click.IntRange(1, 100_000), help="Matches wanted  [default: as before]")
@click.option("--more", is_flag=True, help="Leave out everything that was shown before.")
@_DEVICE
@json_option
def refine_review(review: str, k: int | None, more: bool, device: str, as_json: bool) -> int:
    """Ask again with the verdicts, and keep the answer as the next round."""
    from pathsearch.cli.query import print_answer
    from pathsearch.search import Searcher

    reviews = _reviews()
    found = reviews.get(review)
    answer = Searcher(reviews.library, device=device).search(found.refined(k=k, more=more))
    kept = reviews.record(answer, review=found.review, kind="more" if more else "refine")
    if as_json:
        print_json(answer.to_json() | {"review": found.review, "round": kept.number})
    else:
        print_answer(answer)
        say(f"Kept as round {kept.number} of review {found.review[:8]}.")
    return 0


@review_command.command("replay")
@_ID
@click.option("--round", "number", type=int, default=0, help="Round  [default: the last whole one]")
@click.option("--on", "other", type=click.Path(path_type=Path), help="Ask another library instead.")
@click.option("--save", is_flag=True, help="Keep the new answer as a round.")
@_DEVICE
@json_option
def replay_review(
    review: str, number: int, other: Path | None, save: bool, device: str, as_json: bool
) -> int:
    """Ask a stored question again; say what differs, and why."""
    from pathsearch.library import Library
    from pathsearch.review import replay
    from pathsearch.search import Searcher

    if save and other is not None:
        raise UsageError("--save keeps answers of the review's own library: leave out --on.")
    reviews = _reviews()
    library = reviews.library
    if other is not None:
        library = click.get_current_context().with_resource(Library.open(other))
    found = replay(reviews, Searcher(library, device=device), review, number=number, record=save)
    if as_json:
        print_json(replay_to_json(found))
    else:
        print_replay(found)
    return 0


@review_command.command("new")
@_ID
@click.option("-k", type=click.IntRange(1, 100_000), help="Matches wanted  [default: as before]")
@click.option("--peek", is_flag=True, help="Do not remember that they were looked at.")
@_DEVICE
@json_option
def new_matches(review: str, k: int | None, peek: bool, device: str, as_json: bool) -> int:
    """Matches from slides that came in since it was last looked at, the question refined."""
    from pathsearch.cli.query import print_answer
    from pathsearch.review import find_new
    from pathsearch.search import Searcher

    reviews = _reviews()
    searcher = Searcher(reviews.library, device=device)
    found = find_new(reviews, searcher, review, k=k, record=not peek)
    if as_json:
        answer = found.answer.to_json() if found.answer else None
        print_json({"slides": list(found.slides), "answer": answer})
    elif found.answer is None:
        say("No slides came in since it was last looked at.")
    else:
        print_answer(found.answer)
        named = ", ".join(found.slides[:3]) + (", ..." if len(found.slides) > 3 else "")
        say(f"Came in since it was last looked at: {len(found.slides)} ({named}).")
    return 0


@review_command.command("log")
@json_option
def log_of_exports(as_json: bool) -> int:
    """What left the library: when, by whom, where to, pseudonymised or not."""
    found = _reviews().exports()
    if as_json:
        print_json([asdict(line) for line in found])
        return 0
    rows = [
        (e.at[:16].replace("T", " "), e.reviewer, e.what, str(e.items),
         "yes" if e.pseudonymised else "", e.review[:8], e.target)
        for e in found
    ]  # fmt: skip
    if rows:
        head = ("at (UTC)", "by", "what", "items", "pseudonyms", "review", "target")
        print_table(head, rows, "lllrlll")
    say(f"{len(found)} exports.")
    return 0
