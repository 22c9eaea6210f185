"""Puts the files of a new project into the wheel; an editable install takes them from where they are."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface  # ty: ignore[import-not-found]


class ProjectFiles(BuildHookInterface):
    """Adds ``files`` of this hook's settings below ``gotowce_dagster/project``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            for name in self.config["files"]:
                build_data["force_include"][name] = f"gotowce_dagster/project/{name}"
