"""Errors of the Grapheteria API: Rondo's family, and also the built-in kinds that its users catch."""

from __future__ import annotations

from core.errors import RondoError


class InvalidWorkflow(RondoError, ValueError):
    """The workflow, or what was asked of it, makes no sense."""


class WorkflowFileMissing(RondoError, FileNotFoundError):
    """There is no file for the workflow."""

    def __str__(self) -> str:
        return self.message


class RunMissing(RondoError, FileNotFoundError):
    """The store has no such run."""

    def __str__(self) -> str:
        return self.message


class StoreUnreadable(RondoError, ValueError):
    """The store holds something that it did not write."""
