"""Sources, pool, views and losses, compared with plain twins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pathsearch.config import AugmentSettings, TrainSettings
from pathsearch.training.augment import Crops, cut, distort, gentle, random_crops
from pathsearch.training.losses.contrastive import contrastive_loss
from pathsearch.training.losses.distillation import distillation_loss
from pathsearch.training.losses.self_distillation import (
    PROTOTYPES,
    SlowCopy,
    self_distillation_loss,
)
from pathsearch.training.losses.vicreg import vicreg_loss
from pathsearch.training.module import retrieval_at_1
from pathsearch.training.page import draw_page
from pathsearch.training.pool import Pool, open_pool, shares
from pathsearch.training.sources import find_sources, places_of, read_places
from pathsearch.training.teacher import _whiten


def fail(line: str) -> None:
    raise AssertionError(line)


# Sources and pool


def test_places_reach_every_edge(pictures: Path, tiny: TrainSettings) -> None:
    source = find_sources([pictures / "large"])[0]
    (place,) = places_of(0, source, tiny)
    assert place.xy.min() == 0
    assert place.xy.max(axis=0).tolist() == [160 - 64, 128 - 64]
    pixels = read_places(source, place, tiny)
    whole = np.asarray(Image.open(source.path))
    for patch, (x, y) in zip(pixels, place.xy, strict=True):
        assert np.array_equal(patch, whole[y : y + 64, x : x + 64])


def test_small_pictures_are_enlarged_at_the_finest_scale_only(
    pictures: Path, tiny: TrainSettings
) -> None:
    both = tiny.model_copy(update={"patch_px": 96, "picture_scales": (1.0, 0.5)})
    places = places_of(0, find_sources([pictures / "small"])[0], both)
    assert [place.scale for place in places] == [1.5]
    tripled = tiny.model_copy(update={"patch_px": 192})
    assert places_of(0, find_sources([pictures / "small"])[0], tripled) == []


@pytest.mark.parametrize(
    ("room", "wanted", "given"),
    [
        ([10, 10, 10], 9, [3, 3, 3]),
        ([1, 10, 10], 9, [1, 4, 4]),
        ([2, 2], 100, [2, 2]),
        ([5, 0, 5], 3, [2, 0, 1]),
        ([], 3, []),
    ],
)
def test_shares(room: list[int], wanted: int, given: list[int]) -> None:
    assert shares(np.array(room, dtype=np.int64), wanted).tolist() == given


def test_pool_is_drawn_the_same_again_and_replaces_the_one_before(
    pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    sources = find_sources([pictures / "large", pictures / "small"])
    first = np.array(open_pool(sources, tiny, tmp_path / "a", 0, fail).pixels)
    assert np.array_equal(first, open_pool(sources, tiny, tmp_path / "b", 0, fail).pixels)
    open_pool(sources, tiny, tmp_path / "a", 1, fail)
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"pool-1.npy", "pool-1.json"}


def test_weights_grow_with_the_square_root_of_a_collection() -> None:
    pool = Pool(np.zeros((20, 1, 1, 3), np.uint8), np.array([0] * 4 + [1] * 16))
    weights = pool.weights()
    assert weights.sum() == pytest.approx(1)
    assert weights[4:].sum() / weights[:4].sum() == pytest.approx(2)


# Views


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_whole_patch_is_cut_exactly() -> None:
    patches = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    theta = torch.eye(2, 3).expand(2, 2, 3)
    views = cut(patches, [Crops(theta)], 32)
    assert torch.allclose(views.mul(255).permute(0, 2, 3, 1), patches.float(), atol=1e-2)


def test_views_stay_inside_the_patch_where_they_are_not_turned() -> None:
    settings = AugmentSettings(rotate=False)
    theta = random_crops(500, settings, 96, 224, generator()).theta
    corner = theta[:, :, 2].abs() + theta[:, 0, 0].abs().unsqueeze(1)
    assert corner.max() <= 1 + 1e-6
    half = theta[:, 0, 0]
    low, high = settings.zoom
    assert half.min() >= 96 / 224 / high - 1e-6
    assert half.max() <= 96 / 224 / low + 1e-6


def test_distortion_follows_from_the_seed_and_keeps_its_input() -> None:
    views = torch.rand(8, 3, 32, 32)
    before = views.clone()
    a = distort(views, AugmentSettings(), generator(1))
    b = distort(views, AugmentSettings(), generator(1))
    assert torch.equal(views, before)
    assert torch.equal(a, b)
    assert not torch.equal(a, distort(views, AugmentSettings(), generator(2)))
    assert a.min() >= 0
    assert a.max() <= 1


def test_no_distortion_changes_nothing() -> None:
    nothing = AugmentSettings(
        stain=0, hue=0, saturation=0, brightness=0, contrast=0, gray=0, blur=0, jpeg=0, noise=0
    )
    views = torch.rand(4, 3, 16, 16) * 0.9 + 0.05
    assert torch.allclose(distort(views, nothing, generator()), views, atol=1e-5)


def test_gray_share_loses_its_colour() -> None:
    only = {"stain": 0, "blur": 0, "jpeg": 0, "noise": 0, "brightness": 0, "contrast": 0}
    views = torch.rand(64, 3, 16, 16) * 0.5 + 0.25
    for share in (0.0, 1.0):
        out = distort(views, AugmentSettings(**only, gray=share, hue=0), generator())
        colour = (out - out.mean(dim=1, keepdim=True)).abs().amax(dim=(1, 2, 3))
        assert ((colour < 1e-4).float().mean() == share).item()


def test_compression_agrees_with_a_plain_cosine_transform() -> None:
    from scipy.fft import dctn, idctn

    from pathsearch.training import augment

    views = torch.rand(1, 3, 16, 24)
    out = augment._jpeg(views, generator(3))
    quality = 30 + 55 * float(torch.rand(1, generator=generator(3)))
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    step = np.array(augment._JPEG) * scale / 255
    for c in range(3):
        for y in range(0, 16, 8):
            for x in range(0, 24, 8):
                block = views[0, c, y : y + 8, x : x + 8].numpy().astype(float) - 0.5
                coded = np.round(dctn(block, norm="ortho") / step) * step
                plain = idctn(coded, norm="ortho") + 0.5
                assert np.allclose(out[0, c, y : y + 8, x : x + 8], plain, atol=1e-4)


# Losses


def test_contrastive_loss_equals_its_definition() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 5, 7))
    z = np.concatenate([a, b])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    total = 0.0
    for i in range(10):
        partner = (i + 5) % 10
        others = sum(np.exp(z[i] @ z[j] / 0.2) for j in range(10) if j != i)
        total -= np.log(np.exp(z[i] @ z[partner] / 0.2) / others)
    got = contrastive_loss(torch.tensor(a), torch.tensor(b), 0.2)
    assert float(got) == pytest.approx(total / 10, rel=1e-4)


def test_vicreg_loss_equals_its_definition() -> None:
    a, b = np.random.default_rng(0).normal(0, 0.5, size=(2, 6, 4))
    total = ((a - b) ** 2).mean()
    for side in (a, b):
        total += np.maximum(0, 1 - np.sqrt(side.var(axis=0, ddof=1) + 1e-4)).mean() / 2
        covariance = np.cov(side.T)
        total += (covariance[~np.eye(4, dtype=bool)] ** 2).sum() / 4 / 25
    assert float(vicreg_loss(torch.tensor(a), torch.tensor(b))) == pytest.approx(total, rel=1e-4)


def test_self_distillation_loss_equals_its_definition() -> None:
    random = np.random.default_rng(0)
    student, slow = random.uniform(-1, 1, size=(2, 6, 9))
    centre = random.uniform(-0.2, 0.2, size=(1, 9))

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum()

    total = 0.0
    for i in range(6):
        opinion = softmax((slow[(i + 3) % 6] - centre[0]) / 0.04)
        total -= (opinion * np.log(softmax(student[i] / 0.1))).sum() / 6
    got = self_distillation_loss(*(torch.tensor(x) for x in (student, slow, centre)))
    assert float(got) == pytest.approx(total, rel=1e-4)


def test_slow_copy_follows_slowly_and_learns_nothing() -> None:
    network = torch.nn.Linear(2, 2)
    slow = SlowCopy(network)
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight += 1
    slow.follow(network)
    assert torch.allclose(slow.copy.weight, before + 0.01)
    assert not any(p.requires_grad for p in slow.parameters())
    slow.hear(torch.ones(4, PROTOTYPES))
    assert torch.allclose(slow.centre, torch.full_like(slow.centre, 0.1))


def test_distillation_loss_of_same_and_opposite() -> None:
    a = torch.randn(4, 9)
    assert float(distillation_loss(3 * a, a)) == pytest.approx(0, abs=1e-6)
    assert float(distillation_loss(-a, a)) == pytest.approx(2)


def test_retrieval_counts_those_that_find_themselves() -> None:
    ours = torch.eye(4)
    theirs = torch.eye(4)[[0, 1, 3, 2]]
    assert float(retrieval_at_1(ours, theirs)) == 0.5


def test_page_shows_each_patch_with_its_nearest(tmp_path: Path) -> None:
    # Four patches of one gray each; the features say 0 and 2 are alike, and 1 and 3.
    gray = np.array([10, 60, 110, 160], np.uint8)
    clean = np.broadcast_to(gray[:, None, None, None], (4, 8, 8, 3))
    features = np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1]], np.float32)
    draw_page(clean, clean + 20, clean + 40, features, tmp_path / "a" / "page.png")
    page = np.asarray(Image.open(tmp_path / "a" / "page.png"))
    assert page.shape == (4 * 12, 6 * 12, 3)
    row = page[4, 4::12, 0].tolist()
    assert row[:4] == [10, 30, 50, 110]


# Whitening


def test_whitening_is_told_of_gentler_stains_than_views_are_given() -> None:
    strong = TrainSettings(whitening_stain=0.25)
    assert gentle(strong).stain == pytest.approx(0.25 * strong.augment.stain)
    assert gentle(strong).hue == pytest.approx(0.25 * strong.augment.hue)
    assert gentle(strong).gray == 0
    assert gentle(strong).jpeg == strong.augment.jpeg


def test_what_distortion_changes_in_the_teacher_is_not_imitated() -> None:
    random = np.random.default_rng(0)
    tissue = random.normal(size=(600, 2, 12))
    stain = 3 * random.normal(size=(600, 2, 4))
    raw = np.concatenate([tissue, stain], axis=2).astype(np.float32)
    rows = np.arange(0, 600, 2)
    changed = raw[rows, 0].copy()
    changed[:, 12:] = 3 * random.normal(size=(300, 4))
    seen = {}
    for noise in (0.0, 0.3):
        features = _whiten(raw, rows, changed, noise).astype(np.float32)
        assert features.shape == (600, 2, 256)
        assert np.allclose(np.linalg.norm(features, axis=2), 1, atol=2e-3)
        # How much of the likeness of two views of other patches comes from the tissue?
        likeness = features[:, 0] @ features[:, 0].T
        truth = np.array([row / np.linalg.norm(row) for row in tissue[:, 0]])
        seen[noise] = np.corrcoef(likeness.ravel(), (truth @ truth.T).ravel())[0, 1]
    assert seen[0.3] > seen[0.0] + 0.05
