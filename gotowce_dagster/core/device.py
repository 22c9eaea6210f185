"""The device and precision of inference."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


def best_device() -> str:
    """Select ``cuda``, ``mps`` or ``cpu``: the first that is available."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def all_threads() -> int:
    """Threads for PyTorch on a CPU: one a core; ultralytics sets one less, on two cores half of them.

    Not what PyTorch has at the moment: that depends on what ran before in the process, and the result on it.
    """
    return os.cpu_count() or 1


def half_precision(device: str) -> bool:
    """Whether the device supports bfloat16 in hardware; emulation would be slow.

    On a CPU with support, SAM 2 takes less than half the time, and the same masks are selected.
    """
    import torch

    if device == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return device == "cuda"


@contextmanager
def inference(device: str) -> Generator[None]:
    """Context for inference: no gradients, and bfloat16 where the hardware supports it."""
    import torch

    with (
        torch.inference_mode(),
        torch.autocast(device, torch.bfloat16, enabled=half_precision(device)),
    ):
        yield


def store_in_half_precision(model: Any, device: str) -> None:
    """Convert the weights that ``inference`` would convert in each call, tens of megabytes, once.

    Afterwards the model, a torch.nn.Module, computes within ``inference`` only, with equal results. Where
    that computes in full precision, nothing changes.
    """
    import torch

    if not half_precision(device):
        return
    for layer in model.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.to(torch.bfloat16)
