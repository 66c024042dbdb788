from __future__ import annotations

import pytest

from core.runner.environment import allowed, reduced


@pytest.mark.parametrize("name", ["PATH", "HOME", "LC_ALL", "XDG_CACHE_HOME", "https_proxy", "NO_PROXY", "PYTHONPATH"])
def test_what_programs_need_is_passed_on(name: str) -> None:
    assert allowed(name)


@pytest.mark.parametrize(
    "name",
    ["ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "GITHUB_TOKEN", "RONDO_WORKSPACE", "DATABASE_URL"],
)
def test_everything_else_is_left_out(name: str) -> None:
    assert not allowed(name)


def test_granted_variables_come_on_top() -> None:
    assert reduced({"PATH": "/bin", "TOKEN": "x"}, {"GRANTED": "y", "PATH": "/own"}) == {"PATH": "/own", "GRANTED": "y"}
