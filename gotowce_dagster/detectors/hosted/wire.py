"""An HTTP client with a rate limit and retries, which never follows redirects.

All providers use this client, so that rate limit, retries and failures are the same for all of them; retries
of the providers' own libraries are turned off.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx2

from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.core.redact import redact

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses to retry: RFC 9110 and 6585; 529 is Anthropic's `overloaded`."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Waits double from the first to the longest, unless the server sets the time."""
PATIENCE_S = 600.0
"""A longer wait than this, requested by the server, ends the retries."""
_SHOWN = 300
"""Characters of a server's error message that are passed on."""
_READ = 20_000
"""Characters of it that are read."""


class UnansweredError(GotowceError):
    """A request without an answer, and the reason. ``status``: the last HTTP status, if any."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class Trace:
    """The requests of one question, and why it has no answer."""

    requests: int = 0
    failure: UnansweredError | None = None


trace: ContextVar[Trace] = ContextVar("trace")
"""The trace of the current question; passes through the provider's library to the client."""


class Pace:
    """Rate limit: one request may start every ``60 / per_minute`` seconds."""

    def __init__(
        self, per_minute: float | None, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next free slot."""
        while True:
            now = self._clock()
            if now >= self._next:
                self._next = now + self._gap
                return
            await self._sleep(self._next - now)

    def hold(self, seconds: float) -> None:
        """Start no request for so many seconds, because the server is busy."""
        self._next = max(self._next, self._clock() + seconds)


@cache
def _certificates() -> ssl.SSLContext:
    # Reading them dominates the time to create a client.
    return httpx2.create_ssl_context()


class Client(httpx2.AsyncClient):
    """Sends each request until it succeeds or the retries are used up.

    Raises:
        UnansweredError: it did not succeed. Redirects are not followed: they would send the key elsewhere.
    """

    def __init__(
        self,
        pace: Pace,
        retries: int,
        timeout_s: float,
        sleep: Sleep = asyncio.sleep,
        secret: str | None = None,
    ) -> None:
        super().__init__(timeout=timeout_s, follow_redirects=False, verify=_certificates())
        self._pace, self._retries, self._pause, self._secret = pace, retries, sleep, secret

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        seen = trace.get(Trace())
        options["follow_redirects"] = False
        for attempt in range(self._retries + 1):
            await self._pace.turn()
            seen.requests += 1
            asked_wait = None
            try:
                response = await super().send(request, **options)
            except httpx2.TimeoutException:
                seen.failure = UnansweredError("no answer in time")
            except httpx2.TransportError as error:
                seen.failure = UnansweredError(f"no connection ({type(error).__name__})")
            else:
                if response.is_success:
                    seen.failure = None
                    return response
                seen.failure = await self._complaint(response)
                if response.status_code not in AGAIN:
                    break
                asked_wait = retry_after(response.headers.get("retry-after"))
                if asked_wait is not None and asked_wait > PATIENCE_S:
                    break
                if asked_wait is not None:
                    self._pace.hold(asked_wait)
            if attempt < self._retries and asked_wait is None:
                await self._pause(backoff(attempt))
        assert seen.failure is not None
        raise seen.failure

    async def _complaint(self, response: httpx2.Response) -> UnansweredError:
        status = response.status_code
        if response.has_redirect_location:
            elsewhere = self._without_key(httpx2.URL(response.headers["location"]).host or "itself")
            return UnansweredError(f"HTTP {status}: redirect to {elsewhere}, which is not followed", status)
        # Some servers repeat the refused key.
        text = self._without_key((await response.aread()).decode("utf-8", "replace")[:_READ])
        text = " ".join(text.split())
        return UnansweredError(f"HTTP {status}: {text[:_SHOWN]}" if text else f"HTTP {status}", status)

    def _without_key(self, text: str) -> str:
        return redact(text, [self._secret] if self._secret else [])


def backoff(attempt: int) -> float:
    """Seconds to wait after so many failed attempts, with jitter."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt) * random.uniform(0.5, 1)


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date (RFC 9110); None if neither."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds())
