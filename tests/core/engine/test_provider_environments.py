"""Providers that can't share an environment with Rondo: installed on demand, used where they are named, taken away."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from composio_core_world import Bare, Real, make_double
from composio_server import KEY, FakeComposio
from loopback import serving
from tiny_wheel import write_wheel
from workbench import Workbench

from core.engine.environments.cache import Need
from core.engine.environments.providers import COMPOSIO_CORE, ProviderEnvironment
from core.engine.inline import InlinePool
from core.errors import PackagesProblem, ToolProviderMissing, UsageError
from core.link.workflow_types import EnvironmentView
from core.places import data_folder
from core.tools.composio_core import worker

BUILD_LIMIT_SECONDS = 120.0
SEND = """
class Send(Node):
    async def execute(self, prepared):
        return await shared["tools"]["gmail"].send_email({"subject": "hi"})

    def cleanup(self, shared, prepared, result):
        shared["sent"] = result
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path / "place")


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeComposio]:
    fake = FakeComposio(page=100)
    async with serving(fake) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        yield fake


@pytest.fixture(params=["double", pytest.param("itself", marks=pytest.mark.long)])
def installed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Bare | Real:
    """The package, or a double of it, in the place of what would be installed."""
    package = make_double(tmp_path / "double") if request.param == "double" else Real.shared(tmp_path_factory)
    monkeypatch.setattr(ProviderEnvironment, "installed", lambda self: True)
    monkeypatch.setattr(ProviderEnvironment, "hold", lambda self: package.hold())
    return package


async def connected(bench: Workbench, fake: FakeComposio) -> str:
    number = (await bench.engine.connect_tool("gmail", COMPOSIO_CORE)).connection_id
    fake.accounts[number]["status"] = "ACTIVE"
    return number


# In use -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [False, True])
async def test_a_workflow_that_names_the_older_package_calls_by_it(
    bench: Workbench, fake: FakeComposio, installed: Bare | Real, inline: bool
) -> None:
    folder = bench.write("w", SEND)
    (folder / "tools.json").write_text(json.dumps([{"name": "gmail", "provider": COMPOSIO_CORE}]))
    async with bench.running(**({"pool": InlinePool()} if inline else {})):
        account = await connected(bench, fake)
        [tool] = await bench.engine.workflow_tools("w")
        assert (tool.provider, tool.problem) == (COMPOSIO_CORE, "")
        run = await bench.run("w")
        assert run.status == "completed", run.error
        assert (await bench.state(run.run_id))["sent"] == {"id": "m-1"}
        [sent] = fake.executed
        assert (sent["slug"], sent["connected_account_id"]) == ("GMAIL_SEND_EMAIL", account)
        assert len(sent["key"]) == 32
        call = await bench.engine.read_call(1)
        assert (call.reply["provider"], call.reply["log_id"]) == (COMPOSIO_CORE, "log_77")
        detail = await bench.engine.get_tool("gmail", COMPOSIO_CORE)
        assert any("were taken away" in note for note in detail.notes)
    if isinstance(installed, Bare):
        assert installed.releases == 1, "the engine takes it with it when it ends"


async def test_the_settings_choose_it_for_all_that_name_no_provider(
    bench: Workbench, fake: FakeComposio, installed: Bare | Real
) -> None:
    bench.settings('[tools]\ncomposio = "composio-core"\n')
    folder = bench.write("w", SEND)
    (folder / "tools.json").write_text('["gmail"]')
    async with bench.running():
        await connected(bench, fake)
        listing = await bench.engine.list_tools("gmail")
        assert [row.provider for row in listing.tools if row.provider.startswith("composio")] == [COMPOSIO_CORE]
        assert (await bench.run("w")).status == "completed"
        assert (await bench.engine.read_call(1)).reply["provider"] == COMPOSIO_CORE


async def test_where_it_is_not_installed_that_is_said_before_the_run_and_in_it(
    bench: Workbench, fake: FakeComposio
) -> None:
    folder = bench.write("w", SEND)
    (folder / "tools.json").write_text(json.dumps({"gmail": {"provider": COMPOSIO_CORE}}))
    async with bench.running():
        [tool] = await bench.engine.workflow_tools("w")
        assert "composio-core is not installed" in tool.problem and "were taken away" in tool.problem
        assert "rondo tools install composio-core" in tool.next_step
        run = await bench.run("w")
        assert run.status == "failed" and run.error is not None
        assert run.error.type == ToolProviderMissing.__name__
        assert "rondo tools install composio-core" in run.error.next_step
        # Nobody else's tools are the worse for it.
        assert [row.name for row in (await bench.engine.list_tools("gmail")).tools if row.provider == "composio"]


# Installed --------------------------------------------------------------------------------------------------------


def need(tmp_path: Path, *options: str, sha: str = "") -> Need:
    """Something small in the place of the package, by hash as that is."""
    wheel = write_wheel(tmp_path / "wheels")
    found = sha or hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = [*(options or ("--no-index", f"--find-links {wheel.parent}")), f"tinything==1.0 --hash=sha256:{found}"]
    return Need("k" * 24, ("tinything==1.0",), {"requirements.txt": "\n".join(lines) + "\n"}, "/")


async def made(bench: Workbench, **options: Any) -> EnvironmentView:
    """Install it, and wait until it is there or can't be."""
    events = bench.engine.events()
    view = await bench.engine.install_provider("c-1", COMPOSIO_CORE, **options)
    async with asyncio.timeout(BUILD_LIMIT_SECONDS):
        while view.state == "making":
            await anext(events)
            view = await bench.engine.get_provider(COMPOSIO_CORE)
    return view


async def test_it_is_installed_once_by_hash_and_taken_away_when_nobody_uses_it(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProviderEnvironment, "need", need(tmp_path))
    async with bench.running() as engine:
        assert (await engine.get_provider(COMPOSIO_CORE)).state == "missing"
        view = await made(bench)
        assert (view.state, [(one.name, one.version) for one in view.packages]) == ("ready", [("tinything", "1.0")])
        assert any("Successfully installed tinything-1.0" in line for line in view.lines)
        assert view.path is not None and view.path.startswith(str(data_folder() / "providers"))
        assert (await engine.install_provider("c-2", COMPOSIO_CORE)).path == view.path
        # Cleaning up what workflows no longer use does not touch it.
        assert await engine.prune_environments(0) == []

        other = ProviderEnvironment(COMPOSIO_CORE, lambda key: None).hold()
        assert other is not None and other.python.exists()
        with pytest.raises(PackagesProblem, match="composio-core is in use"):
            await engine.remove_provider(COMPOSIO_CORE)
        assert (await engine.get_provider(COMPOSIO_CORE)).state == "ready"
        other.release()
        assert (await engine.remove_provider(COMPOSIO_CORE)).state == "missing"
        assert not list((data_folder() / "providers" / COMPOSIO_CORE).glob("*"))
        assert (await engine.remove_provider(COMPOSIO_CORE)).state == "missing"

        with pytest.raises(UsageError, match="nothing to install for 'composio'"):
            await engine.install_provider("c-3", "composio")


@pytest.mark.long
@pytest.mark.parametrize("fault", ["hash", "index"])
async def test_what_keeps_it_from_being_installed_is_said_and_nothing_half_made_stays(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("PIP_RETRIES", "1")
    wrong = need(tmp_path, sha="0" * 64)
    away = need(tmp_path, "--index-url http://127.0.0.1:9/simple")
    monkeypatch.setattr(ProviderEnvironment, "need", wrong if fault == "hash" else away)
    async with bench.running():
        view = await made(bench)
        assert view.state == "failed" and view.problem is not None
        assert view.problem.message == "composio-core could not be installed."
        assert ("its hash" if fault == "hash" else "could not be reached") in view.problem.cause
        assert "rondo tools install composio-core" in view.problem.next_step
    assert not list((data_folder() / "providers").glob("*/*/*/bin"))


def test_the_list_pins_every_package_by_hash_and_names_no_index() -> None:
    found = ProviderEnvironment(COMPOSIO_CORE, lambda key: None).need
    text = found.lists["requirements.txt"]
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert found.lines == ("composio-core==0.7.22",)
    assert any(line.startswith("composio-core==0.7.22 ") for line in entries)
    assert all("==" in line and line.endswith("\\") for line in entries), "every entry goes on with its hashes"
    assert text.count("--hash=sha256:") >= len(entries)
    assert "http" not in text.replace("aiohttp", "") and "--index" not in text and "--find-links" not in text


def test_the_program_for_the_other_environment_needs_nothing_of_this_one() -> None:
    names = [
        line.split()[1].partition(".")[0]
        for line in Path(worker.__file__).read_text().splitlines()
        if line.startswith(("import ", "from "))
    ]
    assert [name for name in names if name not in sys.stdlib_module_names] == []
