"""Errors at the door: problem+json (RFC 9457) with howdah's `code`, `detail` and `hint`."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from howdah.domain.errors import HowdahError
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
    """The `responses` of a route that can fail with these HTTP statuses, besides 422, 500 and 503."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {code: {"description": "Problem", "content": content} for code in (*codes, 422, 500, 503)}


def add_problem_handlers(app: FastAPI) -> None:
    """Turn everything that a route raises into a problem."""

    @app.exception_handler(Exception)
    @app.exception_handler(HowdahError)
    async def _any(_request: Request, error: Exception) -> JSONResponse:
        known = failure(error)
        if known is None:
            # The text of a stranger's exception may quote anything; the log gets where, the answer what kind.
            _log.error("unexpected error", kind=type(error).__name__, where=_where(error))
            known = HowdahError(
                "internal",
                f"an unexpected error occurred: {type(error).__name__}",
                hint="This is probably a bug of howdah's; `howdah logs` says where it happened.",
            )
        return _answer(known)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        # Not the input itself: it may hold a secret.
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in error.errors())
        return _answer(HowdahError("invalid_input", "the request is not valid", detail=wrong))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_input")
        return _answer(HowdahError(code, str(error.detail), hint="/openapi.json lists what there is."))


def _answer(error: HowdahError) -> JSONResponse:
    problem = Problem(
        title=error.message,
        status=error.category.http_status,
        code=error.code,
        detail=error.detail,
        hint=error.hint,
    )
    return JSONResponse(problem.model_dump(), problem.status, media_type="application/problem+json")


def _where(error: BaseException) -> list[str]:
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-6:]
