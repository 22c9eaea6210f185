"""ultralytics without network access and without files in the user's home folder."""

import logging
import os
import shutil
from pathlib import Path

from gotowce_dagster.core.fonts import font_path
from gotowce_dagster.core.trust import restrict_unpickling

_SETTINGS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gotowce" / "ultralytics"


def keep_offline() -> None:
    """Call before anything of ultralytics is used: no telemetry, no downloads, no installs, few words.

    And no pickle is read without restriction (trust.restrict_unpickling).

    It would send events, look for updates and fetch Arial for pictures that are never drawn. On a machine
    without a network, each of these waits; on one with a network, nobody asked for them.
    """
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(_SETTINGS))
    restrict_unpickling()
    from ultralytics.utils import LOGGER, USER_CONFIG_DIR
    from ultralytics.utils.events import events

    events.enabled = False
    LOGGER.setLevel(logging.WARNING)
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        font = Path(USER_CONFIG_DIR) / name
        if not font.exists():
            shutil.copyfile(font_path(), font)
