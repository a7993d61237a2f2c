"""MobileNet read from a TFLite file, compared with TFLite's own kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pathsearch.encoders import load_encoder
from pathsearch.errors import EncoderInvalidError

NAME = "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"


@pytest.fixture(scope="module")
def weights(data_dir: Path) -> Path:
    pytest.importorskip("ai_edge_litert.interpreter")
    return data_dir / "weights" / NAME


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Smooth random pictures; white noise is nothing that a network was quantised for."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (2, 14, 14, 3))
    return np.kron(coarse, np.ones((1, 16, 16, 1))).astype(np.uint8)


def test_agrees_with_the_quantised_network(weights: Path, pixels: np.ndarray) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(weights))
    interpreter.allocate_tensors()
    plain = []
    for patch in pixels:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], patch[None])
        interpreter.invoke()
        out = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        plain.append(out.reshape(-1).astype(np.float64))
    expected = np.array(plain) / np.linalg.norm(plain, axis=1, keepdims=True)
    encoder = load_encoder(weights, device="cpu", precision="float32")
    vectors = encoder.encode(pixels)
    assert vectors.shape == (2, encoder.dim)
    assert (vectors * expected).sum(axis=1).min() > 0.99


def test_smaller_patches_are_taken_as_they_are(weights: Path, pixels: np.ndarray) -> None:
    encoder = load_encoder(weights, device="cpu", precision="float32")
    small = encoder.encode(pixels[:, :96, :96])
    assert np.allclose(np.linalg.norm(small, axis=1), 1, atol=1e-5)
    odd = encoder.encode(pixels[:, :100, :100])
    assert not np.allclose(small, odd, atol=1e-3)


def test_another_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    (tmp_path / "other.tflite").write_bytes(b"nothing of the kind" * 10)
    with pytest.raises(EncoderInvalidError, match="not a TFLite file"):
        load_encoder(tmp_path / "other.tflite")
