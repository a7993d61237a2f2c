"""Patches a second: 224 px, 64 at once, on all cores of this machine's processor.

    python -m benchmarks.encoding [--seconds 5] [--threads N]

Every network is given whole batches of uint8 patches; the figure is that of the best of
several rounds, as other work on the machine can only slow one down. The share is how much of
the speed of a bare matrix product of the same precision the convolutions reach.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

# Threads that wait by spinning take the processor away from the others; before torch comes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pathsearch.config import EncoderArchitecture
from pathsearch.encoders import builtin_names, load_encoder
from pathsearch.encoders.conv_autoencoder import Backbone
from pathsearch.encoders.conv_encoder import ConvEncoder, untrained
from pathsearch.encoders.devices import cpu_has_bf16
from pathsearch.encoders.files import EncoderConfig
from pathsearch.encoders.openvino_backend import is_installed

PX = 224
BATCH = 64
ROUNDS = 5
#: Side of the matrices.
SIDE = 2048


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with a shortcut (He et al. 2015, figure 5, stride at the 3 x 3)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.inner = nn.Sequential(
            nn.Conv2d(before, width, 1), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1), nn.ReLU(inplace=True),
            nn.Conv2d(width, after, 1),
        )  # fmt: skip
        self.across = (
            nn.Conv2d(before, after, 1, stride) if stride > 1 or before != after else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map to feature map."""
        return torch.relu_(self.inner(x).add_(self.across(x)))


def resnet50() -> nn.Module:
    """ResNet50's architecture with its batch norms folded away, up to the pooled features."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    before = 64
    for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for place in range(depth):
            layers.append(Bottleneck(before, width, stride if place == 0 else 1))
            before = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def rate(work: Callable[[], object], items: int, seconds: float) -> float:
    """Items a second, the best of `ROUNDS` rounds."""
    work()
    best = 0.0
    for _ in range(ROUNDS):
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds / ROUNDS:
            work()
            count += 1
        best = max(best, count * items / (time.perf_counter() - start))
    return best


def matrix_flops(dtype: torch.dtype, seconds: float) -> float:
    """Floating-point operations a second of a bare matrix product."""
    a, b = torch.randn(SIDE, SIDE).to(dtype), torch.randn(SIDE, SIDE).to(dtype)
    out = torch.empty(SIDE, SIDE, dtype=dtype)
    return rate(lambda: torch.mm(a, b, out=out), 2 * SIDE**3, seconds)


def plain_rate(network: nn.Module, dtype: torch.dtype, seconds: float) -> float:
    """Patches a second of a torch network, cast and in channels_last."""
    network = network.to(dtype).to(memory_format=torch.channels_last)
    pixels = torch.randint(0, 256, (BATCH, PX, PX, 3), dtype=torch.uint8)

    def work() -> object:
        with torch.inference_mode():
            return network(pixels.permute(0, 3, 1, 2).to(dtype))

    return rate(work, BATCH, seconds)


def encoder_rate(encoder: ConvEncoder, seconds: float) -> float:
    """Patches a second of `encode`, pooling and whitening included."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, PX, PX, 3), dtype=np.uint8)
    return rate(lambda: encoder.encode(pixels), BATCH, seconds)


def cost(network: nn.Module) -> tuple[float, float]:
    """Parameters in millions, and 10^9 operations a patch (a product and a sum are two)."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, PX, PX))
    return sum(p.numel() for p in network.parameters()) / 1e6, counter.get_total_flops() / 1e9


def architectures() -> dict[str, EncoderArchitecture]:
    """The built-in encoders'; the default and a wider one where there are none."""
    found = {}
    for name in builtin_names():
        encoder = load_encoder(f"builtin:{name}", device="cpu")
        assert isinstance(encoder, ConvEncoder)
        found[name] = encoder.config.architecture
    return found or {
        "default": EncoderArchitecture(),
        "wider": EncoderArchitecture(channels=(48, 96, 192, 384)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="a figure")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    precisions = {"float32": torch.float32}
    if cpu_has_bf16():
        precisions["bf16"] = torch.bfloat16
    else:
        print("This processor has no bfloat16 units: float32 only.")
    peak = {name: matrix_flops(dtype, arguments.seconds) for name, dtype in precisions.items()}
    threads = torch.get_num_threads()
    flops = ", ".join(f"{name} {value / 1e9:.0f} GFLOP/s" for name, value in peak.items())
    print(f"{threads} threads, torch {torch.__version__}. Matrix product {SIDE}: {flops}")
    head = "".join(f"{name + ' /s':>13}{'share':>7}" for name in precisions)
    print(f"{'':<26}{'M par.':>7}{'GFLOP':>7}{head}")

    def line(name: str, size: tuple[float, float], rates: dict[str, float]) -> None:
        cells = "".join(
            f"{rates[p]:>13.0f}{rates[p] * size[1] * 1e9 / peak[p]:>7.0%}" for p in precisions
        )
        print(f"{name:<26}{size[0]:>7.1f}{size[1]:>7.2f}{cells}", flush=True)

    network = resnet50()
    size = cost(network)
    rates = {n: plain_rate(network, d, arguments.seconds) for n, d in precisions.items()}
    line("ResNet50's architecture", size, rates)
    for name, architecture in architectures().items():
        size = cost(Backbone(architecture))
        config = EncoderConfig(architecture=architecture)
        for device in ("cpu", "openvino") if is_installed() else ("cpu",):
            rates = {
                p: encoder_rate(
                    untrained(config, device=device, precision=p), arguments.seconds
                )
                for p in precisions
            }  # fmt: skip
            line(f"{name}, {'torch' if device == 'cpu' else device}", size, rates)
    if not is_installed():
        print("OpenVINO is not installed: napari-pathsearch[openvino].")


if __name__ == "__main__":
    main()
