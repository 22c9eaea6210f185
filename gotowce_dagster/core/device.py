"""What this machine computes with."""

from collections.abc import Generator
from contextlib import contextmanager


def best_device() -> str:
    """``cuda``, ``mps`` or ``cpu``: the first that is here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def half_precision(device: str) -> bool:
    """Whether the device computes bfloat16 itself; elsewhere it would only be imitated, slowly.

    On a processor that does, SAM 2 takes less than half the time, and the same masks win.
    """
    import torch

    if device == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return device == "cuda"


@contextmanager
def inference(device: str) -> Generator[None]:
    """No gradients, and bfloat16 where the device is built for it."""
    import torch

    with (
        torch.inference_mode(),
        torch.autocast(device, torch.bfloat16, enabled=half_precision(device)),
    ):
        yield
