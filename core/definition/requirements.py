"""The packages a workflow asks for: the lines of its requirements.txt, and what its environment is made of."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping

REQUIREMENTS = "requirements.txt"

_COMMENT = re.compile(r"(^|\s)#.*$")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_OPTION = re.compile(r"(?:-r|-c|-e|-f|--requirement|--constraint|--editable|--find-links)(?:\s+|=)?(.+)")
_ARCHIVES = (".whl", ".tar.gz", ".zip")


def requirement_lines(files: Mapping[str, bytes]) -> list[str]:
    """The lines of a version's requirements.txt that say something, without comments; none where there is no file."""
    text = files.get(REQUIREMENTS, b"").decode("utf-8", "replace").removeprefix("\ufeff")
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def needed_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a version that its requirements name, requirements.txt among them: they decide what is installed.

    Lists of requirements count with what they name themselves. A file that does not belong to the version is left out.
    """
    found: dict[str, bytes] = {}
    waiting = [REQUIREMENTS]
    while waiting:
        path = waiting.pop()
        if path in found or path not in files:
            continue
        found[path] = files[path]
        if path == REQUIREMENTS or path.endswith(".txt"):
            for named in _local_paths(requirement_lines({REQUIREMENTS: files[path]})):
                below = posixpath.normpath(posixpath.join(posixpath.dirname(path), named))
                waiting += [other for other in files if other == below or other.startswith(below + "/")]
                # Where a path does not stand beside the list that names it, pip looks from the workflow's folder.
                waiting += [other for other in files if other == posixpath.normpath(named)]
    return found


def requirements_key(files: Mapping[str, bytes], folder: str, python: str) -> str:
    """The name of the environment that a version's requirements make under a Python: equal content, equal name.

    Where lines name paths beside the workflow, its folder counts too, because they mean something else elsewhere.
    """
    digest = hashlib.sha256(f"rondo environment 1\n{python}\n".encode())
    for line in requirement_lines(files):
        digest.update(f"{line}\n".encode())
    named = needed_files(files)
    for path in sorted(named.keys() - {REQUIREMENTS}):
        digest.update(f"{path} {hashlib.sha256(named[path]).hexdigest()}\n".encode())
    if any(not posixpath.isabs(path) for path in _local_paths(requirement_lines(files))):
        digest.update(f"beside {folder}\n".encode())
    return digest.hexdigest()[:24]


def _local_paths(lines: list[str]) -> Iterator[str]:
    """The paths that lines name: other lists, folders, archives."""
    for line in lines:
        option = _OPTION.match(line)
        if line.startswith("-") and option is None:
            continue
        text = (option[1] if option else line.rpartition(" @ ")[2]).strip().strip("'\"")
        if option is None:
            text = text.split(";")[0].split(" --")[0].strip()
        text = text.removeprefix("file://").removeprefix("file:")
        if _SCHEME.match(text):
            continue
        if option is not None or text.startswith(".") or "/" in text or text.endswith(_ARCHIVES):
            yield re.sub(r"\[[^]]*\]$", "", text)
