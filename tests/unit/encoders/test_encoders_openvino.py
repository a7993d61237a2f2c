"""OpenVINO against torch, and what happens where it is missing or disagrees."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from encoder_cases import TINY, made_up

from pathsearch.encoders import load_encoder, openvino_backend
from pathsearch.encoders.conv_encoder import ConvEncoder
from pathsearch.errors import ExtraMissingError


def made(tiny, device, precision="float32"):
    return ConvEncoder(tiny.config, tiny._tensors, device=device, precision=precision)


@pytest.fixture
def no_openvino(monkeypatch):
    monkeypatch.setattr(openvino_backend, "is_installed", lambda: False)


def test_without_it_torch_computes(tiny, patches, no_openvino):
    encoder = made(tiny, "auto")
    assert encoder.runtime == "torch"
    with pytest.raises(ExtraMissingError, match=r"napari-pathsearch\[openvino\]"):
        made(tiny, "openvino")


def test_cpu_is_torch_alone(tiny):
    assert made(tiny, "cpu").runtime == "torch"


@pytest.fixture
def pretend(monkeypatch):
    """An accelerator of the test's own."""

    def use(compiled):
        monkeypatch.setattr(openvino_backend, "is_installed", lambda: True)
        monkeypatch.setattr(openvino_backend, "compiled_features", compiled)

    return use


def test_an_accelerator_that_agrees_is_used(tiny, patches, pretend):
    calls = []

    def compiled(network, stages, *, batch, input_px, precision):
        assert (stages, batch, input_px, precision) == (TINY.pooled_stages, 32, 64, "float32")

        def run(pixels):
            assert pixels.shape == (32, 64, 64, 3)
            calls.append(1)
            return tiny.features(pixels)

        return run

    pretend(compiled)
    encoder = made(tiny, "auto")
    assert encoder.runtime == "openvino"
    calls.clear()
    np.testing.assert_array_equal(encoder.encode(patches), tiny.encode(patches))
    assert len(calls) == 2
    assert encoder.fingerprint == tiny.fingerprint


def test_an_accelerator_that_disagrees_is_not_used(tiny, patches, pretend, caplog):
    pretend(lambda *a, **k: lambda pixels: np.ones((32, 56), np.float32))
    with caplog.at_level(logging.WARNING):
        encoder = made(tiny, "auto")
    assert encoder.runtime == "torch"
    assert "differ from torch's" in caplog.text
    np.testing.assert_array_equal(encoder.encode(patches), tiny.encode(patches))


def test_an_accelerator_that_does_not_load_is_not_used(tiny, pretend, caplog):
    def broken(*args, **kwargs):
        raise RuntimeError("no such\nprocessor")

    pretend(broken)
    with caplog.at_level(logging.WARNING):
        assert made(tiny, "auto").runtime == "torch"
    assert "no such processor" in caplog.text


@pytest.mark.skipif(not openvino_backend.is_installed(), reason="the extra openvino")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_real_one_agrees_with_torch(tiny, patches, precision):
    quick, plain = made(tiny, "openvino", precision), made(tiny, "cpu", precision)
    assert quick.runtime == "openvino"
    cosine = (quick.encode(patches) * plain.encode(patches)).sum(axis=1)
    assert cosine.min() > (0.9999 if precision == "float32" else 0.97)


@pytest.mark.skipif(not openvino_backend.is_installed(), reason="the extra openvino")
def test_the_real_one_does_not_depend_on_the_batch(tiny, patches, tmp_path):
    tiny.save(str(tmp_path / "e"))
    encoder = load_encoder(tmp_path / "e", device="openvino")
    whole = encoder.encode(patches)
    for size in (1, 7, 33):
        parts = [encoder.encode(patches[i : i + size]) for i in range(0, len(patches), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_stages_are_pooled_in_the_order_asked_for(patches):
    pytest.importorskip("openvino")
    from pathsearch.config import EncoderArchitecture
    from pathsearch.encoders.random_weights import random_encoder

    shape = EncoderArchitecture(channels=(8, 12, 16), depths=(1, 0, 1), pooled_stages=(2, 0))
    plain = random_encoder(patches, shape, dim=8)
    quick = ConvEncoder(plain.config, plain._tensors, device="openvino", precision="float32")
    assert (quick.encode(made_up(9)) * plain.encode(made_up(9))).sum(axis=1).min() > 0.9999
