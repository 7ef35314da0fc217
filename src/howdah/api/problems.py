"""Errors at the door: problem+json (RFC 9457) with howdah's `code`, `detail` and `hint`."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from howdah.domain.errors import UNAUTHORIZED, HowdahError, TooManyFailures
from howdah.services.platform import failure

_log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """What every error answer looks like."""

    type: str = "about:blank"
    title: str = Field(description="What happened, in one line")
    status: int
    code: str = Field(description="Stable; maps to one HTTP status and one exit status of the command line")
    detail: str | None = None
    hint: str | None = Field(None, description="What to do")


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can fail with these HTTP statuses, besides those that every route can.

    Those are about the token (401, 403, 429), the request (413, 422), and howdah itself (500, 503).
    """
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {
        code: {"description": "Problem", "content": content} for code in (401, 403, *codes, 413, 422, 429, 500, 503)
    }


def add_problem_handlers(app: FastAPI) -> None:
    """Turn everything that a route raises into a problem."""

    @app.exception_handler(Exception)
    @app.exception_handler(HowdahError)
    async def _any(_request: Request, error: Exception) -> JSONResponse:
        return problem_response(as_problem(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        # Not the input itself: it may hold a secret.
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in error.errors())
        return problem_response(HowdahError("invalid_input", "the request is not valid", detail=wrong))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_input")
        return problem_response(HowdahError(code, str(error.detail), hint="/openapi.json lists what there is."))


def as_problem(error: Exception) -> HowdahError:
    """What to say of an exception; of one that nobody expected, the log gets where and the answer what kind."""
    known = failure(error)
    if known is None:
        # Not its text, which may quote anything.
        _log.error("unexpected error", kind=type(error).__name__, where=_where(error))
        known = HowdahError(
            "internal",
            f"an unexpected error occurred: {type(error).__name__}",
            hint="This is probably a bug of howdah's; `howdah logs` says where it happened.",
        )
    return known


def problem_response(error: HowdahError) -> JSONResponse:
    """The answer that an error is."""
    problem = Problem(
        title=error.message,
        status=error.category.http_status,
        code=error.code,
        detail=error.detail,
        hint=error.hint,
    )
    headers = {}
    if problem.status == UNAUTHORIZED.http_status:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyFailures):
        headers["Retry-After"] = str(error.retry_after)
    return JSONResponse(problem.model_dump(), problem.status, headers, media_type="application/problem+json")


def _where(error: BaseException) -> list[str]:
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-6:]
