"""What every encoder must do, as tests to inherit."""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderError
from pathsearch.nouns import Encoder

Pixels = npt.NDArray[np.uint8]

#: Tissues that even a plain encoder tells apart.
TISSUES = ("stroma", "lymphocytes", "fat", "mucus")
PER_TISSUE = 5


class EncoderSuite(ABC):
    """Tests of an encoder; pytest collects them from a subclass.

    ::

        class TestMyEncoder(EncoderSuite):
            def encoder(self):
                return MyEncoder("weights.onnx")

            def loaded(self, folder):
                return load_encoder(folder)
    """

    #: How much a patch's vector may depend on the other patches of its batch; the design
    #: asks for none on one machine.
    tolerance: float = 0.0
    #: Least share of patches of drawn tissue whose nearest other patch is the same tissue.
    tells_apart: float = 0.7

    @abstractmethod
    def encoder(self) -> Encoder:
        """The encoder under test; a new one at each call."""

    def loaded(self, folder: str) -> Encoder | None:
        """What `save` wrote, loaded again; None where it cannot be saved."""
        del folder
        return None

    def patches(self) -> Pixels:
        """Patches of drawn tissues at a resolution and size that suit the encoder."""
        encoder = self.encoder()
        low, high = encoder.mpp_range
        return _drawn(encoder.input_px, float(np.clip(0.5, low, high)))

    def test_facts(self) -> None:
        """Name, size of input and output, resolutions, fingerprint."""
        encoder = self.encoder()
        assert isinstance(encoder, Encoder)
        assert encoder.name
        assert encoder.dim >= 1
        assert encoder.input_px >= 16
        low, high = encoder.mpp_range
        assert 0 < low <= high
        assert len(encoder.fingerprint) >= 16
        assert set(encoder.fingerprint) <= set(string.hexdigits)
        assert isinstance(encoder.copyable, bool)

    def test_vectors_are_unit_vectors(self) -> None:
        """Shape, type and length."""
        encoder = self.encoder()
        vectors = encoder.encode(self.patches())
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TISSUES) * PER_TISSUE, encoder.dim)
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-3

    def test_flat_patches_have_vectors_too(self) -> None:
        """White, black and grey: finite, of length 1."""
        encoder = self.encoder()
        side = encoder.input_px
        flat = np.stack([np.full((side, side, 3), v, np.uint8) for v in (255, 0, 128)])
        vectors = encoder.encode(flat)
        assert np.isfinite(vectors).all()
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-3

    def test_nothing_gives_nothing(self) -> None:
        """An empty batch."""
        encoder = self.encoder()
        side = encoder.input_px
        assert encoder.encode(np.zeros((0, side, side, 3), np.uint8)).shape == (0, encoder.dim)

    def test_a_patch_does_not_depend_on_its_company(self) -> None:
        """All at once, in another order, one by one: the same vectors."""
        encoder = self.encoder()
        patches = self.patches()
        together = encoder.encode(patches)
        backwards = encoder.encode(patches[::-1])[::-1]
        alone = np.concatenate([encoder.encode(patches[i : i + 1]) for i in range(4)])
        assert np.abs(together - backwards).max() <= self.tolerance
        assert np.abs(together[:4] - alone).max() <= self.tolerance

    def test_two_of_a_kind_agree(self) -> None:
        """Loading twice gives the same fingerprint and the same vectors."""
        one, two = self.encoder(), self.encoder()
        assert one.fingerprint == two.fingerprint
        patches = self.patches()[:3]
        np.testing.assert_array_equal(one.encode(patches), two.encode(patches))

    def test_the_pixels_stay_as_they_were(self) -> None:
        """Input is read only, and need not lie in one piece."""
        encoder = self.encoder()
        wide = np.repeat(self.patches()[:2], 2, axis=2)
        wide.flags.writeable = False
        view = wide[:, :, ::2]
        np.testing.assert_array_equal(
            encoder.encode(view), encoder.encode(np.ascontiguousarray(view))
        )

    def test_threads_may_encode_at_once(self) -> None:
        """Four threads see the same vectors as one."""
        encoder = self.encoder()
        patches = self.patches()[:6]
        expected = encoder.encode(patches)
        with ThreadPoolExecutor(4) as pool:
            for got in pool.map(lambda _: encoder.encode(patches), range(4)):
                assert np.abs(got - expected).max() <= self.tolerance

    def test_it_tells_tissues_apart(self) -> None:
        """The nearest other patch mostly shows the same drawn tissue."""
        vectors = self.encoder().encode(self.patches())
        scores = vectors @ vectors.T
        np.fill_diagonal(scores, -np.inf)
        tissue = np.repeat(np.arange(len(TISSUES)), PER_TISSUE)
        right = float((tissue[scores.argmax(axis=1)] == tissue).mean())
        assert right >= self.tells_apart, f"{right:.2f} of the nearest are of the same tissue"

    def test_saved_and_loaded_it_is_the_same(self, tmp_path: Path) -> None:
        """Fingerprint and vectors survive; what cannot be saved says so."""
        encoder = self.encoder()
        folder = tmp_path / "encoder"
        try:
            encoder.save(str(folder))
        except EncoderError:
            return
        again = self.loaded(str(folder))
        assert again is not None, "`loaded` must load what `save` wrote"
        assert again.fingerprint == encoder.fingerprint
        assert (again.name, again.dim, again.input_px) == (
            encoder.name,
            encoder.dim,
            encoder.input_px,
        )
        patches = self.patches()[:4]
        np.testing.assert_array_equal(again.encode(patches), encoder.encode(patches))


@lru_cache(maxsize=8)
def _drawn(side: int, mpp: float) -> Pixels:
    """`PER_TISSUE` patches of each of `TISSUES`, uint8 (n, side, side, 3)."""
    from pathsearch.testing.drawing import draw_slide

    found = []
    for tissue in TISSUES:
        drawing = draw_slide((side * PER_TISSUE, side), mpp=mpp, layout=[[tissue]])
        found += [drawing.pixels(i * side, 0, side, side) for i in range(PER_TISSUE)]
    patches = np.stack(found)
    patches.flags.writeable = False
    return patches
