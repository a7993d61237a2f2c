"""Folders of timm's models: presets, weights that are tensors only, and timm where it is there."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from encoder_cases import made_up
from safetensors.torch import save_file

from pathsearch.encoders import load_encoder, timm_folder
from pathsearch.encoders.files import kind_of
from pathsearch.encoders.timm_folder import _tensors, converted_dinov2, preset_of
from pathsearch.encoders.timm_networks import AttentionPooler
from pathsearch.encoders.timm_presets import PRESETS
from pathsearch.errors import EncoderInvalidError, EncoderNotFoundError, ExtraMissingError

HAS_TIMM = importlib.util.find_spec("timm") is not None


@pytest.mark.parametrize(
    ("folder", "raw", "name"),
    [
        ("UNI2-h", {}, "uni2-h"),
        ("Virchow2", {}, "virchow2"),
        ("H-optimus-0", {}, "h-optimus"),
        ("prov-gigapath", {}, "gigapath"),
        ("phikon-v2", {"model_type": "dinov2"}, "phikon-v2"),
        ("CONCH", {}, "conch"),
        ("x", {"architecture": "resnet50"}, "resnet50"),
        ("anything", {"preset": "virchow2"}, "virchow2"),
    ],
)
def test_the_preset_is_told_by_name_or_settings(tmp_path, folder, raw, name):
    assert preset_of(tmp_path / folder, raw) == (name, PRESETS[name])


@pytest.mark.parametrize("raw", [{}, {"preset": "no-such"}, {"architecture": "convnext_tiny"}])
def test_a_model_that_is_not_known_is_not_guessed(tmp_path, raw):
    with pytest.raises(EncoderInvalidError, match="uni2-h, virchow2"):
        preset_of(tmp_path / "model", raw)


def test_the_presets_that_are_promised():
    promised = {"uni2-h", "virchow2", "h-optimus", "phikon-v2", "gigapath", "conch", "resnet50"}
    assert set(PRESETS) == promised
    assert PRESETS["virchow2"].pooling == "class+mean"
    assert PRESETS["virchow2"].dim == 2 * 1280
    for preset in PRESETS.values():
        assert all(0 < value < 255 for value in (*preset.mean, *preset.std))


@pytest.mark.parametrize("raw", [{"architecture": "resnet50"}, {"model_type": "dinov2"}])
def test_a_published_folder_is_one_of_timm(tmp_path, raw):
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert kind_of(tmp_path) == "timm"


# ---------------------------------------------------------------------- weights


def test_both_kinds_of_weights(tmp_path):
    state = {"a.weight": torch.randn(3, 2), "b": torch.arange(4)}
    save_file(state, tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "pytorch_model.bin")
    torch.save({"state_dict": state}, tmp_path / "nested.bin")
    for name in ("model.safetensors", "pytorch_model.bin", "nested.bin"):
        found = _tensors(tmp_path / name)
        assert set(found) == set(state)
        for key, value in state.items():
            torch.testing.assert_close(found[key], value)


class Evil:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_nothing_is_unpickled(tmp_path, capsys):
    torch.save({"a": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(EncoderInvalidError, match="more than tensors") as caught:
        _tensors(tmp_path / "pytorch_model.bin")
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00" * 20)
    with pytest.raises(EncoderInvalidError, match="damaged"):
        _tensors(tmp_path / name)


def test_names_of_dinov2():
    d = 4
    three = {part: torch.randn(d, d) for part in ("query", "key", "value")}
    before = "encoder.layer.1."
    state = {
        "embeddings.cls_token": torch.randn(1, 1, d),
        "embeddings.mask_token": torch.randn(1, d),
        "layernorm.weight": torch.randn(d),
        before + "norm1.weight": torch.randn(d),
        before + "attention.output.dense.weight": torch.randn(d, d),
        before + "layer_scale1.lambda1": torch.randn(d),
        before + "mlp.fc1.weight": torch.randn(8, d),
    }
    state |= {f"{before}attention.attention.{k}.weight": v for k, v in three.items()}
    found = converted_dinov2(state)
    assert set(found) == {
        "cls_token", "norm.weight", "blocks.1.norm1.weight", "blocks.1.attn.proj.weight",
        "blocks.1.ls1.gamma", "blocks.1.mlp.fc1.weight", "blocks.1.attn.qkv.weight",
    }  # fmt: skip
    torch.testing.assert_close(found["blocks.1.attn.qkv.weight"], torch.cat(list(three.values())))


def test_the_pooler_is_plain_attention():
    torch.manual_seed(0)
    pooler = AttentionPooler(8, 12, heads=2)
    torch.nn.init.normal_(pooler.query)
    tokens = torch.randn(3, 5, 12)
    attention = pooler.attn
    with torch.inference_mode():
        found = pooler(tokens)
        keys = pooler.ln_k(tokens)
        bias_q, bias_k, bias_v = attention.in_proj_bias.chunk(3)
        q = (pooler.ln_q(pooler.query) @ attention.q_proj_weight.T + bias_q).view(1, 2, 4)
        k = (keys @ attention.k_proj_weight.T + bias_k).view(3, 5, 2, 4)
        v = (keys @ attention.v_proj_weight.T + bias_v).view(3, 5, 2, 4)
        weight = torch.einsum("qhd,nthd->nht", q, k).div(2).softmax(dim=-1)
        slow = attention.out_proj(torch.einsum("nht,nthd->nhd", weight, v).reshape(3, 8))
    torch.testing.assert_close(found, slow, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------- folders


def test_folders_that_are_none(tmp_path):
    with pytest.raises(EncoderNotFoundError, match="no such folder"):
        load_encoder(f"timm:{tmp_path / 'missing'}")
    (tmp_path / "UNI2-h").mkdir()
    with pytest.raises(EncoderInvalidError, match=r"model\.safetensors"):
        load_encoder(f"timm:{tmp_path / 'UNI2-h'}")


@pytest.mark.skipif(HAS_TIMM, reason="timm is installed")
def test_without_the_extra(tmp_path):
    (tmp_path / "config.json").write_text('{"preset": "resnet50"}')
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ExtraMissingError, match=r"napari-pathsearch\[timm\]"):
        load_encoder(f"timm:{tmp_path}")


#: The published networks, made small; everything that decides the vector is as published.
SMALL = {
    "uni2-h": ({"depth": 2, "num_heads": 2, "embed_dim": 24}, 24),
    "virchow2": ({"depth": 2, "num_heads": 2, "embed_dim": 24}, 48),
    "h-optimus": ({"depth": 2, "num_heads": 2, "embed_dim": 24}, 24),
    "gigapath": ({"depth": 2, "num_heads": 2, "embed_dim": 24}, 24),
    "conch": ({"depth": 2, "num_heads": 2, "embed_dim": 24}, 16),
    "resnet50": ({}, 2048),
}


@pytest.mark.skipif(not HAS_TIMM, reason="the extra timm")
@pytest.mark.parametrize("name", SMALL)
def test_the_same_vectors_as_the_plain_model(tmp_path, monkeypatch, name):
    import timm

    from pathsearch.encoders.timm_networks import AttentionPooled, layer_arguments

    changes, dim = SMALL[name]
    published = PRESETS[name]
    preset = replace(published, model_args=published.model_args | changes, dim=dim)
    monkeypatch.setitem(timm_folder.PRESETS, name, preset)
    torch.manual_seed(1)
    trunk = timm.create_model(preset.model, num_classes=0, **layer_arguments(preset.model_args))
    model = AttentionPooled(trunk, dim) if name == "conch" else trunk
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.05)
    model.eval()
    state = model.state_dict()
    if name == "conch":
        state = {f"visual.{k}": v for k, v in state.items()} | {"text.x": torch.zeros(1)}
    else:
        state = state | {"head.weight": torch.zeros(3, 3)}
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({"preset": name, "architecture": "x"}))
    pixels = made_up(9, size=preset.input_px)
    encoder = load_encoder(tmp_path, device="cpu", precision="float32")
    vectors = encoder.encode(pixels)
    x = (torch.from_numpy(pixels).float() - torch.tensor(preset.mean)) / torch.tensor(preset.std)
    x = x.permute(0, 3, 1, 2)
    with torch.inference_mode():
        if name == "conch":
            out = model(x)
        elif name == "virchow2":
            tokens = trunk(x)
            out = torch.cat([tokens[:, 0], tokens[:, 5:].mean(dim=1)], dim=1)
        else:
            out = trunk(x)  # timm's own pooling: the class token, or the mean of the map
    theirs = torch.nn.functional.normalize(out).numpy()
    assert encoder.dim == dim
    assert (vectors * theirs).sum(axis=1).min() > 0.9999
    np.testing.assert_array_equal(encoder.encode(pixels[:4]), vectors[:4])
