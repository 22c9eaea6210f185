"""Names of engines, as params.yaml and data/engines.yaml write them."""

from dataclasses import dataclass

_WEIGHTS = (".pt", ".safetensors")


@dataclass(frozen=True)
class EngineSpec:
    """An engine and its weights."""

    name: str
    """The registered name; of a bare FILE the file's."""
    weights: str
    """File or folder of weights; empty where none are named."""

    @classmethod
    def parse(cls, text: str) -> "EngineSpec":
        """Read NAME, NAME:WEIGHTS or a bare FILE.pt or FILE.safetensors."""
        name, _, weights = text.partition(":")
        return cls(name, weights or (name if name.endswith(_WEIGHTS) else ""))
