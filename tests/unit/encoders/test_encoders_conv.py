"""The conv encoder: its vectors, its files, and the folded network against the plain one."""

from __future__ import annotations

import json
import pickle
import shutil
import threading

import numpy as np
import pytest
import torch
from encoder_cases import TINY, made_up

from pathsearch.config import EncoderArchitecture
from pathsearch.encoders import load_encoder
from pathsearch.encoders.conv_autoencoder import Backbone, ConvAutoencoder, pooled
from pathsearch.encoders.conv_encoder import BATCH, ConvEncoder, resize_area, untrained
from pathsearch.encoders.files import EncoderConfig, read_encoder
from pathsearch.encoders.folded import FoldedBackbone
from pathsearch.encoders.random_weights import random_encoder
from pathsearch.errors import EncoderInvalidError, EncoderNotFoundError, UsageError
from pathsearch.nouns import Encoder


def test_it_is_an_encoder(tiny):
    assert isinstance(tiny, Encoder)
    assert (tiny.dim, tiny.input_px, tiny.precision) == (16, 64, "float32")


def test_vectors_are_of_unit_length(tiny, patches):
    vectors = tiny.encode(patches)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(patches), 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert len(np.unique(vectors.round(4), axis=0)) == len(patches)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("size", [1, 7, BATCH, BATCH + 1])
def test_vectors_do_not_depend_on_the_batch(tiny, patches, precision, size):
    encoder = ConvEncoder(tiny.config, tiny._tensors, device="cpu", precision=precision)
    whole = encoder.encode(patches)
    parts = [encoder.encode(patches[i : i + size]) for i in range(0, len(patches), size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_vectors_do_not_depend_on_the_company(tiny, patches):
    order = np.random.default_rng(0).permutation(len(patches))
    np.testing.assert_array_equal(tiny.encode(patches[order]), tiny.encode(patches)[order])


def test_no_patches_give_no_vectors(tiny):
    assert tiny.encode(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0, 16)


def test_bf16_agrees_with_float32(tiny, patches):
    half = ConvEncoder(tiny.config, tiny._tensors, device="cpu", precision="bf16")
    assert half.precision == "bf16"
    cosine = (half.encode(patches) * tiny.encode(patches)).sum(axis=1)
    # Untrained weights whitened on 50 patches are the worst case: noise is amplified.
    assert np.median(cosine) > 0.999
    assert cosine.min() > 0.98
    assert half.fingerprint == tiny.fingerprint


def test_folding_changes_nothing():
    torch.manual_seed(0)
    plain = Backbone(TINY)
    for module in plain.modules():  # as after training: nothing at its starting value
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    mean, std = (180.0, 140.0, 170.0), (40.0, 50.0, 60.0)
    raw = torch.from_numpy(made_up(6)).permute(0, 3, 1, 2).float()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    folded = FoldedBackbone(plain, mean, std)
    standard = (raw - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    with torch.inference_mode():
        pairs = zip(folded(raw), plain.eval()(standard), strict=True)
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_pooled_is_mean_and_spread():
    maps = [torch.zeros(2, 8, 4, 4), torch.randn(2, 12, 3, 5), torch.randn(2, 16, 2, 2)]
    found = pooled(maps, TINY)
    assert found.shape == (2, 2 * (12 + 16))
    torch.testing.assert_close(found[:, :12], maps[1].mean(dim=(2, 3)))
    spread = maps[1].var(dim=(2, 3), correction=0)
    torch.testing.assert_close(found[:, 12:24], torch.sqrt(spread + 1e-4))


def test_the_autoencoder_gives_back_pictures():
    model = ConvAutoencoder(TINY).eval()
    features, picture = model(torch.randn(2, 3, 64, 64))
    assert features.shape == (2, 56)
    assert picture.shape == (2, 3, 64, 64)


def test_saved_and_loaded_is_the_same(tiny, patches, tmp_path):
    tiny.save(str(tmp_path / "e"))
    again = load_encoder(tmp_path / "e", device="cpu", precision="float32")
    np.testing.assert_array_equal(again.encode(patches), tiny.encode(patches))
    assert (again.fingerprint, again.name) == (tiny.fingerprint, tiny.name)
    assert not list((tmp_path / "e").glob("*.part"))


def test_the_fingerprint_covers_what_decides_vectors(tiny, patches):
    config, tensors = tiny.config, tiny._tensors

    def printed(config=config, tensors=tensors):
        return ConvEncoder(config, tensors, device="cpu", precision="float32").fingerprint

    assert printed(config.model_copy(update={"name": "other", "notes": {"a": 1}})) == printed()
    assert printed(config.model_copy(update={"mean": (1.0, 2.0, 3.0)})) != printed()
    changed = dict(tensors)
    changed["post.mean"] = tensors["post.mean"] + np.float32(1e-3)
    assert printed(tensors=changed) != printed()
    assert random_encoder(patches, TINY, seed=4, dim=16).fingerprint != printed()
    assert random_encoder(patches, TINY, seed=3, dim=16).fingerprint == printed()


def test_several_threads_share_an_encoder(tiny, patches):
    alone = tiny.encode(patches)
    found = [None] * 4

    def work(place):
        found[place] = tiny.encode(patches)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for vectors in found:
        np.testing.assert_array_equal(vectors, alone)


@pytest.mark.parametrize("bad", [np.zeros((2, 64, 64)), np.zeros((64, 64, 3), np.uint8)])
def test_other_arrays_are_refused(tiny, bad):
    with pytest.raises(UsageError, match="uint8 of shape"):
        tiny.encode(bad)


def test_other_sizes_are_resized(tiny):
    large = made_up(3, size=128)
    np.testing.assert_array_equal(tiny.encode(large), tiny.encode(resize_area(large, 64)))


def test_shrinking_averages_and_cuts_evenly():
    pixels = np.zeros((1, 4, 8, 3), np.uint8)
    pixels[0, :, 2:6] = np.arange(4, dtype=np.uint8)[:, None] * 40
    small = resize_area(pixels, 2)
    assert small.shape == (1, 2, 2, 3)
    assert small[0, :, :, 0].tolist() == [[20, 100], [20, 100]]


def test_untrained_is_reproducible_and_leaves_the_random_state(patches):
    config = EncoderConfig(architecture=TINY, dim=16, input_px=64)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = untrained(config, 1, device="cpu", precision="float32")
    torch.testing.assert_close(torch.rand(1), expected)
    two = untrained(config, 1, device="cpu", precision="float32")
    assert one.fingerprint == two.fingerprint
    assert untrained(config, 2, device="cpu").fingerprint != one.fingerprint


# ---------------------------------------------------------------------- what is refused


@pytest.fixture
def folder(tiny, tmp_path):
    tiny.save(str(tmp_path / "e"))
    return tmp_path / "e"


def _change(folder, **changes):
    path = folder / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(raw | changes), encoding="utf-8")


def _cut(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:500])


def _flip(folder):
    path = folder / "weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 0xFF
    path.write_bytes(bytes(raw))


DAMAGES = {
    "weights missing": (lambda f: (f / "weights.safetensors").unlink(), "copy the whole folder"),
    "weights cut": (_cut, "damaged"),
    "one bit of the weights": (_flip, "do not belong together"),
    "settings not JSON": (lambda f: (f / "config.json").write_text("{"), "not readable JSON"),
    "settings of nobody": (lambda f: (f / "config.json").write_text("[1]"), "does not describe"),
    "settings changed": (lambda f: _change(f, mean=[1, 2, 3]), "do not belong together"),
    "newer version": (lambda f: _change(f, format_version=99), "update pathsearch"),
    "unknown key": (lambda f: _change(f, surprise=1), "surprise"),
    "wrong shape": (lambda f: _change(f, dim=0), "dim"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_one_clear_line(folder, name):
    damage, words = DAMAGES[name]
    damage(folder)
    with pytest.raises(EncoderInvalidError, match=words) as caught:
        load_encoder(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_tensors_of_another_architecture_are_refused(tiny):
    wider = EncoderArchitecture(channels=(8, 12, 20), depths=(1, 1, 1), pooled_stages=(1, 2))
    config = tiny.config.model_copy(update={"architecture": wider})
    with pytest.raises(EncoderInvalidError, match="does not fit the architecture"):
        ConvEncoder(config, tiny._tensors, device="cpu")
    deeper = EncoderArchitecture(channels=(8, 12, 16), depths=(2, 1, 1), pooled_stages=(1, 2))
    config = tiny.config.model_copy(update={"architecture": deeper})
    with pytest.raises(EncoderInvalidError, match="do not fit the architecture"):
        ConvEncoder(config, tiny._tensors, device="cpu")


def test_a_part_of_the_tensors_is_refused(tiny):
    some = {name: value for name, value in tiny._tensors.items() if name != "post.scale"}
    with pytest.raises(EncoderInvalidError, match=r"post\.scale"):
        ConvEncoder(tiny.config, some, device="cpu")


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("no-such-folder", EncoderNotFoundError, "No encoder at"),
        ("builtin:none-such", EncoderNotFoundError, "no built-in encoder 'none-such'"),
        ("kind-of-nobody:x", EncoderNotFoundError, "No plug-in loads"),
    ],
)
def test_words_that_name_nothing(spec, error, words):
    with pytest.raises(error, match=words):
        load_encoder(spec)


def test_files_and_folders_of_other_kinds(tmp_path):
    (tmp_path / "x.weights").write_bytes(b"1")
    with pytest.raises(EncoderInvalidError, match="no plug-in loads encoders from files"):
        load_encoder(tmp_path / "x.weights")
    with pytest.raises(EncoderNotFoundError, match=r"holds no config\.json"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_here(folder, device):
    with pytest.raises(UsageError, match="is not available here"):
        load_encoder(folder, device=device)


def test_a_plug_in_is_found_by_its_entry_point(monkeypatch, tmp_path, tiny):
    import pathsearch.encoders.loading as loading

    class Entry:
        name = "mine"

        @staticmethod
        def load():
            return lambda argument, device, precision: (argument, device, precision)

    def entry_points(group, name=None):
        assert group == "pathsearch.encoders"
        return [Entry] if name in (None, "mine") else []

    monkeypatch.setattr(loading, "entry_points", entry_points)
    assert load_encoder("mine:model", device="cpu") == ("model", "cpu", "auto")
    (tmp_path / "file.mine").write_bytes(b"x")
    assert load_encoder(tmp_path / "file.mine")[0] == str(tmp_path / "file.mine")


def test_a_library_can_carry_it(folder, tmp_path, patches, tiny):
    shutil.copytree(folder, tmp_path / "elsewhere")
    config, tensors = read_encoder(tmp_path / "elsewhere")
    assert config.fingerprint == tiny.fingerprint
    assert set(tensors) == set(tiny._tensors)
