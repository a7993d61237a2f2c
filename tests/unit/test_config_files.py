"""The files in configs/ are complete, and equal to the code's defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pathsearch.config import IndexSettings, TileSpec, TrainSettings, dump_yaml, load_yaml
from pathsearch.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("name", "model"), [("index.yaml", IndexSettings), ("train.yaml", TrainSettings)]
)
def test_a_file_is_complete_and_equal_to_the_defaults(name, model):
    assert load_yaml(CONFIGS / name, model) == model()
    written = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    assert keys(written) == keys(model().model_dump(mode="json"))


def keys(value):
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [keys(item) for item in value]
    return None


def test_settings_survive_yaml(tmp_path):
    settings = IndexSettings(specs=(TileSpec(mpp=0.25), TileSpec(mpp=1.0, stride_px=112)))
    path = tmp_path / "s.yaml"
    path.write_text(dump_yaml(settings), encoding="utf-8")
    assert load_yaml(path, IndexSettings) == settings


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("specs: [{mpp: 99}]", "specs.0.mpp"),
        ("spec: []", "spec: Extra inputs"),
        ("- 1", "expected 'key: value'"),
        ("a: [", "not valid YAML"),
        ("batch_size: many", "batch_size"),
        ("specs: [{}, {}]", "two specs have one name"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, says):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load_yaml(path, IndexSettings)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path / "no.yaml", IndexSettings)


def test_a_spec_is_named_after_what_it_is():
    assert TileSpec().name == "0.5um-224px"
    assert TileSpec(mpp=0.25, size_px=256).name == "0.25um-256px"
    assert TileSpec(stride_px=112).stride_px == 112
