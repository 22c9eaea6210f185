"""Plan of a multi-step change to a video's files, stored until its last step is done.

`gotowce rename`, `remove` and `restore` write their plan before they change anything, and every step can be
repeated. So an interrupted command is finished by running it again.
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
    """A change in progress."""

    command: str
    """The command line, for example ``gotowce rename duel duel_1``."""
    details: dict[str, Any] = field(default_factory=dict)
    """The earlier state that its steps need, as JSON."""


def read_plan(paths: Paths) -> Plan | None:
    """Read the plan of a change that is running or was interrupted; None if there is none.

    Raises:
        InputError: The file is damaged.
    """
    path = _path(paths)
    if not path.exists():
        return None
    try:
        return Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a plan of `gotowce rename` or `gotowce remove` ({error})") from None


def begin(paths: Paths, plan: Plan) -> None:
    """Write the plan before its first step."""
    with fresh_file(_path(paths)) as new:
        new.write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")


def end(paths: Paths) -> None:
    """Remove the plan after its last step."""
    remove(_path(paths))


def refuse_unfinished(paths: Paths, command: str = "") -> Plan | None:
    """Return the interrupted plan of this command, if any.

    Raises:
        InputError: Another change is running or was interrupted.
    """
    plan = read_plan(paths)
    if plan and plan.command != command:
        raise InputError(
            f"`{plan.command}` was interrupted or still runs; if interrupted, finish it by running it again"
        )
    return plan


def _path(paths: Paths) -> Path:
    return paths.work("unfinished.json")
