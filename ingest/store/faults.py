"""What a vector store's client raises, as errors of ours; and which of it passes by itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

__all__ = ["Retry", "client_errors", "is_transient", "retried"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

_TOO_MANY: Final = 429
_FAULT: Final = 500
_WAITED_FOR: Final = (
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
    """Call until it works, fails for good, or time is up; then raises what it raised last.

    The call must be one that may be made twice: a server may have done what it did not confirm.
    """
    ends = clock() + retry.total
    tried = 0
    while True:
        try:
            return call()
        except (ApiException, ResourceExhaustedResponse, RpcError) as error:
            tried += 1
            pause = max(retry.wait(tried), float(getattr(error, "retry_after_s", 0)))
            if not is_transient(error) or clock() + pause > ends:
                raise
            _log.warning("Qdrant: %s; trying again in %.1f s", _brief(error), pause)
        sleep(pause)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may work later: no answer, too many calls, a server's fault."""
    if isinstance(error, ResourceExhaustedResponse):
        return True
    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, httpx.TransportError)
    if isinstance(error, UnexpectedResponse):
        code = error.status_code or 0
        return code == _TOO_MANY or code >= _FAULT
    return isinstance(error, RpcError) and _grpc_code(error) in _WAITED_FOR


@contextmanager
def client_errors(location: str) -> Iterator[None]:
    """Turn a client's errors into ours.

    Raises:
        StoreUnavailable: no answer, or only faults.
        StoreError: the store refused.
    """
    try:
        yield
    except OpticalRagError:
        raise
    except (ApiException, ResourceExhaustedResponse, RpcError) as error:
        raise _ours(error, location) from error
    except ValueError as error:  # the client's own memory
        raise StoreError(f"Qdrant at {location} refused: {error}") from error
    except OSError as error:  # a full disk, a file that is gone
        raise StoreUnavailable(f"the files of {location} cannot be used: {error}") from error
    except RuntimeError as error:
        raise StoreUnavailable(f"Qdrant at {location}: {error}") from error


def _ours(error: Exception, location: str) -> StoreError:
    if isinstance(error, ResponseHandlingException) and not is_transient(error):
        return StoreError(
            f"Qdrant at {location} answers what the client does not understand: {error};"
            " use a server of about its version"
        )
    gone = isinstance(error, RpcError) and _grpc_code(error) is StatusCode.UNAVAILABLE
    if gone or isinstance(error, ResponseHandlingException):
        return StoreUnavailable(
            f"Qdrant at {location} does not answer ({_brief(error)}): is it running?"
        )
    if is_transient(error):
        return StoreUnavailable(
            f"Qdrant at {location} cannot serve now ({_brief(error)}): try again later"
        )
    return StoreError(f"Qdrant at {location} refused: {_brief(error)}")


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
