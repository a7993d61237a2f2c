"""What published pathology models of timm need besides their weights.

Sources: the model cards of each, and the published code of TRIDENT and CONCH (architecture
arguments, preprocessing, which tokens make the vector).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pathsearch.encoders.foreign import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["PRESETS", "Preset"]

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Preset:
    """One published model.

    Attributes
    ----------
    model : str
        timm's name of the architecture.
    model_args : dict
        Its arguments; ``mlp_layer`` and ``act_layer`` by name.
    dim : int
        Length of the vector, to check a folder against.
    input_px : int
    mean, std : tuple of float
        On 0..255.
    pooling : {'class', 'class+mean', 'mean'}
    registers : int
        Tokens between the class token and the patch tokens.
    mpp_range : tuple of float
        µm per pixel.
    """

    model: str
    dim: int
    model_args: dict[str, Any] = field(default_factory=dict)
    input_px: int = 224
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    pooling: Literal["class", "class+mean", "mean"] = "class"
    registers: int = 0
    mpp_range: tuple[float, float] = (0.5, 0.5)


def _on_255(a: float, b: float, c: float) -> Colour:
    return (a * 255, b * 255, c * 255)


_SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}

PRESETS = {
    "uni2-h": Preset(
        "vit_giant_patch14_224",
        1536,
        {
            "img_size": 224, "patch_size": 14, "depth": 24, "num_heads": 24, "init_values": 1e-5,
            "embed_dim": 1536, "mlp_ratio": 2.66667 * 2, "no_embed_class": True, "reg_tokens": 8,
            "dynamic_img_size": True, **_SWIGLU,
        },
        registers=8,
    ),
    "virchow2": Preset(
        "vit_huge_patch14_224",
        2560,
        {
            "img_size": 224, "init_values": 1e-5, "reg_tokens": 4, "mlp_ratio": 5.3375,
            "global_pool": "", "dynamic_img_size": True, **_SWIGLU,
        },
        pooling="class+mean",
        registers=4,
        mpp_range=(0.25, 2.0),
    ),
    "h-optimus": Preset(
        "vit_giant_patch14_reg4_dinov2",
        1536,
        {"img_size": 224, "init_values": 1e-5, "dynamic_img_size": False},
        mean=_on_255(0.707223, 0.578729, 0.703617),
        std=_on_255(0.211883, 0.230117, 0.177517),
        registers=4,
    ),
    "gigapath": Preset(
        "vit_giant_patch14_dinov2",
        1536,
        {
            "img_size": 224, "patch_size": 16, "embed_dim": 1536, "depth": 40, "num_heads": 24,
            "init_values": 1e-5, "mlp_ratio": 5.33334, "dynamic_img_size": True,
        },
    ),
    "phikon-v2": Preset(
        "vit_large_patch16_224",
        1024,
        {"img_size": 224, "init_values": 1.0, "dynamic_img_size": True},
    ),
    "conch": Preset(
        "vit_base_patch16_224",
        512,
        {"img_size": 448, "dynamic_img_size": True},
        input_px=448,
        mean=_on_255(0.48145466, 0.4578275, 0.40821073),
        std=_on_255(0.26862954, 0.26130258, 0.27577711),
    ),
    "resnet50": Preset("resnet50", 2048, pooling="mean", mpp_range=(0.25, 2.0)),
}  # fmt: skip
