"""Maps the errors of Qdrant's clients to ours, and retries the transient ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
from grpc import RpcError, StatusCode
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from ..core.errors import OpticalRagError, StoreError, StoreUnavailable
from ..system.retry import Retry

__all__ = ["client_errors", "is_transient", "retried"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

_TRANSIENT: Final = (
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.ABORTED,
)


def retried(
    call: Callable[[], T],
    retry: Retry,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return the call's result, retrying transient errors until time is up.

    A server may have carried out a request that it did not confirm, so running the call twice must
    be the same as running it once.
    """
    ends = clock() + retry.total
    tries = 0
    while True:
        try:
            return call()
        except (ApiException, ResourceExhaustedResponse, RpcError) as error:
            tries += 1
            pause = max(retry.wait(tries), float(getattr(error, "retry_after_s", 0)))
            if not is_transient(error) or clock() + pause > ends:
                raise
            _log.warning("Qdrant: %s; retrying in %.1f s", _brief(error), pause)
        sleep(pause)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: no answer, too many requests, a server error."""
    if isinstance(error, ResourceExhaustedResponse):
        return True
    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, httpx.TransportError)
    if isinstance(error, UnexpectedResponse):
        code = error.status_code or 0
        return code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, RpcError) and _grpc_code(error) in _TRANSIENT


@contextmanager
def client_errors(location: str) -> Iterator[None]:
    """Turn a client's errors into ours.

    Raises:
        StoreUnavailable: the store does not answer, or its files cannot be used.
        StoreError: the store refused the request.
    """
    try:
        yield
    except OpticalRagError:
        raise
    except (ApiException, ResourceExhaustedResponse, RpcError) as error:
        raise _converted(error, location) from error
    except ValueError as error:  # from the client in memory
        raise StoreError(f"Qdrant at {location} refused the request: {error}") from error
    except OSError as error:  # such as a full disk
        raise StoreUnavailable(f"cannot use the files of {location}: {error}") from error
    except RuntimeError as error:
        raise StoreUnavailable(f"Qdrant at {location}: {error}") from error


def _converted(error: Exception, location: str) -> StoreError:
    if isinstance(error, ResponseHandlingException) and not is_transient(error):
        return StoreError(
            f"Qdrant at {location} sent an invalid response: {error}; use a server and a client of"
            " similar versions"
        )
    unreachable = isinstance(error, RpcError) and _grpc_code(error) is StatusCode.UNAVAILABLE
    if unreachable or isinstance(error, ResponseHandlingException):
        return StoreUnavailable(
            f"Qdrant at {location} does not answer ({_brief(error)}): is it running?"
        )
    if is_transient(error):
        return StoreUnavailable(
            f"Qdrant at {location} is not available now ({_brief(error)}): try again later"
        )
    return StoreError(f"Qdrant at {location} refused the request: {_brief(error)}")


def _brief(error: BaseException) -> str:
    if isinstance(error, UnexpectedResponse):
        content = error.content.decode("utf-8", "replace")[:300]
        return f"{error.status_code} {error.reason_phrase} {content}"
    if isinstance(error, RpcError):
        details = getattr(error, "details", lambda: "")
        return f"{_grpc_code(error)} {details()}"
    return str(error) or type(error).__name__


def _grpc_code(error: RpcError) -> StatusCode | None:
    code = getattr(error, "code", None)
    return code() if callable(code) else None
