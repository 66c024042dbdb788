"""Why packages could not be installed, in words a person can act on."""

from __future__ import annotations

import pytest

from core.engine.environments.trouble import environment_problem, provider_problem
from core.runner.builder import INSTALL_FAILED, SYSTEM_FAILED, VENV_FAILED


@pytest.mark.parametrize(
    ("printed", "cause", "next_step"),
    [
        (
            "ERROR: Could not find a version that satisfies the requirement nope==9 (from versions: none)\n"
            "ERROR: No matching distribution found for nope==9",
            "pip finds no package nope==9",
            "Check its name and version",
        ),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('...: Failed to make"
            " a new connection: [Errno -3] Temporary failure in name resolution')': /simple/nope/\n"
            "ERROR: No matching distribution found for nope",
            "The package index could not be reached",
            "proxy",
        ),
        (
            "ERROR: Cannot install a==1 and b==2 because these package versions have conflicting dependencies.\n"
            "ERROR: ResolutionImpossible: for help visit the documentation",
            "contradict each other",
            "Loosen a version",
        ),
        (
            "ERROR: Could not install packages: [Errno 28] No space left on device",
            "disk",
            "rondo doctor",
        ),
        ("ERROR: Invalid requirement: 'a b' (from line 3 of requirements.txt)", "not understood", "Mend that line"),
        ("ERROR: Could not open requirements file: [Errno 2] No such file: 'more.txt'", "more.txt", "`files`"),
        ("  error: subprocess-exited-with-error\nERROR: Failed building wheel for x", "from its sources", "wheel"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "its hash", "hashes"),
        ("ERROR: Package 'x' requires a different Python: 3.11.7 not in '>=3.13'", "this Python", "another version"),
        ("something new", "something new", "requirements.txt"),
    ],
)
def test_each_failure_of_the_installer_has_its_words(printed: str, cause: str, next_step: str) -> None:
    error = environment_problem("triage", INSTALL_FAILED, printed.splitlines())
    assert error.message == "The environment of triage could not be made."
    assert cause in error.cause
    assert next_step in error.next_step
    assert "rondo env triage" in error.next_step
    assert printed.splitlines()[-1].strip() in error.cause


def test_a_python_without_venv_names_what_to_install() -> None:
    error = environment_problem("w", VENV_FAILED, ["Error: Command '[... ensurepip]' returned 1."])
    assert "-venv" in error.next_step
    assert "ensurepip" in error.cause


@pytest.mark.parametrize("code", [None, -9, SYSTEM_FAILED])
def test_other_ends_are_named_too(code: int | None) -> None:
    error = environment_problem("w", code, [])
    assert error.cause
    assert error.next_step


@pytest.mark.parametrize(
    ("code", "printed", "cause", "next_step"),
    [
        (INSTALL_FAILED, "WARNING: Retrying (Retry(total=0))", "index could not be reached", "Check the network"),
        (INSTALL_FAILED, "ERROR: No matching distribution found for rich==13.9.4", "rich==13.9.4", "PIP_INDEX_URL"),
        (INSTALL_FAILED, "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "its hash", "PIP_INDEX_URL"),
        (INSTALL_FAILED, "ERROR: Failed building wheel for Pillow", "from its sources", "Python 3.11, 3.12 or 3.13"),
        (INSTALL_FAILED, "something new", "something new", "See what pip says"),
        (VENV_FAILED, "Error: Command '[... ensurepip]' returned 1.", "bare environment", "-venv"),
        (SYSTEM_FAILED, "ERROR: [Errno 28] No space left on device", "disk", "Make room"),
        (None, "", "ended from outside", "Try again"),
    ],
)
def test_each_failure_of_installing_a_provider_leads_on(
    code: int | None, printed: str, cause: str, next_step: str
) -> None:
    error = provider_problem("composio-core", code, printed.splitlines())
    assert str(error) == error.message == "composio-core could not be installed."
    assert cause in error.cause and next_step in error.next_step
    assert "requirements.txt" not in error.next_step and "rondo env" not in error.next_step
