"""ONNX files against torch on the same weights, and files that are no encoders."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from encoder_cases import TINY, made_up

from pathsearch.encoders import load_encoder
from pathsearch.encoders.conv_autoencoder import Backbone, pooled
from pathsearch.encoders.foreign import ForeignConfig, ForeignEncoder, vectors_of_tokens
from pathsearch.errors import EncoderInvalidError, ExtraMissingError, UsageError
from pathsearch.nouns import Encoder

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

MEAN, STD = (150.0, 120.0, 140.0), (60.0, 50.0, 55.0)


class Pooled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.backbone = Backbone(TINY).eval()

    def forward(self, x):
        return pooled(self.backbone(x), TINY)


def write(path, network, batch=2, dynamic=True, size=64):
    names = {"input_names": ["pixels"], "output_names": ["vectors"]}
    axes = {"pixels": {0: "n", 2: "h", 3: "w"}, "vectors": {0: "n"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old exporter, which needs no further package
        torch.onnx.export(
            network,
            (torch.zeros(batch, 3, size, size),),
            str(path),
            dynamo=False,
            dynamic_axes=axes,
            **names,
        )
    return path


@pytest.fixture(scope="module")
def network():
    return Pooled().eval()


@pytest.fixture
def file(network, tmp_path):
    write(tmp_path / "net.onnx", network)
    settings = {"input_px": 64, "mean": MEAN, "std": STD, "name": "mine"}
    (tmp_path / "net.json").write_text(json.dumps(settings), encoding="utf-8")
    return tmp_path / "net.onnx"


def in_torch(network, pixels):
    x = (torch.from_numpy(pixels).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.inference_mode():
        return torch.nn.functional.normalize(network(x.permute(0, 3, 1, 2))).numpy()


def test_the_same_vectors_as_torch(file, network):
    pixels = made_up(40)
    encoder = load_encoder(file, device="cpu")
    assert isinstance(encoder, Encoder)
    vectors = encoder.encode(pixels)
    assert vectors.dtype == np.float32
    assert (encoder.dim, encoder.name, encoder.input_px) == (56, "mine", 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert (vectors * in_torch(network, pixels)).sum(axis=1).min() > 0.9999


def test_vectors_do_not_depend_on_the_batch(file):
    pixels = made_up(40)
    encoder = load_encoder(file, device="cpu")
    parts = [encoder.encode(pixels[i : i + 9]) for i in range(0, 40, 9)]
    np.testing.assert_array_equal(np.concatenate(parts), encoder.encode(pixels))


def test_a_file_with_a_fixed_batch_and_size(network, tmp_path):
    write(tmp_path / "fixed.onnx", network, batch=3, dynamic=False)
    (tmp_path / "fixed.json").write_text(json.dumps({"mean": MEAN, "std": STD}))
    pixels = made_up(7)
    encoder = load_encoder(tmp_path / "fixed.onnx", device="cpu")
    assert encoder.input_px == 64  # from the file
    assert (encoder.encode(pixels) * in_torch(network, pixels)).sum(axis=1).min() > 0.9999


def test_preprocessing_is_part_of_the_fingerprint(file):
    before = load_encoder(file, device="cpu").fingerprint
    assert load_encoder(file, device="cpu").fingerprint == before
    changed = {"input_px": 64, "mean": MEAN, "std": [1, 2, 3], "name": "mine"}
    file.with_suffix(".json").write_text(json.dumps(changed))
    assert load_encoder(file, device="cpu").fingerprint != before
    renamed = {"input_px": 64, "mean": MEAN, "std": STD, "name": "other", "licence": "x"}
    file.with_suffix(".json").write_text(json.dumps(renamed))
    assert load_encoder(file, device="cpu").fingerprint == before
    file.with_name("net.onnx.data").write_bytes(b"weights kept beside the file")
    assert load_encoder(file, device="cpu").fingerprint != before


def test_it_is_copied_only_where_the_licence_permits(file, tmp_path):
    encoder = load_encoder(file, device="cpu")
    with pytest.raises(UsageError, match="referenced, not copied"):
        encoder.save(str(tmp_path / "copy"))
    settings = json.loads(file.with_suffix(".json").read_text()) | {"copyable": True}
    file.with_suffix(".json").write_text(json.dumps(settings))
    encoder = load_encoder(file, device="cpu")
    encoder.save(str(tmp_path / "copy"))
    again = load_encoder(tmp_path / "copy", device="cpu")
    assert again.fingerprint == encoder.fingerprint
    pixels = made_up(5)
    np.testing.assert_array_equal(again.encode(pixels), encoder.encode(pixels))


def test_raw_pixels_where_the_network_takes_uint8(tmp_path):
    class Raw(torch.nn.Module):
        def forward(self, x):
            return x.float().mean(dim=(1, 2)) + 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
        names = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
        torch.onnx.export(Raw(), (example,), str(tmp_path / "r.onnx"), dynamo=False, **names)
    pixels = made_up(3, size=32)
    found = load_encoder(tmp_path / "r.onnx", device="cpu").encode(pixels)
    expected = pixels.mean(axis=(1, 2)) + 1
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{", "not readable JSON"),
        ("[]", "not readable JSON"),
        ('{"input_px": 96}', "settings say 96"),
        ('{"output": "nothing"}', "no output 'nothing'"),
        ('{"surprise": 1}', "surprise"),
        ('{"std": [1, 0, 1]}', "not finite|positive"),
    ],
)
def test_settings_that_do_not_fit(network, tmp_path, settings, words):
    write(tmp_path / "net.onnx", network, dynamic=False)
    (tmp_path / "net.json").write_text(settings)
    with pytest.raises(EncoderInvalidError, match=words) as caught:
        load_encoder(tmp_path / "net.onnx", device="cpu")
    assert "\n" not in str(caught.value)


def test_a_size_the_network_cannot_take(tmp_path):
    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(3 * 64 * 64, 4)

        def forward(self, x):
            return self.last(x.flatten(1))

    write(tmp_path / "flat.onnx", Flat())
    (tmp_path / "flat.json").write_text('{"input_px": 32}')
    with pytest.raises(EncoderInvalidError, match="32 px into vectors"):
        load_encoder(tmp_path / "flat.onnx", device="cpu")


def test_files_that_are_no_networks(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(EncoderInvalidError, match="not a usable ONNX file"):
        load_encoder(tmp_path / "bad.onnx", device="cpu")


def test_words_that_do_not_fit(file):
    with pytest.raises(UsageError, match="leave bf16 out"):
        load_encoder(file, precision="bf16")
    with pytest.raises(UsageError, match="not available to ONNX Runtime"):
        load_encoder(file, device="cuda")


def test_a_folder_may_not_name_files_elsewhere(tmp_path):
    raw = {"format": "pathsearch-encoder", "kind": "onnx", "file": "../net.onnx"}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(EncoderInvalidError, match="in the same folder"):
        load_encoder(tmp_path, device="cpu")


def test_without_the_extra(file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ExtraMissingError, match=r"napari-pathsearch\[onnx\]"):
        load_encoder(file)


# ---------------------------------------------------------------------- tokens


def test_one_vector_of_many_tokens():
    raw = np.arange(2 * 6 * 3, dtype=float).reshape(2, 6, 3)
    config = ForeignConfig(pooling="class", registers=2)
    np.testing.assert_array_equal(vectors_of_tokens(raw, config), raw[:, 0])
    both = vectors_of_tokens(raw, config.model_copy(update={"pooling": "class+mean"}))
    expected = np.concatenate([raw[:, 0], raw[:, 3:].mean(axis=1)], axis=1)
    np.testing.assert_array_equal(both, expected)
    mean = vectors_of_tokens(raw, config.model_copy(update={"pooling": "mean"}))
    np.testing.assert_array_equal(mean, expected[:, 3:])
    np.testing.assert_array_equal(
        vectors_of_tokens(raw[..., None], config), raw[..., None].mean(axis=(2, 3))
    )
    with pytest.raises(ValueError, match="none of them of a patch"):
        vectors_of_tokens(raw[:, :2], config.model_copy(update={"pooling": "mean"}))
    with pytest.raises(ValueError, match="5 dimensions"):
        vectors_of_tokens(np.zeros((2, 1, 1, 1, 1)), config)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda x: np.zeros((1, 8)), "not a vector each"),
        (lambda x: np.zeros((len(x), 1)), "not a vector each"),
        (lambda x: np.zeros(len(x)), "1 dimensions"),
        (lambda x: 1 / 0, "division"),
    ],
)
def test_networks_that_give_no_vectors(tmp_path, run, words):
    (tmp_path / "x").write_bytes(b"x")
    config = ForeignConfig(name="x", input_px=32)
    with pytest.raises(EncoderInvalidError, match=words):
        ForeignEncoder(tmp_path / "x", config, run)


def test_vectors_that_are_not_finite_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    values = iter([np.ones((32, 4)), np.full((32, 4), np.nan)])
    encoder = ForeignEncoder(
        tmp_path / "x", ForeignConfig(name="x", input_px=32), lambda x: next(values)
    )
    with pytest.raises(EncoderInvalidError, match="not finite"):
        encoder.encode(made_up(1, size=32))
