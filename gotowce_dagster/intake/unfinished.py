"""The plan of a change to a video's files that takes many steps, kept until the last one is done.

`gotowce rename`, `remove` and `restore` write what they are about to do before they touch anything, and every
step can be done again. So a command that was killed is finished by running it again.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file, remove


@dataclass(frozen=True)
class Plan:
    """One change that is under way."""

    command: str
    """As it was typed, for instance ``gotowce rename duel duel_1``."""
    details: dict[str, Any] = field(default_factory=dict)
    """What its steps need to know of the state before, as JSON holds it."""


def read_plan(paths: Paths) -> Plan | None:
    """The change that is under way or was interrupted, if there is one.

    Raises:
        InputError: its file is damaged.
    """
    path = _path(paths)
    if not path.exists():
        return None
    try:
        return Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a plan of `gotowce rename` or `gotowce remove` ({error})") from None


def begin(paths: Paths, plan: Plan) -> None:
    """Write the plan, before its first step."""
    with fresh_file(_path(paths)) as new:
        new.write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")


def end(paths: Paths) -> None:
    """Forget the plan, after its last step."""
    remove(_path(paths))


def refuse_unfinished(paths: Paths, command: str = "") -> Plan | None:
    """Give the plan of this very command, if it was interrupted.

    Raises:
        InputError: another change is under way or was interrupted.
    """
    plan = read_plan(paths)
    if plan and plan.command != command:
        raise InputError(
            f"`{plan.command}` was interrupted or still runs; if interrupted, finish it by running it again"
        )
    return plan


def _path(paths: Paths) -> Path:
    return paths.work("unfinished.json")
