"""Why an environment could not be made, in words: read from what the installer printed last."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from core.definition.text import shortened
from core.errors import PackagesProblem
from core.runner.builder import INSTALL_FAILED, SYSTEM_FAILED, VENV_FAILED

NAMED = 5
"""Lines of the installer that a cause repeats."""
LINE_LENGTH = 240

_NETWORK = re.compile(
    r"name resolution|NameResolutionError|NewConnectionError|ConnectTimeout|ReadTimeout|Network is unreachable"
    r"|Connection refused|ProxyError|Max retries exceeded|Retrying \(|SSLError|CERTIFICATE_VERIFY_FAILED"
)
_UNKNOWN = re.compile(r"No matching distribution found for (\S+)|satisfies the requirement (\S+) \(from versions")


def environment_problem(workflow: str, code: int | None, lines: Sequence[str]) -> PackagesProblem:
    """The error for a builder that ended with `code` (None: it was killed) after it had printed `lines`."""
    text = "\n".join(lines)
    said = _last_words(lines)
    again = f"then: rondo env {workflow}"
    if code == VENV_FAILED:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return _problem(
            workflow,
            f"Python could not make the bare environment.{said}",
            f"Where the venv module is missing (Debian, Ubuntu): apt-get install python{version}-venv; {again}",
        )
    if "No space left on device" in text:
        return _problem(
            workflow, f"The disk is full.{said}", f"Make room where rondo doctor says environments are, {again}"
        )
    if code == SYSTEM_FAILED:
        return _problem(
            workflow, f"A file could not be written.{said}", f"See where it should be: rondo doctor; {again}"
        )
    if code != INSTALL_FAILED:
        return _problem(workflow, f"The process that makes it was ended from outside.{said}", f"Try again: {again}")
    return _problem(workflow, *_why_pip_failed(text, said, again))


def _why_pip_failed(text: str, said: str, again: str) -> tuple[str, str]:
    """Cause and next step for what pip printed."""
    unknown = _UNKNOWN.search(text)
    if _NETWORK.search(text):
        return (
            f"The package index could not be reached.{said}",
            f"Check the network, proxy and pip's own settings (pip config list), {again}",
        )
    if "ResolutionImpossible" in text or "conflicting dependencies" in text:
        return f"The packages contradict each other.{said}", f"Loosen a version in requirements.txt, {again}"
    if "DO NOT MATCH THE HASHES" in text:
        return f"A package is not the one that its hash names.{said}", f"Check the hashes in requirements.txt, {again}"
    if "requires a different Python" in text or "Requires-Python" in text:
        return (
            f"A package does not fit this Python.{said}",
            f"Choose another version of it in requirements.txt, {again}",
        )
    if unknown:
        name = unknown[1] or unknown[2]
        return (
            f"pip finds no package {name} that fits this Python.{said}",
            f"Check its name and version in requirements.txt, and that the package index is reached, {again}",
        )
    if "Invalid requirement" in text:
        return f"A line of requirements.txt is not understood.{said}", f"Mend that line, {again}"
    if "Could not open requirements file" in text:
        return (
            f"requirements.txt names a list that does not belong to the workflow.{said}",
            f"Name that file under `files` in the workflow's JSON, so that it is part of the version, {again}",
        )
    if "Failed building wheel" in text or "subprocess-exited-with-error" in text:
        return (
            f"A package is built from its sources here, and that failed.{said}",
            f"Choose a version that has a wheel for this system, or install what its build asks for, {again}",
        )
    return f"pip failed.{said}", f"Mend requirements.txt, {again}"


def provider_problem(name: str, code: int | None, lines: Sequence[str]) -> PackagesProblem:
    """The same for the packages of a provider of tools, which Rondo itself names."""
    found = environment_problem(name, code, lines)
    again = f"then: rondo tools install {name}"
    text = "\n".join(lines)
    step = f"See what pip says, {again}"
    if code is None or code < 0:
        step = f"Try again: rondo tools install {name}"
    elif code != INSTALL_FAILED:
        step = found.next_step.replace(f"rondo env {name}", f"rondo tools install {name}")
    elif _NETWORK.search(text):
        step = f"Check the network, proxy and pip's own settings (pip config list), {again}"
    elif _UNKNOWN.search(text) or "DO NOT MATCH THE HASHES" in text:
        step = (
            "Rondo asks for the very files that the public index has: have pip use that or a whole copy of it "
            f"(PIP_INDEX_URL), {again}"
        )
    elif "Failed building wheel" in text or "subprocess-exited-with-error" in text:
        step = "Run Rondo with Python 3.11, 3.12 or 3.13, for which all of its packages are built already."
    found.message = f"{name} could not be installed."
    found.args = (found.message,)
    found.next_step = step
    return found


def _problem(workflow: str, cause: str, next_step: str) -> PackagesProblem:
    return PackagesProblem(
        f"The environment of {workflow} could not be made.",
        cause=cause,
        next_step=next_step[:1].upper() + next_step[1:],
    )


def _last_words(lines: Sequence[str]) -> str:
    """The errors that were printed last, else the last lines, each on a line of its own."""
    errors = [line for line in lines if line.startswith(("ERROR", "error:", "Error"))]
    chosen = errors[-NAMED:] or [line for line in lines if line.strip()][-NAMED:]
    return "".join(f"\n  {shortened(line.strip(), LINE_LENGTH)}" for line in chosen)
