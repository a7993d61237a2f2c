"""Intervals, comparisons, confusion, floors and robustness on made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest
from evaluate_cases import Small, write_pictures

from pathsearch.errors import EncoderInvalidError
from pathsearch.evaluate import judging
from pathsearch.evaluate.floors import colour_histogram, mean_colour, random_weights
from pathsearch.evaluate.measuring import Options, measure, measure_vectors
from pathsearch.evaluate.robustness import (
    RESTAININGS,
    TURNS,
    restain,
    rotation_stability,
    stain_robustness,
)
from pathsearch.evaluate.sets import picture_source
from pathsearch.metrics import QueryFigures, summary


def made(values, n_groups=6, each=4, seed=0):
    """A `Judged` whose P@5 is given: two classes, groups of `each` in both."""
    groups = np.repeat([f"g{i}" for i in range(n_groups)], each)
    labels = np.where(np.arange(len(groups)) % 4 == 0, "rare", "common")
    values = np.asarray(values(labels, groups, np.random.default_rng(seed)), dtype=float)
    figures = QueryFigures(np.ones(len(groups), bool), values, values, values, values)
    return judging.Judged(np.full((len(groups), 10), -1), figures), labels, groups


def slow_interval(values, labels, groups, seed):
    """The same draws, one resample and one patch at a time."""
    names, group = np.unique(groups, return_inverse=True)
    classes = np.unique(labels)
    weights = judging._Resamples(np.ones(len(labels), bool), labels, groups, seed)._weights
    drawn = []
    for row in weights:
        means = []
        for name in classes:
            taken = [
                value
                for value, label, g in zip(values, labels, group, strict=True)
                if label == name
                for _ in range(int(row[g]))
            ]
            if taken:
                means.append(np.mean(taken))
        drawn.append(np.mean(means))
    assert len(names) == weights.shape[1]
    return np.quantile(drawn, [0.025, 0.975])


def test_intervals_equal_the_slow_twin(monkeypatch):
    monkeypatch.setattr(judging, "RESAMPLES", 200)
    judged, labels, groups = made(lambda labels, groups, rng: rng.uniform(size=len(labels)))
    found = judging.intervals(judged, labels, groups, seed=3)
    expected = slow_interval(judged.figures.precision, labels, groups, seed=3)
    np.testing.assert_allclose(found["p5"], expected)


def test_groups_are_drawn_whole():
    # All patches of a group agree: the interval is that of 6 things, not of 24.
    judged, labels, groups = made(lambda labels, groups, rng: groups < "g3")
    low, high = judging.intervals(judged, labels, groups)["p5"]
    assert high - low > 0.6


def test_the_interval_holds_the_average_and_shrinks_with_groups():
    widths = []
    for n_groups in (6, 60):
        judged, labels, groups = made(lambda la, g, rng: rng.uniform(size=len(la)), n_groups)
        low, high = judging.intervals(judged, labels, groups)["p5"]
        assert low < summary(judged.figures, labels)["p5"] < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_no_class_drops_out_of_a_draw():
    # The rare class has one group of 30 and scores 0: every draw must hold it.
    groups = np.repeat([f"g{i:02}" for i in range(30)], 2)
    labels = np.where(groups == "g00", "rare", "common")
    values = (labels == "common").astype(float)
    figures = QueryFigures(np.ones(60, bool), values, values, values, values)
    judged = judging.Judged(np.full((60, 10), -1), figures)
    assert judging.intervals(judged, labels, groups)["p5"] == [0.5, 0.5]


def test_a_comparison_is_paired():
    # Groups differ widely, the two encoders by 0.1 everywhere: only pairing sees it.
    level = {f"g{i}": i / 10 for i in range(6)}
    theirs, labels, groups = made(lambda labels, groups, rng: [level[g] for g in groups])
    ours, _, _ = made(lambda labels, groups, rng: [level[g] + 0.1 for g in groups])
    found = judging.difference(ours, theirs, labels, groups)["p5"]
    assert found["difference"] == pytest.approx(0.1)
    np.testing.assert_allclose(found["interval"], 0.1)
    assert found["better"] == 1.0
    same = judging.difference(ours, ours, labels, groups)["p5"]
    assert (same["difference"], same["better"]) == (0.0, 0.5)


def test_confusion_worked_out_by_hand():
    labels = np.array(["A", "A", "B"])
    order = np.full((3, 10), -1)
    order[0, :2] = [1, 2]
    order[1, :1] = [0]
    order[2, :2] = [0, 1]
    figures = QueryFigures(np.ones(3, bool), *[np.zeros(3)] * 4)
    table = judging.confusion(judging.Judged(order, figures), labels)
    assert table == {
        "A": {"A": pytest.approx(2 / 3), "B": pytest.approx(1 / 3)},
        "B": {"A": 1.0, "B": 0.0},
    }


# ---------------------------------------------------------------------- floors


def test_mean_colour_and_histogram_against_slow_twins():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 7, 3), dtype=np.uint8)
    np.testing.assert_allclose(mean_colour(pixels), pixels.mean(axis=(1, 2)), rtol=1e-6)
    found = colour_histogram(pixels)
    for vector, patch in zip(found, pixels, strict=True):
        expected = []
        for channel in range(3):
            counts, _ = np.histogram(patch[..., channel], bins=32, range=(0, 256))
            expected.append(np.sqrt(counts / (3 * 63)))
        np.testing.assert_allclose(vector, np.concatenate(expected), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_floors_know_no_structure():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    shuffled = np.random.default_rng(1).permutation(pixels.reshape(64, 3)).reshape(1, 8, 8, 3)
    np.testing.assert_allclose(mean_colour(shuffled), mean_colour(pixels), rtol=1e-6)
    np.testing.assert_allclose(colour_histogram(shuffled), colour_histogram(pixels))


def test_the_random_floor_has_the_encoders_shape():
    from pathsearch.config import EncoderArchitecture
    from pathsearch.encoders.random_weights import random_encoder

    shape = EncoderArchitecture(channels=(8, 16), depths=(0, 1), pooled_stages=(1,))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    encoder = random_encoder(pixels, shape, dim=4)
    floor = random_weights(encoder, seed=5)
    assert floor.config.architecture == shape
    assert floor.fingerprint != encoder.fingerprint
    assert random_weights(Small()).input_px == 64


def test_vectors_that_are_not_finite_are_refused():
    vectors = np.ones((4, 3), np.float32)
    vectors[2] = np.nan
    labels, groups = np.array(["a", "a", "b", "b"]), np.array(["1", "2", "3", "4"])
    with pytest.raises(EncoderInvalidError, match="not finite"):
        measure_vectors(labels, groups, {"": vectors}, "mine")


# ---------------------------------------------------------------------- robustness


def test_seven_different_turns():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
    views = [turn(pixels) for turn in TURNS.values()]
    assert len(views) == 7
    flat = {view.tobytes() for view in [pixels, *views]}
    assert len(flat) == 8
    for view in views:
        np.testing.assert_array_equal(np.sort(view.ravel()), np.sort(pixels.ravel()))


def test_restaining_with_the_same_amounts_changes_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(restain(pixels, 1, 1), pixels)


def test_restaining_keeps_glass_and_moves_stain():
    glass = np.full((1, 2, 2, 3), 255, np.uint8)
    np.testing.assert_array_equal(restain(glass, 0.5, 2.0), glass)
    nucleus = np.array([90, 70, 150], np.uint8).reshape(1, 1, 1, 3)
    darker, paler = restain(nucleus, 1.4, 1.0), restain(nucleus, 0.6, 1.0)
    assert darker.mean() < nucleus.mean() < paler.mean()


class Rotated(Small):
    """Sees mean and spread of the whole patch: the same under every turn."""

    def encode(self, pixels):
        cells = pixels.reshape(len(pixels), -1, 3).astype(np.float32) / 255
        raw = np.concatenate([cells.mean(axis=1) - 0.6, 3 * cells.std(axis=1)], axis=1)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def test_robustness(tmp_path):
    source = picture_source(write_pictures(tmp_path))
    encoder = Rotated()
    evaluation = measure(source, encoder, Options(floors=False, robustness=True))
    answer = evaluation.to_json()
    assert answer["rotation"] == {
        "queries": 18, "overlap": pytest.approx(1, abs=0.02), "cosine": pytest.approx(1, abs=1e-4),
    }  # fmt: skip
    assert set(answer["stain"]["restainings"]) == set(RESTAININGS)
    assert 0 < answer["stain"]["overlap"] < 1
    for key in ("overlap", "itself", "p5"):
        lines = answer["stain"]["restainings"].values()
        assert answer["stain"][key] == pytest.approx(np.mean([line[key] for line in lines]))
    # An encoder with a grid sees turns.
    grid = measure(source, Small(), Options(floors=False, robustness=True)).to_json()
    assert grid["rotation"]["cosine"] < answer["rotation"]["cosine"]


def test_large_sets_are_sampled(tmp_path, monkeypatch):
    import pathsearch.evaluate.robustness as robustness

    monkeypatch.setattr(robustness, "MOST_QUERIES", 5)
    source = picture_source(write_pictures(tmp_path))
    encoder = Rotated()
    vectors = np.concatenate([encoder.encode(pixels) for _, pixels in source.stream()])
    judged = judging.judge(vectors, source.labels, source.groups)
    arguments = (source, encoder, vectors, judged.order)
    assert rotation_stability(*arguments)["queries"] == 5
    assert stain_robustness(*arguments)["queries"] == 5
    assert stain_robustness(*arguments) == stain_robustness(*arguments)


def test_against_another_encoder(tmp_path):
    source = picture_source(write_pictures(tmp_path))
    options = Options(floors=False, against=Small(seed=7))
    answer = measure(source, Small(), options).to_json()
    alone = measure(source, Small(seed=7), Options(floors=False)).to_json()
    assert answer["against"]["encoder"] == "plain-7"
    assert answer["against"]["p5"] == alone["p5"]
    line = answer["against"]["differences"]["p5"]
    assert line["difference"] == pytest.approx(answer["p5"] - alone["p5"])
    assert line["interval"][0] <= line["difference"] <= line["interval"][1]
