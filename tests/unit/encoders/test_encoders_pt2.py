"""Programs of torch.export against torch, and archives that would run code."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from encoder_cases import TINY, made_up

from pathsearch.encoders import load_encoder
from pathsearch.encoders.conv_autoencoder import Backbone, pooled
from pathsearch.encoders.exported_program import check_archive
from pathsearch.errors import EncoderInvalidError, UsageError

MEAN, STD = (150.0, 120.0, 140.0), (60.0, 50.0, 55.0)


class Pooled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.backbone = Backbone(TINY).eval()

    def forward(self, x):
        return pooled(self.backbone(x), TINY)


@pytest.fixture(scope="module")
def network():
    return Pooled().eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    shapes = ({0: torch.export.Dim("n", min=2, max=64)},)
    program = torch.export.export(network, (torch.zeros(4, 3, 64, 64),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    path.with_suffix(".json").write_text(json.dumps({"mean": MEAN, "std": STD}))
    return path


def test_the_same_vectors_as_torch(exported, network):
    pixels = made_up(40)
    encoder = load_encoder(exported, device="cpu")
    assert (encoder.input_px, encoder.dim, encoder.name) == (64, 56, "net")
    x = (torch.from_numpy(pixels).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.inference_mode():
        theirs = torch.nn.functional.normalize(network(x.permute(0, 3, 1, 2))).numpy()
    vectors = encoder.encode(pixels)
    assert (vectors * theirs).sum(axis=1).min() > 0.9999
    np.testing.assert_array_equal(encoder.encode(pixels[:5]), vectors[:5])


def test_a_program_of_a_fixed_batch(network, tmp_path):
    torch.export.save(
        torch.export.export(network, (torch.zeros(3, 3, 64, 64),)), tmp_path / "f.pt2"
    )
    assert load_encoder(tmp_path / "f.pt2", device="cpu").encode(made_up(7)).shape == (7, 56)


def test_words_that_do_not_fit(exported):
    with pytest.raises(UsageError, match="no bf16"):
        load_encoder(exported, precision="bf16")


# ---------------------------------------------------------------------- what could run code


class Evil:
    def __reduce__(self):
        return print, ("this must never be printed",)


def changed(exported, folder, *, replace=None, add=None):
    """A copy of the archive with members replaced (a function of the bytes) or added."""
    path = folder / "changed.pt2"
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            name = info.filename.partition("/")[2]
            if replace and name in replace:
                data = replace[name](data)
            new.writestr(info.filename, data)
        for name, data in (add or {}).items():
            new.writestr(f"net/{name}", data)
    return path


def in_json(change):
    def apply(data):
        raw = json.loads(data)
        change(raw)
        return json.dumps(raw).encode()

    return apply


def _pickle_weight(raw):
    next(iter(raw["config"].values()))["use_pickle"] = True


def _object_constant(raw):
    raw["config"]["x"] = {"path_name": "opaque_obj_0", "use_pickle": False}


def _target(name):
    def change(raw):
        raw["graph_module"]["graph"]["nodes"][0]["target"] = name

    return in_json(change)


def _expression(raw):
    raw["graph_module"]["graph"]["x"] = {"expr_str": "__import__('os').system('true')"}


CASES = {
    "a pickled weight": (
        {"data/weights/model_weights_config.json": in_json(_pickle_weight)},
        None,
        "pickled objects",
    ),
    "an object as a constant": (
        {"data/constants/model_constants_config.json": in_json(_object_constant)},
        None,
        "pickled objects",
    ),
    "pickled sample inputs": (
        {"data/sample_inputs/model.pt": lambda data: pickle.dumps(Evil())},
        None,
        "more than tensors",
    ),
    "a compiled library": (None, {"data/aotinductor/model/x.so": b"\x7fELF"}, "which is not read"),
    "legacy weights": (None, {"data/weights/model.pt": b"x"}, "which is not read"),
    "a foreign call": ({"models/model.json": _target("os.system")}, None, "calls 'os.system'"),
    "an operator that calls": (
        {"models/model.json": _target("_operator.methodcaller")},
        None,
        "not one of torch's own",
    ),
    "code as a size": ({"models/model.json": in_json(_expression)}, None, "as a size"),
    "damaged JSON": ({"models/model.json": lambda data: data[:-5]}, None, "damaged"),
}


@pytest.mark.parametrize("name", CASES)
def test_archives_that_could_run_code_are_refused(exported, tmp_path, capsys, name):
    replace, add, words = CASES[name]
    path = changed(exported, tmp_path, replace=replace, add=add)
    with pytest.raises(EncoderInvalidError, match=words) as caught:
        load_encoder(path, device="cpu")
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_an_unchanged_copy_passes(exported, tmp_path):
    check_archive(changed(exported, tmp_path))


def test_files_that_are_no_archives(tmp_path):
    (tmp_path / "x.pt2").write_bytes(b"nothing")
    with pytest.raises(EncoderInvalidError, match=r"not a program of torch\.export"):
        load_encoder(tmp_path / "x.pt2")
    held = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, held)
    (tmp_path / "y.pt2").write_bytes(held.getvalue())
    with pytest.raises(EncoderInvalidError, match="which is not read"):
        load_encoder(tmp_path / "y.pt2")
