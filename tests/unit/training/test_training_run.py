"""Training as a whole: ends in an encoder, stops and goes on, and says what is wrong."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pathsearch.config import TrainSettings, dump_yaml, load_yaml
from pathsearch.encoders import load_encoder
from pathsearch.errors import TrainingError
from pathsearch.training import train


class Stop(Exception):
    pass


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "weights.safetensors")


def assert_same(first: Path, second: Path) -> None:
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert np.array_equal(value, b[name]), name


@pytest.fixture(scope="module")
def whole(pictures: Path, tiny: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "encoder"
    result = train([pictures], out, tiny)
    assert result.finished
    assert result.steps == 10
    return out


def test_result_is_an_encoder(whole: Path) -> None:
    encoder = load_encoder(whole, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), dtype=np.uint8)
    vectors = encoder.encode(pixels)
    assert vectors.shape == (5, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_settings_and_log_lie_beside_it(whole: Path, tiny: TrainSettings) -> None:
    assert load_yaml(whole / "train.yaml", TrainSettings) == tiny
    with (whole / "training" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["5", "10"]
    assert all(0 <= float(row["val_retrieval"]) <= 1 for row in rows)
    assert not list((whole / "training").glob("pool-*"))
    pages = sorted(p.name for p in (whole / "training" / "pages").iterdir())
    assert pages == ["step-000005.png", "step-000010.png"]


def test_same_seed_same_weights(
    whole: Path, pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    train([pictures], tmp_path / "again", tiny)
    assert_same(whole, tmp_path / "again")
    other = tiny.model_copy(update={"seed": 1})
    train([pictures], tmp_path / "other", other)
    with pytest.raises(AssertionError):
        assert_same(whole, tmp_path / "other")


@pytest.mark.parametrize("step", [3, 5, 8])
def test_ctrl_c_then_resume_ends_the_same(
    step: int, whole: Path, pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    def interrupt(what: str, done: int, total: int, figures: dict[str, float]) -> None:
        if what == "training" and done == step:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    stopped = train([pictures], tmp_path / "e", tiny, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert not stopped.finished
    assert stopped.steps == step
    assert not (tmp_path / "e" / "config.json").exists()
    resumed = train([pictures], tmp_path / "e", tiny, resume=True)
    assert resumed.finished
    assert resumed.steps == 10
    assert_same(whole, tmp_path / "e")


def test_killed_then_resumed_ends_the_same(
    whole: Path, pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    def die(what: str, done: int, total: int, figures: dict[str, float]) -> None:
        if what == "training" and done == 7:
            raise Stop

    with pytest.raises(Stop):
        train([pictures], tmp_path / "e", tiny, progress=die)
    train([pictures], tmp_path / "e", tiny, resume=True)
    assert_same(whole, tmp_path / "e")
    with (tmp_path / "e" / "training" / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["5", "10"]


@pytest.mark.parametrize("kind", ["vicreg", "self-distillation"])
def test_other_objectives_resume_to_the_same_end(
    kind: str, whole: Path, pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    other = tiny.model_copy(
        update={"loss": tiny.loss.model_copy(update={"invariance_kind": kind}), "max_steps": 6}
    )

    def die(what: str, done: int, total: int, figures: dict[str, float]) -> None:
        if what == "training" and done == 5:
            raise Stop

    train([pictures], tmp_path / "a", other)
    with pytest.raises(Stop):
        train([pictures], tmp_path / "b", other, progress=die)
    train([pictures], tmp_path / "b", other, resume=True)
    assert_same(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same(whole, tmp_path / "a")


def test_time_limit_ends_training(pictures: Path, tiny: TrainSettings, tmp_path: Path) -> None:
    limited = tiny.model_copy(update={"max_seconds": 1e-3, "max_steps": 10_000})
    result = train([pictures], tmp_path / "e", limited)
    assert result.finished
    assert result.steps == 1


def test_early_stopping(pictures: Path, tiny: TrainSettings, tmp_path: Path) -> None:
    # With no learning, validation never gets better than the first time.
    still = {"learning_rate": 1e-12, "validate_steps": 2, "patience": 2, "max_steps": 100}
    result = train([pictures], tmp_path / "e", tiny.model_copy(update=still))
    assert result.finished
    assert result.steps < 100


def test_pool_is_drawn_anew(pictures: Path, tiny: TrainSettings, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def look(what: str, done: int, total: int, figures: dict[str, float]) -> None:
        if what == "training":
            pools = list((tmp_path / "e" / "training").glob("pool-*.npy"))
            assert len(pools) == 1
            seen.append(pools[0].read_bytes())

    changing = tiny.model_copy(update={"pool_steps": 4, "pool_patches": 6})
    train([pictures], tmp_path / "e", changing, progress=look)
    assert len(set(seen)) == 3


def test_teacher_is_asked_and_imitated(
    whole: Path, pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    taught = tiny.model_copy(update={"teacher": str(whole), "teacher_crops": 2})
    result = train([pictures], tmp_path / "e", taught)
    assert 0 <= result.figures["train_distillation"] <= 2
    config = (tmp_path / "e" / "config.json").read_text()
    assert str(whole.parent) not in config


def test_fine_tuning_starts_from_the_given_weights(
    whole: Path, pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    tuned = tiny.model_copy(update={"initial": str(whole), "learning_rate": 1e-12, "max_steps": 1})
    train([pictures], tmp_path / "e", tuned)
    a, b = weights(whole), weights(tmp_path / "e")
    name = "backbone.entries.0.conv.weight"
    assert np.abs(a[name].astype(float) - b[name].astype(float)).max() < 1e-3


def test_fine_tuning_of_another_architecture_is_refused(
    whole: Path, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="another architecture"):
        train([pictures], tmp_path / "e", TrainSettings(initial=str(whole), pool_patches=16))


def test_broken_sources_are_named_and_left_out(
    pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "text.png").write_text("not a picture")
    result = train([pictures, broken], tmp_path / "e", tiny)
    assert result.finished
    assert len(result.skipped) == 1
    assert "text.png" in result.skipped[0]
    with pytest.raises(TrainingError, match="None of the slides"):
        train([broken], tmp_path / "f", tiny)


def test_what_is_there_is_not_overwritten(
    whole: Path, pictures: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="already holds"):
        train([pictures], whole, tiny)
    with pytest.raises(TrainingError, match="no interrupted training"):
        train([pictures], tmp_path / "none", tiny, resume=True)
    with pytest.raises(TrainingError, match="other settings \\(seed\\)"):
        train([pictures], whole, tiny.model_copy(update={"seed": 5}), resume=True)
    with pytest.raises(TrainingError, match="No slides or pictures"):
        train([tmp_path], tmp_path / "none", tiny)


def test_nothing_is_printed(pictures: Path, tiny: TrainSettings, tmp_path: Path) -> None:
    # In a process of its own, where Lightning's loggers are as they come.
    (tmp_path / "tiny.yaml").write_text(dump_yaml(tiny), encoding="utf-8")
    code = (
        "import sys; from pathsearch.config import TrainSettings, load_yaml\n"
        "from pathsearch.training import train\n"
        "train([sys.argv[1]], sys.argv[2], load_yaml(sys.argv[3], TrainSettings))"
    )
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            str(pictures),
            str(tmp_path / "e"),
            str(tmp_path / "tiny.yaml"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == ""
    assert run.stderr == ""


def test_trains_on_a_real_slide(data_dir: Path, tiny: TrainSettings, tmp_path: Path) -> None:
    slide = data_dir / "slides" / "CMU-1-Small-Region.svs"
    result = train([slide], tmp_path / "e", tiny)
    assert result.finished
    assert result.patches == 24


def test_slide_without_resolution_is_skipped_or_assumed(
    data_dir: Path, tiny: TrainSettings, tmp_path: Path
) -> None:
    slides = [data_dir / "slides" / n for n in ("tcga-cr-7395-01a-01-ts1.svs",)]
    with pytest.raises(TrainingError, match="None of the slides"):
        train(slides, tmp_path / "e", tiny)
    assumed = tiny.model_copy(update={"slide_mpp": 0.5, "max_steps": 1})
    assert train(slides, tmp_path / "f", assumed).patches == 24
