"""Workflow ids and the paths of their files."""

from __future__ import annotations

import os

SUFFIX = ".json"


def path_to_id(path: str | os.PathLike[str]) -> str:
    """The id of a workflow's file: `workflows/hello.json` is `workflows.hello`."""
    text = os.path.normpath(os.fspath(path)).removesuffix(SUFFIX)
    return text.replace(os.sep, ".")


def id_to_path(workflow_id: str) -> str:
    """The file of a workflow's id: `workflows.hello` is `workflows/hello.json`."""
    return workflow_id.replace(".", os.sep) + SUFFIX
