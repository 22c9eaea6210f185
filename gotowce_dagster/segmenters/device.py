"""What this machine computes with."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext


def best_device() -> str:
    """``cuda``, ``mps`` or ``cpu``: the first that is here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def inference(device: str) -> Generator[None]:
    """No gradients, and half precision (bfloat16) where the device is built for it."""
    import torch

    half = torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext()
    with torch.inference_mode(), half:
        yield
