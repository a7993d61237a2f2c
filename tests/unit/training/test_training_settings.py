"""The settings file of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pathsearch.config import TrainSettings, dump_yaml, load_yaml
from pathsearch.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"


def test_file_is_complete_and_equal_to_defaults() -> None:
    raw = yaml.safe_load((CONFIGS / "train.yaml").read_text(encoding="utf-8"))
    assert raw == TrainSettings().model_dump(mode="json")


def test_resolved_settings_load_again(tmp_path: Path) -> None:
    settings = TrainSettings(seed=7, mpp=(0.5, 1.0), max_seconds=12.5)
    (tmp_path / "train.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    assert load_yaml(tmp_path / "train.yaml", TrainSettings) == settings


@pytest.mark.parametrize("name", [p.name for p in sorted(CONFIGS.glob("builtin-*.yaml"))])
def test_settings_of_built_in_encoders_load(name: str) -> None:
    assert load_yaml(CONFIGS / name, TrainSettings).name in name


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("view_px: 100", "view_px must be a multiple of 32"),
        ("mpp: [40]", "mpp must lie between"),
        ("loss: {reconstruction: 0, invariance: 0}", "nothing to train for"),
        ("augment: {zoom: [2, 1]}", "zoom must be two numbers"),
        ("architecture: {depths: [1, 1]}", "depths must name as many stages"),
        ("architecture: {pooled_stages: [7]}", "pooled_stages must be different stages"),
        ("bacth_size: 3", "bacth_size"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(ConfigError, match=says) as caught:
        load_yaml(path, TrainSettings)
    assert "\n" not in str(caught.value)
