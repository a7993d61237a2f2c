"""Negatives, verdicts, filters, spacing, diversity, areas, maps and bias, against plain twins."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pathsearch.config import TileSpec
from pathsearch.errors import QueryError
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.nouns import PatchKey, Picture, Point, Query, Region, Vector
from pathsearch.search import Searcher, rebuild_index
from pathsearch.search.bias import binomial_tail, departures
from pathsearch.search.direction import away_from, refine, unit
from pathsearch.search.examples import ExampleEncoder
from pathsearch.testing.plain_encoder import PlainEncoder

DIM = 32
SPEC = TileSpec()
FOOT = 448
SIDE = 12  # patches in a row of a slide


def random_unit(n, seed):
    return unit(np.random.default_rng(seed).normal(size=(n, DIM)))


CENTRES = random_unit(4, 1000)


def tissues(seed):
    """SIDE x SIDE tissue labels in blocks of 3 x 3, and noisy vectors of them."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 4, (SIDE // 3, SIDE // 3)), np.ones((3, 3), int)).ravel()
    return labels, unit(CENTRES[labels] + 0.08 * rng.normal(size=(SIDE * SIDE, DIM)))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    encoder = PlainEncoder(dim=DIM)
    record = EncoderRecord(encoder.name, DIM, 224, encoder.mpp_range, encoder.fingerprint)
    path = tmp_path_factory.mktemp("features") / "l.pathsearch"
    made = Library.create(path, specs=[SPEC], encoder=record, encoder_files=None)
    grid = np.stack([np.arange(SIDE * SIDE) % SIDE, np.arange(SIDE * SIDE) // SIDE], axis=1)
    with made:
        with made.writer() as writer:
            writer.ensure_root("r", path.parent)
            for number in range(6):
                slide = SlideRecord(
                    f"s{number}", "r", f"s{number}.svs", case_id=f"c{number // 2}",
                    width=SIDE * FOOT, height=SIDE * FOOT, mpp=0.25, fingerprint=f"f{number}",
                    file_size=1, scanner="X" if number < 2 else "Y",
                    metadata={"organ": "lung" if number % 2 else "skin", "age": 10 * number},
                )  # fmt: skip
                segment = writer.open_segment(slide, SPEC, FOOT)
                segment.append(grid * FOOT, tissues(number)[1], np.ones(len(grid), np.float32))
                segment.commit(slide)
            rebuild_index(made, writer, SPEC.name)
        yield made


@pytest.fixture
def searcher(library):
    return Searcher(library, PlainEncoder(dim=DIM))


def like(vector, **words):
    return Query((Vector(tuple(np.asarray(vector, float).tolist())),), **words)


def label_of(match):
    labels, _ = tissues(int(match.key.slide_id[1:]))
    return int(labels[match.key.y // FOOT * SIDE + match.key.x // FOOT])


def test_a_filter_leaves_only_what_it_allows(searcher):
    answer = searcher.search(like(CENTRES[0], where="organ = lung and age > 10", k=400))
    assert {m.key.slide_id for m in answer.matches} == {"s3", "s5"}
    assert len(answer.matches) == answer.searched == 2 * SIDE * SIDE
    with pytest.raises(QueryError, match="no column"):
        searcher.search(like(CENTRES[0], where="colour = red"))


def test_a_counter_example_takes_its_tissue_off_the_list(searcher):
    mixed = unit(CENTRES[0] + CENTRES[1])
    both = {label_of(m) for m in searcher.search(like(mixed, k=150)).matches}
    assert {0, 1} <= both
    query = replace(like(mixed, k=40), unlike=(Vector(tuple(CENTRES[1].tolist())),))
    assert {label_of(m) for m in searcher.search(query).matches} == {0}


def test_a_negative_equal_to_the_example_changes_nothing():
    vectors = random_unit(5, 3)
    np.testing.assert_allclose(away_from(vectors[:1], vectors[0]), vectors[:1], atol=1e-6)
    pushed = away_from(vectors[:1], vectors[1])
    assert pushed @ vectors[1] < vectors[:1] @ vectors[1]
    assert pushed @ vectors[0] > 0.8


@pytest.mark.parametrize("count", [1, 3, 4, 20])
def test_verdicts_turn_the_query_towards_what_was_accepted(searcher, count):
    mixed = unit(CENTRES[0] + CENTRES[1])
    first = searcher.search(like(mixed, k=200))
    accepted = tuple(m.key for m in first.matches if label_of(m) == 0)[:count]
    rejected = tuple(m.key for m in first.matches if label_of(m) == 1)[:count]
    query = replace(like(mixed, k=60), accepted=accepted, rejected=rejected)
    second = searcher.search(query)
    keys = {m.key for m in second.matches}
    assert keys.isdisjoint(accepted)
    assert keys.isdisjoint(rejected)
    before = np.mean([label_of(m) == 0 for m in first.matches[:60]])
    after = np.mean([label_of(m) == 0 for m in second.matches])
    assert after > before
    assert f"{count} accepted and {count} rejected" in " ".join(second.notes)


def test_accepted_patches_alone_are_a_question(searcher):
    labels, _ = tissues(0)
    places = np.flatnonzero(labels == 2)[:3].tolist()
    keys = tuple(PatchKey("s0", SPEC.name, p % SIDE * FOOT, p // SIDE * FOOT) for p in places)
    answer = searcher.search(Query(accepted=keys, k=30))
    assert {label_of(m) for m in answer.matches} == {2}
    assert {m.key for m in answer.matches}.isdisjoint(keys)


def test_refine_without_verdicts_changes_nothing():
    vector = random_unit(1, 5)[0]
    none = np.empty((0, DIM), np.float32)
    direction = refine(vector, none, none)
    assert (direction.vectors[0] == vector).all()
    assert direction.said == ()


def test_more_serves_the_next_ones(searcher):
    query = like(CENTRES[2], k=15)
    whole = [m.key for m in searcher.search(replace(query, k=45)).matches]
    shown = ()
    for page in range(3):
        keys = [m.key for m in searcher.search(replace(query, shown=shown)).matches]
        assert keys == whole[15 * page : 15 * page + 15]
        shown += tuple(keys)


def test_spacing_keeps_matches_of_a_slide_apart(searcher):
    plain = searcher.search(like(CENTRES[0], k=800)).matches
    kept = []
    for match in plain:  # the definition, one after the other
        close = [
            np.hypot(match.key.x - k.x, match.key.y - k.y) < 2.5 * FOOT
            for k in kept
            if k.slide_id == match.key.slide_id
        ]
        if not any(close):
            kept.append(match.key)
    answer = searcher.search(like(CENTRES[0], k=40, spacing=2.5))
    assert [m.key for m in answer.matches] == kept[:40]


def test_diversity_brings_other_tissue_forward(searcher):
    query = like(unit(CENTRES[0] + 0.6 * CENTRES[1]), k=20)
    plain = {label_of(m) for m in searcher.search(query).matches}
    diverse = searcher.search(replace(query, diversity=0.6)).matches
    assert plain == {0}
    assert len({label_of(m) for m in diverse}) > 1 or spread(searcher, diverse) > spread(
        searcher, searcher.search(query).matches
    )
    assert searcher.search(query).matches[0].key == diverse[0].key


def spread(searcher, matches):
    pool = searcher.pool(SPEC.name)
    rows = [
        pool.vectors(pool.ordinals(m.key.slide_id))[m.key.y // FOOT * SIDE + m.key.x // FOOT]
        for m in matches
    ]
    return 1 - np.mean(np.stack(rows) @ np.stack(rows).T)


def test_max_ranks_by_the_nearest_patch_of_the_region(searcher):
    region = Region.rectangle("s0", 0, 0, 6 * FOOT, 3 * FOOT)
    answer = searcher.search(Query((region,), combine="max", exclude="slide", k=50))
    pool = searcher.pool(SPEC.name)
    own = pool.vectors(pool.ordinals("s0"))
    corners = pool.coords(pool.ordinals("s0"))
    asked = own[(corners[:, 0] < 6 * FOOT) & (corners[:, 1] < 3 * FOOT)]
    everything = np.concatenate([pool.vectors(pool.ordinals(f"s{n}")) for n in range(1, 6)])
    want = np.sort((everything @ asked.T).max(axis=1))[::-1][:50]
    np.testing.assert_allclose([m.score for m in answer.matches], want, atol=3e-6)


def test_set_finds_the_area_that_was_planted(library, tmp_path):
    """One slide holds the region's own six patches, moved; it must be found where it lies."""
    encoder = PlainEncoder(dim=DIM)
    record = library.encoder
    made = Library.create(
        tmp_path / "p.pathsearch", specs=[SPEC], encoder=record, encoder_files=None
    )
    grid = np.stack([np.arange(SIDE * SIDE) % SIDE, np.arange(SIDE * SIDE) // SIDE], axis=1)
    query_vectors = random_unit(SIDE * SIDE, 50)
    with made, made.writer() as writer:
        writer.ensure_root("r", tmp_path)
        for number in range(3):
            vectors = random_unit(SIDE * SIDE, 60 + number)
            if number == 0:
                vectors = query_vectors
            if number == 2:  # 3 x 2 patches from (1, 1) of slide 0 lie at (5, 7) here
                for dx in range(3):
                    for dy in range(2):
                        source = query_vectors[(1 + dy) * SIDE + 1 + dx]
                        noisy = unit(source + 0.05 * random_unit(1, dx + 10 * dy)[0])
                        vectors[(7 + dy) * SIDE + 5 + dx] = noisy
            slide = SlideRecord(
                f"s{number}", "r", f"s{number}.svs", width=SIDE * FOOT, height=SIDE * FOOT,
                mpp=0.25, fingerprint=f"f{number}", file_size=1,
            )  # fmt: skip
            segment = writer.open_segment(slide, SPEC, FOOT)
            segment.append(grid * FOOT, vectors, np.ones(len(grid), np.float32))
            segment.commit(slide)
        region = Region.rectangle("s0", FOOT, FOOT, 3 * FOOT, 2 * FOOT)
        answer = Searcher(made, encoder).search(Query((region,), combine="set", k=5))
    best = answer.matches[0]
    assert best.key == PatchKey("s2", SPEC.name, 5 * FOOT, 7 * FOOT)
    assert (best.footprint.width, best.footprint.height) == (3 * FOOT, 2 * FOOT)
    assert best.score > answer.matches[1].score + 0.2
    boxes = {(m.key.slide_id, m.key.x, m.key.y) for m in answer.matches}
    assert len(boxes) == len(answer.matches) == 5


def test_set_needs_one_region(searcher):
    with pytest.raises(QueryError, match="exactly one region"):
        searcher.search(like(CENTRES[0], combine="set"))


def test_a_map_has_each_patch_where_it_lies(searcher):
    shape = searcher.map(like(CENTRES[3]), "s4")
    labels, vectors = tissues(4)
    assert shape.values.shape == (SIDE, SIDE)
    assert (shape.origin, shape.step, shape.footprint) == ((0, 0), FOOT, FOOT)
    np.testing.assert_allclose(shape.values.ravel(), vectors @ CENTRES[3], atol=2e-3)
    inside = shape.values.ravel()[labels == 3]
    assert inside.min() > shape.values.ravel()[labels != 3].max()
    with pytest.raises(QueryError, match="no patches"):
        searcher.map(like(CENTRES[3]), "s44")


def test_a_one_sided_list_is_called_so(searcher):
    one_sided = searcher.search(like(CENTRES[0], where="slide_id = s0", k=20))
    assert one_sided.departures == ()  # nothing else could have been returned
    answer = searcher.search(like(CENTRES[0], k=20))
    forced = [replace(m, key=replace(m.key, slide_id="s0")) for m in answer.matches[:18]]
    found = departures([*forced, *answer.matches[18:]], searcher.table, np.full(6, 144))
    assert {d.column for d in found} >= {"slide_id", "scanner"}
    assert "from one slide: s0 (archive: 17%)" in " ".join(map(str, found))


def test_the_binomial_tail_is_the_sum_of_its_terms():
    scipy_stats = pytest.importorskip("scipy.stats")
    for n, k, p in [(20, 17, 0.3), (10, 0, 0.5), (50, 50, 0.9), (5, 3, 0.01)]:
        assert binomial_tail(k, n, p) == pytest.approx(scipy_stats.binom.sf(k - 1, n, p), rel=1e-9)


def test_a_tally_counts_cases_and_not_matches(searcher):
    answer = searcher.search(like(CENTRES[0], k=100))
    lines = searcher.tally(answer, "organ")
    assert {line.value for line in lines} == {"lung", "skin"}
    assert all(line.cases <= 3 for line in lines)
    assert str(lines[0]).endswith("archive 50%")


def test_turned_views_do_not_change_a_turned_question(searcher, tmp_path):
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, 300)
    pixels[:100, :, 1] = 200
    encoder = PlainEncoder(dim=DIM)
    vectors = []
    for turns in range(4):
        path = tmp_path / f"{turns}.png"
        Image.fromarray(np.rot90(pixels, turns)).save(path)
        coder = ExampleEncoder(searcher.library, encoder, SPEC, None, turned=True)
        plain = ExampleEncoder(searcher.library, encoder, SPEC, None)
        vectors.append(coder.encode(Picture(str(path), 0.5)).vectors[0])
        single = plain.encode(Picture(str(path), 0.5)).vectors[0]
    for other in vectors[1:]:
        assert vectors[0] @ other > 0.9999
    assert vectors[-1] @ single < 0.9999


def test_a_point_outside_its_slide_and_empty_answers(searcher):
    with pytest.raises(QueryError, match="none lies where"):
        searcher.search(Query((Point("s0", -9 * FOOT, 0),)))
    answer = searcher.search(like(CENTRES[0], where="slide_id = nothing"))
    assert answer.matches == ()
    assert answer.searched == 0


@pytest.mark.parametrize(("per_slide", "per_case"), [(1, None), (None, 1), (2, 3)])
def test_areas_keep_to_the_caps(searcher, per_slide, per_case):
    region = Region.rectangle("s0", 0, 0, 3 * FOOT, 2 * FOOT)
    query = Query((region,), combine="set", exclude="slide", k=12)
    plain = searcher.search(query).matches
    capped = searcher.search(replace(query, per_slide=per_slide, per_case=per_case)).matches
    for cap, name in ((per_slide, lambda m: m.key.slide_id), (per_case, lambda m: m.case_id)):
        counts = Counter(map(name, capped))
        assert cap is None or max(counts.values()) <= cap
    assert capped[0].key == plain[0].key
    assert len(capped) >= 3
