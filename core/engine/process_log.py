"""The engine's own log: JSON lines in `runs/engine.log`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

LARGEST_LOG = 5 * 1024 * 1024
"""A log larger than this is put aside, over the one put aside before, when the next engine starts."""


def open_process_log(path: Path) -> None:
    """Send everything this process says to the file: structlog, logging, and what reaches stdout and stderr by itself.

    Raises OSError where the file can't be written. Only the owner of the workspace's lock may call this.
    """
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        os.replace(path, path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for standard in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    _configure()


def speak_only_of_trouble() -> None:
    """Inside another program: warnings and errors on stderr and nothing else, unless it has set structlog itself."""
    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        )


def redact_with(redact: Callable[[str], str]) -> None:
    """From now on everything that is written here passes this first, so that no secret stands in it."""
    _redacts[:] = [redact]


_redacts: list[Callable[[str], str]] = []


def _last(_logger: Any, _method: str, rendered: Any) -> str:
    text = str(rendered)
    for redact in _redacts:
        text = redact(text)
    return text


def _configure() -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[*shared, renderer, _last],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries say through logging, asyncio's complaints above all.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _last],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
