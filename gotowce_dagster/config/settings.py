"""The base of everything that is read from a file of settings."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings with strict types.

    Unknown keys are refused, values cannot change, and numbers are finite. Text such as ``yes`` is no truth
    value and ``"2"`` no number, as in DVC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Section(Settings):
    """A section of params.yaml. It has no defaults, so that params.yaml contains every value."""
