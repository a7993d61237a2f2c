"""Figures against numbers worked out by hand, and fast paths against slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.metrics import (
    class_means,
    nearest_of_queries,
    nearest_outside_group,
    query_figures,
    recall_at_k,
    summary,
)


def slow_nearest(vectors, groups, k, metric):
    """One pair at a time."""
    out = []
    for i, query in enumerate(vectors):
        scored = []
        for j, other in enumerate(vectors):
            if groups[i] == groups[j]:
                continue
            if metric == "cosine":
                score = -float(query @ other / (np.linalg.norm(query) * np.linalg.norm(other)))
            else:
                score = float(np.linalg.norm(query - other))
            scored.append((score, j))
        row = [j for _, j in sorted(scored)][:k]
        out.append(row + [-1] * (k - len(row)))
    return np.array(out)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("n", [7, 60])
def test_nearest_equals_the_slow_twin(metric, n):
    random = np.random.default_rng(n)
    vectors = random.normal(size=(n, 5)) + 2
    groups = random.integers(0, n // 3, size=n).astype(str)
    found = nearest_outside_group(vectors, groups, 5, metric)
    np.testing.assert_array_equal(found, slow_nearest(vectors, groups, 5, metric))


def test_more_rows_than_are_held_at_once(monkeypatch):
    import pathsearch.metrics as metrics

    random = np.random.default_rng(0)
    vectors, groups = random.normal(size=(50, 4)), random.integers(0, 9, 50)
    whole = nearest_outside_group(vectors, groups, 3)
    monkeypatch.setattr(metrics, "_ROWS", 7)
    np.testing.assert_array_equal(nearest_outside_group(vectors, groups, 3), whole)


def test_own_group_is_never_a_neighbour_and_gaps_are_minus_one():
    vectors = np.eye(4)
    found = nearest_outside_group(vectors, np.array(["a", "a", "b", "b"]), 5)
    assert set(found[0].tolist()) == {2, 3, -1}
    assert (found[:, 2:] == -1).all()


def test_ties_go_to_the_lower_position():
    found = nearest_outside_group(np.ones((4, 2)), np.arange(4), 3)
    assert found.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_queries_that_are_not_items_leave_out_their_group():
    vectors = np.array([[1.0, 0], [0.9, 0.1], [0, 1]])
    groups = np.array(["a", "b", "c"])
    found = nearest_of_queries(np.array([[2.0, 0]]), np.array(["a"]), vectors, groups, 2)
    assert found.tolist() == [[1, 2]]
    stranger = nearest_of_queries(np.array([[2.0, 0]]), np.array(["z"]), vectors, groups, 2)
    assert stranger.tolist() == [[0, 1]]


def test_figures_worked_out_by_hand():
    # Query 0 is an A of group g0; besides it there are two A (1, 2) and three B (3, 4, 5).
    labels = np.array(["A", "A", "A", "B", "B", "B"])
    groups = np.array(["g0", "g1", "g2", "g3", "g4", "g5"])
    order = np.array([[1, 3, 4, 2, 5]] + [[0, 0, 0, 0, 0]] * 5)
    figures = query_figures(order, labels, groups, 5)
    assert figures.valid.all()
    assert figures.acc1[0] == 1.0
    assert figures.mmv[0] == 0.0  # three B of five
    assert figures.precision[0] == pytest.approx(2 / 5)
    assert figures.ap[0] == pytest.approx((1 / 1 + 2 / 4) / 2)  # two A can be found


def test_majority_ties_go_to_the_nearest():
    labels = np.array(["A", "A", "B", "B", "C"])
    groups = np.arange(5)
    order = np.array([[1, 2, -1, -1, -1], [2, 0, -1, -1, -1]] + [[-1] * 5] * 3)
    figures = query_figures(order, labels, groups, 5)
    assert figures.mmv[:2].tolist() == [1.0, 0.0]


def test_queries_without_an_answer_are_left_out():
    labels = np.array(["A", "A", "B", "B"])
    groups = np.array(["g", "g", "h", "i"])
    order = nearest_outside_group(np.eye(4), groups, 2)
    figures = query_figures(order, labels, groups, 2)
    assert figures.valid.tolist() == [False, False, True, True]
    assert list(class_means(figures.precision, labels, figures.valid)) == ["B"]
    assert not figures.restricted(np.array([True, True, False, False])).valid.any()


def test_classes_weigh_the_same():
    labels = np.array(["A"] * 9 + ["B"])
    values = np.array([1.0] * 9 + [0.0])
    assert np.mean(list(class_means(values, labels).values())) == 0.5
    vectors = np.vstack([np.eye(2)[[0] * 9], np.eye(2)[[1]], np.eye(2)[[1]]])
    labels = np.array(["A"] * 9 + ["B"] * 2)
    figures = query_figures(nearest_outside_group(vectors, np.arange(11), 5), labels, np.arange(11))
    balanced = summary(figures, labels)
    assert balanced["acc1"] == 1.0
    assert balanced["p5"] == pytest.approx((1.0 + 0.2) / 2)  # one B can be found, of five
    assert balanced["map5"] == 1.0


def test_recall_counts_what_can_be_found():
    truth = np.array([[1, 2, 3], [4, -1, -1]])
    assert recall_at_k(np.array([[3, 1, 9], [4, 5, 6]]), truth) == pytest.approx(3 / 4)
    assert recall_at_k(np.array([[-1]]), np.array([[-1]])) == 1.0
