"""Optional dependencies: each serves one feature and is an extra of the package in pyproject.toml."""

from importlib.util import find_spec

from gotowce_dagster.core.errors import MissingExtraError

EXTRAS = {
    "assist": ("starlette", "uvicorn"),
    "cluster": ("dagster_postgres", "dagster_ray", "dvc_s3", "psycopg2", "ray"),
    "edgetam": ("timm",),
    "export": ("onnx", "onnxruntime"),
    "hosted": ("anthropic", "anyio", "genai_prices", "google.genai", "httpx2", "openai", "pydantic_ai"),
    "studies": ("spacy",),
    "superpixels": ("skimage",),
    "tracks": ("trackers",),
}
"""The modules that each extra brings."""


def obstacle(extra: str) -> str | None:
    """Why a feature that needs an extra cannot run, and the command that installs it; None if it can."""
    missing = [module for module in EXTRAS[extra] if not _is_installed(module)]
    if not missing:
        return None
    return f"needs the extra {extra!r}, which is not installed ({', '.join(missing)}); run `{command(extra)}`"


def command(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'gotowce-dagster[{extra}]'"


def require(extra: str, feature: str) -> None:
    """Check that an extra is installed.

    Args:
        feature: What needs it, as the message begins.

    Raises:
        MissingExtraError: It is not.
    """
    if reason := obstacle(extra):
        raise MissingExtraError(f"{feature} {reason}")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False
