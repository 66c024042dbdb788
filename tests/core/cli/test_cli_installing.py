"""`rondo tools install` and `uninstall`: what a person, or a program, is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.link.types import ErrorView
from core.link.workflow_types import EnvironmentView, PackageView

Rondo = Callable[..., Any]


def making(*lines: str, last: int) -> EnvironmentView:
    return EnvironmentView(workflow=None, state="making", key="k" * 24, lines=list(lines), last_line=last)


def ready(*lines: str, last: int = 0) -> EnvironmentView:
    return EnvironmentView(
        workflow=None,
        state="ready",
        key="k" * 24,
        path="/somewhere/providers/composio-core/k",
        python="/somewhere/providers/composio-core/k/bin/python",
        python_version="3.11.7",
        requirements=["composio-core==0.7.22"],
        packages=[PackageView(name="composio_core", version="0.7.22"), PackageView(name="rich", version="13.9.4")],
        size=122_900_000,
        lines=list(lines),
        last_line=last,
    )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.cli.environment.LOOK_SECONDS", 0.0)


def test_the_installer_is_heard_and_the_end_says_what_to_know(engine: Any, rondo: Rondo) -> None:
    engine.installing = [making(last=0), making("Collecting rich", last=1), ready("Done", last=2), ready(last=2)]
    outcome = rondo("tools", "install", "composio-core")
    assert outcome.code == 0
    assert "Collecting rich" in outcome.err and "Done" in outcome.err
    assert "composio-core 0.7.22 is installed: 2 packages, 122.9 MB" in outcome.out
    assert "were taken away" in outcome.err and "--set TOOL.provider=composio-core" in outcome.err
    assert ("install_provider", ("composio-core", False)) in engine.calls


def test_a_program_gets_one_document_and_nothing_else(engine: Any, rondo: Rondo) -> None:
    engine.installing = [making("Collecting rich", last=1), ready(last=1)]
    outcome = rondo("tools", "install", "composio-core", "--again", "--json")
    assert outcome.code == 0 and outcome.err == ""
    document = outcome.document
    assert (document["provider"], document["state"], document["size"]) == ("composio-core", "ready", 122_900_000)
    assert document["packages"][0] == {"name": "composio_core", "version": "0.7.22"}
    assert ("install_provider", ("composio-core", True)) in engine.calls


@pytest.mark.parametrize("as_json", [False, True])
def test_an_index_out_of_reach_ends_with_exit_code_5_and_what_to_do(engine: Any, rondo: Rondo, as_json: bool) -> None:
    failed = EnvironmentView(workflow=None, state="failed", key="k" * 24)
    failed.problem = ErrorView(
        type="PackagesProblem",
        message="composio-core could not be installed.",
        cause="The package index could not be reached.",
        next_step="Check the network, then: rondo tools install composio-core",
    )
    engine.installing = [making("Retrying", last=1), failed]
    outcome = rondo("tools", "install", "composio-core", *(["--json"] if as_json else []))
    assert outcome.code == 5
    told = outcome.document["error"] if as_json else None
    if told is not None:
        assert (told["type"], told["cause"]) == ("PackagesProblem", "The package index could not be reached.")
    else:
        assert "could not be reached" in outcome.err and "Check the network" in outcome.err


def test_one_that_was_given_up_is_not_taken_for_installed(engine: Any, rondo: Rondo) -> None:
    engine.installing = [making(last=0), EnvironmentView(workflow=None, state="missing")]
    outcome = rondo("tools", "install", "composio-core")
    assert outcome.code == 5 and "was not installed" in outcome.err


def test_it_is_taken_away_and_says_what_that_freed(engine: Any, rondo: Rondo) -> None:
    engine.installing = [ready()]
    outcome = rondo("tools", "uninstall", "composio-core")
    assert outcome.code == 0 and "taken away: 122.9 MB are free again" in outcome.out
    engine.installing = [EnvironmentView(workflow=None, state="missing")]
    assert "was not installed" in rondo("tools", "uninstall", "composio-core").out
    assert rondo("tools", "uninstall", "composio-core", "--json").document["state"] == "missing"


def test_doctor_says_whether_it_is_there(engine: Any, rondo: Rondo) -> None:
    found = rondo("doctor", "--json").document["environments"]["composio-core"]
    assert found == "not installed; only who names it needs it: rondo tools install composio-core"
    engine.installing = [ready()]
    assert "0.7.22, 122.9 MB" in rondo("doctor", "--json").document["environments"]["composio-core"]
