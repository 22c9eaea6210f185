"""Registration of the backend of interactive segmentation with a project in Label Studio."""

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.review.assist_server import HOST, TITLE
from gotowce_dagster.review.config import with_smart_tools, without_smart_tools
from gotowce_dagster.review.connection import Room, plain_errors
from gotowce_dagster.review.room import find_project

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio


@contextmanager
def registered(room: Room, title: str, url: str, token: str) -> Generator[str]:
    """Register the backend with a project inside the block, and restore the project's page afterwards.

    Args:
        title: Title of the project in Label Studio.
        url: Address of the backend.
        token: Token of the session; Label Studio stores it as the backend's password.

    Yields:
        The URL of the project's page.

    Raises:
        InputError: There is no such project, or Label Studio may not reach this machine.
        ServerDownError: Label Studio stopped responding.
    """
    with plain_errors(room.url):
        project = find_project(room.client, title)
        if project is None:
            raise InputError(f"Label Studio has no project {title!r}; create it with `gotowce review push`")
    try:
        with plain_errors(room.url):
            _unregister(room.client, project.id)
            _register(room.client, project.id, url, token)
            room.client.projects.update(project.id, label_config=with_smart_tools(project.label_config))
        yield f"{room.url}/projects/{project.id}"
    finally:
        # A server that is down cannot be cleaned up; the next start does it.
        try:
            with plain_errors(room.url):
                if left := find_project(room.client, title):
                    _unregister(room.client, left.id)
                    room.client.projects.update(left.id, label_config=without_smart_tools(left.label_config))
        except GotowceError as error:
            logging.getLogger(__name__).warning("the click tools stay on the page: %s", error)


def _register(client: "LabelStudio", project: int, url: str, token: str) -> None:
    from label_studio_sdk.core.api_error import ApiError

    try:
        client.ml.create(
            project=project,
            url=url,
            title=TITLE,
            is_interactive=True,
            auth_method="BASIC_AUTH",
            basic_auth_user=TITLE,
            basic_auth_pass=token,
        )
    except ApiError as error:
        if "reserved" not in json.dumps(error.body, default=str):
            raise
        raise InputError(
            f"this Label Studio may not call {url}; start it with `gotowce review serve --assist`, or with "
            f"LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS=false and "
            f"LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS=169.254.0.0/16"
        ) from error
    finally:
        _drop_webhooks(client, project)


def _drop_webhooks(client: "LabelStudio", project: int) -> None:
    """Delete the webhook Label Studio adds to a backend: every submit would wait for it, and we ignore it."""
    for hook in client.webhooks.list(project=project):
        if hook.id is not None and hook.url.startswith(f"http://{HOST}:") and hook.url.endswith("/webhook"):
            client.webhooks.delete(hook.id)


def _unregister(client: "LabelStudio", project: int) -> None:
    for backend in client.ml.list(project=project):
        if backend.title == TITLE and backend.id is not None:
            client.ml.delete(backend.id)
