"""The projection from features to vectors, against what it is meant to do."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.encoders.whitening import fit_invariant_whitening, fit_whitening


@pytest.fixture
def features() -> np.ndarray:
    """Correlated features of very different sizes; one is constant."""
    random = np.random.default_rng(0)
    mixed = random.normal(size=(500, 6)) @ random.normal(size=(6, 10))
    mixed *= np.logspace(-2, 2, 10)
    mixed[:, 3] = 7.0
    return mixed


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_components_have_the_spread_that_the_power_leaves(
    features: np.ndarray, power: float
) -> None:
    fitted = fit_whitening(features, 5, power)
    x = (features - features.mean(0)) / np.where(features.std(0) > 1e-6, features.std(0), 1)
    singular = np.linalg.svd(x, compute_uv=False)[:5] / np.sqrt(len(x) - 1)
    out = x @ fitted.projection
    assert np.allclose(out.std(axis=0, ddof=1), singular ** (1 - power), rtol=1e-3)
    correlation = np.corrcoef(out.T)
    assert np.abs(correlation - np.eye(5)).max() < 1e-3


@pytest.mark.parametrize("invariant", [False, True])
def test_few_patches_give_zero_columns_and_no_nan(invariant: bool) -> None:
    few = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    fitted = (
        fit_invariant_whitening(few, few + 0.1 * few[::-1], 8)
        if invariant
        else fit_whitening(few, 8)
    )
    vectors = fitted.apply(few)
    assert vectors.shape == (3, 8)
    assert np.isfinite(vectors).all()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_mean_patch_has_a_vector() -> None:
    features = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    fitted = fit_whitening(features, 2)
    assert fitted.apply(fitted.mean[None]).tolist() == [[1.0, 0.0]]


def test_what_distortion_changes_counts_little() -> None:
    # Two features of tissue, and eight of stain that are three times as large.
    random = np.random.default_rng(0)
    tissue = random.normal(size=(400, 2))

    def stained() -> np.ndarray:
        return np.hstack([tissue, 3 * random.normal(size=(400, 8))])

    fit_on, again = stained(), stained()
    found = {}
    for name, fitted in {
        "plain": fit_whitening(fit_on, 2),
        "invariant": fit_invariant_whitening(fit_on, again, 2),
    }.items():
        a = fitted.apply(stained().astype(np.float32))
        b = fitted.apply(stained().astype(np.float32))
        found[name] = ((a @ b.T).argmax(axis=1) == np.arange(400)).mean()
    assert found["plain"] < 0.05
    assert found["invariant"] > 5 * found["plain"]


def test_much_shrinkage_is_plain_pca(features: np.ndarray) -> None:
    random = np.random.default_rng(1)
    other = features + random.normal(size=features.shape)
    plain = fit_whitening(features, 5, power=0).apply(features.astype(np.float32))
    shrunk = fit_invariant_whitening(features, other, 5, noise=1e9)
    assert np.allclose(shrunk.apply(features.astype(np.float32)), plain, atol=1e-3)
    assert not np.allclose(
        fit_invariant_whitening(features, other, 5).apply(features.astype(np.float32)),
        plain,
        atol=1e-2,
    )
