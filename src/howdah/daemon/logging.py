"""The control plane's own log: one JSON line an event, on stderr, which is `logs/howdah.log`."""

import logging
import os
import sys
from pathlib import Path

import structlog

LARGEST = 10 * 1024 * 1024  # bytes; one older file of that size is kept beside it


def configure_logging() -> None:
    """Send structlog's events and warnings of the standard library's loggers to stderr as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # No locals in a traceback: a local variable can be a password.
    render: list[structlog.typing.Processor] = [
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        structlog.processors.JSONRenderer(default=str),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.StackInfoRenderer(), *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def rotate_log(path: Path, largest: int = LARGEST) -> bool:
    """Begin a new log when `path` is larger than `largest` bytes and it is where stderr goes; says whether it did."""
    try:
        ours = os.fstat(2)
        if ours.st_size <= largest or not os.path.samestat(ours, path.lstat()):
            return False
        path.replace(path.with_name(f"{path.name}.1"))
        # O_EXCL: in a folder that PostgreSQL writes to as well, never follow what somebody put there meanwhile.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        return False
    same_out = os.path.samestat(ours, os.fstat(1))
    os.dup2(descriptor, 2)
    if same_out:
        os.dup2(descriptor, 1)
    os.close(descriptor)
    return True
