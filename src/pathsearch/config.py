"""The settings, as frozen models, and the one way to load them from YAML.

The files in ``configs/`` are complete and equal to the defaults here (a test says so).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pathsearch.errors import ConfigError

#: µm per pixel that a microscope slide can have; outside it is an error, not a guess.
SANE_MPP = (0.05, 10.0)


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TileSpec(Settings):
    """How slides are cut into patches. A library may hold several specs.

    Attributes
    ----------
    size_px : int
        Width and height of a patch as the encoder sees it, in pixels at `mpp`.
    mpp : float
        Resolution of the patch, µm per pixel.
    stride_px : int
        Step between neighbours, in pixels at `mpp`; equal to `size_px` by default.
    min_tissue : float
        Least share of a patch that must be tissue, 0..1.
    color : {'raw', 'srgb'}
        Pixels as stored, or with the slide's ICC profile applied.
    name : str
        How the spec is called, e.g. ``0.5um-224px``.
    """

    size_px: int = Field(224, ge=16, le=4096)
    mpp: float = Field(0.5, ge=SANE_MPP[0], le=SANE_MPP[1])
    stride_px: int = Field(0, ge=0, le=8192)
    min_tissue: float = Field(0.4, ge=0.0, le=1.0)
    color: Literal["raw", "srgb"] = "raw"
    name: str = Field("", pattern=r"^[A-Za-z0-9._-]*$", max_length=60)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = dict(data)
            size = data.get("size_px", 224)
            if not data.get("stride_px"):
                data["stride_px"] = size
            if not data.get("name"):
                data["name"] = f"{float(data.get('mpp', 0.5)):g}um-{size}px"
        return data


class SlideSettings(Settings):
    """How slides are read."""

    reader: Literal["auto", "openslide", "tiff"] = "auto"
    #: Declared sizes above this many level-0 pixels are refused (slide-too-large).
    max_pixels: int = Field(4 * 10**11, ge=1)
    #: More than this share of unreadable patches fails the slide (bad-tiles).
    max_bad_share: float = Field(0.2, ge=0.0, le=1.0)
    #: Read in a child process, so that a hang or a crash costs one slide and not the run.
    isolate: bool = True
    #: Seconds without progress until that process is killed (slide-timeout).
    deadline_s: float = Field(120.0, gt=0.0)


class TissueSettings(Settings):
    """How tissue is told from glass, on an overview of the slide.

    Attributes
    ----------
    mode : {'auto', 'brightfield', 'fluorescence', 'all'}
        ``auto`` looks whether the background is bright or dark; ``all`` takes the whole
        scanned area as tissue.
    mpp : float
        Resolution of the overview that the mask is made on, µm per pixel.
    exclude_pen : bool
        Leave out marks of felt pens. Switch it off for stains in a pen's colours, such as
        a trichrome with light green.
    exclude_artefacts : bool
        Leave out coverslip edges, bubbles, out-of-focus dirt on the glass and black borders.
    min_area_um : float
        Pieces smaller than a disc of this diameter are dust, µm.
    sensitivity : float
        1 by default; higher takes paler material for tissue.
    """

    mode: Literal["auto", "brightfield", "fluorescence", "all"] = "auto"
    mpp: float = Field(8.0, ge=1.0, le=64.0)
    exclude_pen: bool = True
    exclude_artefacts: bool = True
    min_area_um: float = Field(80.0, ge=0.0, le=5000.0)
    sensitivity: float = Field(1.0, ge=0.2, le=5.0)


class IndexSettings(Settings):
    """How slides become a library (``configs/index.yaml``).

    Attributes
    ----------
    specs : tuple of TileSpec
        The magnifications to cut; used when the library is made.
    encoder : str
        What `pathsearch.encoders.load_encoder` takes; empty for the built-in default.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision : {'auto', 'float32', 'bf16'}
    batch_size : int
        Patches encoded at once.
    workers : int
        Slides that are read at once, each in a process of its own; 0 for one for every two
        cores, at most 4. The library is the same whatever the number.
    threads : int
        That decode pixels, over all workers; 0 for one a core.
    thumbnail_px : int
        Longer side of the small picture that is kept of every slide.
    regions_mode : {'replace', 'restrict'}
        Regions given with ``--regions`` are the tissue, whatever the pixels show; or only
        the tissue inside of them counts.
    """

    specs: tuple[TileSpec, ...] = Field((TileSpec(),), min_length=1)
    slides: SlideSettings = SlideSettings()
    tissue: TissueSettings = TissueSettings()
    encoder: str = ""
    device: str = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    batch_size: int = Field(64, ge=1, le=4096)
    workers: int = Field(0, ge=0, le=64)
    threads: int = Field(0, ge=0, le=256)
    thumbnail_px: int = Field(512, ge=64, le=4096)
    regions_mode: Literal["replace", "restrict"] = "replace"

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [spec.name for spec in self.specs]
        if len(set(names)) != len(names):
            raise ValueError("two specs have one name; give them different ones")
        return self


class EncoderArchitecture(Settings):
    """The shape of the convolutional encoder.

    Attributes
    ----------
    channels : tuple of int
        Width of each stage; the first works at a quarter of the input's resolution, each
        further one at half of the one before.
    depths : tuple of int
        Residual blocks in each stage; 0 is none.
    pooled_stages : tuple of int
        Stages whose mean and spread make the vector, counted from 0.
    """

    channels: tuple[int, ...] = Field((32, 64, 128, 256), min_length=1, max_length=5)
    depths: tuple[int, ...] = Field((0, 1, 2, 1), min_length=1, max_length=5)
    pooled_stages: tuple[int, ...] = Field((1, 2, 3), min_length=1, max_length=5)

    @model_validator(mode="after")
    def _fits_together(self) -> EncoderArchitecture:
        if len(self.depths) != len(self.channels):
            raise ValueError("depths must name as many stages as channels")
        if any(not 1 <= width <= 2048 for width in self.channels):
            raise ValueError("channels must be between 1 and 2048")
        if any(not 0 <= depth <= 20 for depth in self.depths):
            raise ValueError("depths must be between 0 and 20")
        if len(set(self.pooled_stages)) != len(self.pooled_stages) or any(
            not 0 <= place < len(self.channels) for place in self.pooled_stages
        ):
            raise ValueError("pooled_stages must be different stages, counted from 0")
        return self


class AugmentSettings(Settings):
    """How the two views of a patch are made to differ.

    Attributes
    ----------
    zoom : tuple of float
        A view shows the tissue this much smaller or larger; 1 is the patch's own scale.
    rotate : bool
        Turn by any angle and mirror.
    stain : float
        Jitter of the H&E optical densities (Tellez et al. 2018): relative standard
        deviation of each stain's amount.
    hue, saturation, brightness, contrast : float
        Largest change: turns of the colour circle for hue, relative for the others.
    gray : float
        Share of views that lose their colour.
    blur, jpeg, noise : float
        Share of views that are blurred, compressed, made noisy.
    """

    zoom: tuple[float, float] = (0.6, 1.5)
    rotate: bool = True
    stain: float = Field(0.25, ge=0, le=1)
    hue: float = Field(0.06, ge=0, le=0.5)
    saturation: float = Field(0.35, ge=0, le=1)
    brightness: float = Field(0.25, ge=0, le=1)
    contrast: float = Field(0.25, ge=0, le=1)
    gray: float = Field(0.1, ge=0, le=1)
    blur: float = Field(0.3, ge=0, le=1)
    jpeg: float = Field(0.3, ge=0, le=1)
    noise: float = Field(0.3, ge=0, le=1)

    @model_validator(mode="after")
    def _zoom_in_order(self) -> AugmentSettings:
        if not 0.2 <= self.zoom[0] <= self.zoom[1] <= 4:
            raise ValueError("zoom must be two numbers between 0.2 and 4, smaller first")
        return self


class LossSettings(Settings):
    """What is trained for, and how much each part counts; 0 leaves a part out.

    Attributes
    ----------
    reconstruction : float
        Mean squared error of the clean view, rebuilt from the distorted one.
    invariance : float
        Two views of one patch get one vector.
    invariance_kind : {'contrastive', 'vicreg', 'self-distillation'}
        InfoNCE (Chen et al. 2020), VICReg (Bardes et al. 2022), or a slow copy of the
        network as the judge (DINO, Caron et al. 2021).
    temperature : float
        Of the contrastive loss.
    distillation : float
        Cosine to a teacher's whitened features; counts only with a `teacher`.
    """

    reconstruction: float = Field(0.5, ge=0)
    invariance: float = Field(1.0, ge=0)
    invariance_kind: Literal["contrastive", "vicreg", "self-distillation"] = "contrastive"
    temperature: float = Field(0.15, gt=0, le=2)
    distillation: float = Field(2.0, ge=0)


class TrainSettings(Settings):
    """Training of an encoder. Every field is explained in ``configs/train.yaml``."""

    name: str = Field("custom", pattern=r"^[A-Za-z0-9._-]+$", max_length=60)
    licence: str = Field("", max_length=200)
    seed: int = Field(0, ge=0, lt=2**31)

    # Patches
    mpp: tuple[float, ...] = Field((0.5,), min_length=1)
    slide_mpp: float | None = Field(None, ge=SANE_MPP[0], le=SANE_MPP[1])
    picture_mpp: float = Field(0.5, ge=SANE_MPP[0], le=SANE_MPP[1])
    picture_scales: tuple[float, ...] = Field((1.0,), min_length=1)
    patch_px: int = Field(224, ge=64, le=1024)
    min_tissue: float = Field(0.4, ge=0, le=1)
    pool_patches: int = Field(8192, ge=16)
    pool_steps: int = Field(2000, ge=1)
    validation_patches: int = Field(256, ge=2)

    # Encoder
    architecture: EncoderArchitecture = EncoderArchitecture()
    dim: int = Field(128, ge=2, le=4096)
    input_px: int = Field(224, ge=32, le=2048)
    whitening_patches: int = Field(4096, ge=16)
    whitening_noise: float = Field(0.3, ge=0)
    whitening_stain: float = Field(0.5, ge=0, le=1)
    initial: str | None = None

    # Objective
    loss: LossSettings = LossSettings()
    augment: AugmentSettings = AugmentSettings()
    view_px: int = Field(96, ge=32, le=512)
    teacher: str | None = None
    teacher_crops: int = Field(8, ge=1, le=256)

    # Optimisation
    batch_size: int = Field(128, ge=4, le=65536)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup_steps: int = Field(50, ge=0)
    max_steps: int = Field(3000, ge=1)
    max_seconds: float | None = Field(None, gt=0)
    validate_steps: int = Field(250, ge=1)
    patience: int | None = Field(None, ge=1)
    checkpoint_steps: int = Field(100, ge=1)

    # Machine
    device: str = "auto"
    devices: int = Field(1, ge=1)
    precision: Literal["auto", "float32", "bf16"] = "auto"
    threads: int | None = Field(None, ge=1)
    logger: Literal["csv", "tensorboard", "none"] = "csv"

    @model_validator(mode="after")
    def _fits_together(self) -> TrainSettings:
        # 8: the blocks of the imitation of JPEG.
        stride = max(8, 4 * 2 ** (len(self.architecture.channels) - 1))
        for key in ("view_px", "input_px"):
            if getattr(self, key) % stride:
                raise ValueError(f"{key} must be a multiple of {stride} for this many stages")
        if any(not SANE_MPP[0] <= mpp <= SANE_MPP[1] for mpp in self.mpp):
            raise ValueError(f"mpp must lie between {SANE_MPP[0]} and {SANE_MPP[1]}")
        if any(not 0.05 <= scale <= 1 for scale in self.picture_scales):
            raise ValueError("picture_scales must lie between 0.05 and 1")
        if not (self.loss.reconstruction or self.loss.invariance or self.teacher):
            raise ValueError("all losses are 0: there is nothing to train for")
        return self


_Model = TypeVar("_Model", bound=Settings)


def load_yaml(path: Path | str, model: type[_Model]) -> _Model:
    """Read settings from a YAML file.

    Parameters
    ----------
    path : Path or str
        The file. Keys that it leaves out keep their defaults.
    model : type
        The settings class to fill.

    Raises
    ------
    ConfigError
        The file is missing, is not YAML, or holds a key or value that does not fit.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).", path=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not valid YAML: {reason}", path=str(path)) from None
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines.", path=str(path))
    return validated(raw, model, source=str(path))


def validated(raw: dict[str, Any], model: type[_Model], *, source: str) -> _Model:
    """`model` filled from `raw`, or one ConfigError line that names the wrong keys."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
        )
        raise ConfigError(f"{source}: {wrong}", source=source) from None


def dump_yaml(settings: Settings) -> str:
    """The resolved settings as YAML text that `load_yaml` takes back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
