"""Composio by its older package, in a process of its own: against a double of the package, and against itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from composio_core_world import Bare, Real, make_double
from composio_server import KEY, FakeComposio, error
from loopback import Answer, Loopback, serving

from core.errors import (
    ConnectFailed,
    ConnectionExpired,
    NotConnected,
    ToolGone,
    ToolKeyRefused,
    ToolProblem,
    ToolProviderMissing,
    ToolRateLimited,
    ToolRefused,
    ToolUncertain,
    ToolUnknown,
    ToolUnreachable,
)
from core.runner.process_tree import children_of, start_ticks
from core.tools.composio_core import ComposioCore
from core.tools.composio_core.process import Nowhere
from core.tools.waiting import Patience

HANG = 60.0


@pytest.fixture(scope="session")
def double(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    return make_double(tmp_path_factory.mktemp("double") / "environment")


@pytest.fixture(params=["double", pytest.param("itself", marks=pytest.mark.long)])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param == "double":
        return request.getfixturevalue("double")
    return Real.shared(tmp_path_factory)


class World:
    def __init__(self, loopback: Loopback, fake: FakeComposio, package: Any, **limits: float) -> None:
        self.loopback, self.fake = loopback, fake
        self.key: str | None = KEY
        self.slept: list[float] = []
        self.core = ComposioCore(
            lambda: self.key, package, base_url=loopback.url, patience=Patience(sleep=self.sleep), **limits
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def account(self, app: str = "gmail") -> str:
        number = (await self.core.connect(app)).connection_id
        self.fake.accounts[number]["status"] = "ACTIVE"
        return number


@pytest.fixture
async def world(package: Any) -> AsyncIterator[World]:
    fake = FakeComposio()
    async with serving(fake) as loopback:
        world = World(loopback, fake, package)
        yield world
        await world.core.close()
        # Whatever the package asked, nothing of it went to the addresses that are gone.
        assert [one.path for one in loopback.asked if not one.path.startswith("/api/v3.1/")] == []


def tree(root: int | None = None) -> list[int]:
    """All processes below one, this one by default."""
    found: list[int] = []
    for child in children_of(root if root is not None else os.getpid()):
        # The model server of other tests stays for as long as this process.
        if b"serve.mjs" not in _proc(child, "cmdline"):
            found += [child, *tree(child)]
    return found


def workers() -> list[int]:
    """The processes in which the package runs, without the guards above them."""
    return [pid for pid in tree() if b"worker.py" in (words := _proc(pid, "cmdline")) and b"guard.py" not in words]


def _proc(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def folder_of(pid: int) -> Path:
    return Path(os.readlink(f"/proc/{pid}/cwd"))


def until_gone(pids: list[int]) -> None:
    end = time.monotonic() + HANG
    while left := [pid for pid in pids if start_ticks(pid) is not None]:
        assert time.monotonic() < end, f"still there: {left}"
        time.sleep(0.02)


async def until_ended() -> None:
    async with asyncio.timeout(HANG):
        while workers():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# What there is ----------------------------------------------------------------------------------------------------


async def test_apps_are_listed_and_searched(world: World) -> None:
    found = (await world.core.list_apps()).items
    assert [(app.name, app.needs_connection) for app in found] == [
        ("gmail", True),
        ("airtable", True),
        ("shopify", True),
        ("weather", False),
    ]
    [gmail] = (await world.core.list_apps("gma")).items
    assert (gmail.title, gmail.actions, gmail.categories, gmail.provider) == ("Gmail", 3, ("Mail",), "composio-core")
    with pytest.raises(ToolUnknown, match="no app 'nothing'"):
        await world.core.get_app("nothing")


async def test_actions_have_friendly_names_schemas_and_effects(world: World) -> None:
    actions = await world.core.list_actions("gmail")
    assert [(one.name, one.id, one.effects, one.version) for one in actions] == [
        ("send_email", "GMAIL_SEND_EMAIL", "write", "20261101_00"),
        ("fetch_emails", "GMAIL_FETCH_EMAILS", "read", "20261101_00"),
        ("tidy_up", "GMAIL_TIDY_UP", "read", "20261101_00"),
    ]
    assert actions[0].inputs["required"] == ["subject"]
    for name in ("send_email", "GMAIL_SEND_EMAIL"):
        assert (await world.core.get_action("gmail", name)).id == "GMAIL_SEND_EMAIL"
    with pytest.raises(ToolUnknown, match="no action 'fly'"):
        await world.core.get_action("gmail", "fly")
    with pytest.raises(ToolUnknown, match="no app 'nothing'"):
        await world.core.list_actions("nothing")


async def test_a_long_list_of_actions_comes_whole(world: World) -> None:
    world.fake.page = 100
    first = world.fake.tools[0]
    world.fake.tools = [{**first, "slug": f"GMAIL_DO_{number}", "description": "é" * 500} for number in range(333)]
    assert [one.name for one in await world.core.list_actions("gmail")] == [f"do_{number}" for number in range(333)]


async def test_what_schemas_refer_to_is_put_in_its_place(world: World) -> None:
    person = {"type": "object", "properties": {"boss": {"$ref": "#/$defs/Person"}, "name": {"type": "string"}}}
    whom = {"$ref": "#/$defs/Person", "description": "Who gets it."}
    world.fake.tools[0]["input_parameters"] = {"properties": {"to": whom}, "$defs": {"Person": person}}
    action = await world.core.get_action("gmail", "send_email")
    assert action.inputs["properties"]["to"]["properties"]["name"] == {"type": "string"}
    assert action.inputs["properties"]["to"]["description"] == "Who gets it."
    assert "$ref" not in json.dumps(action.inputs)


async def test_an_app_that_is_connected_in_ways_the_package_does_not_know_is_there_all_the_same(world: World) -> None:
    kits = world.fake.toolkits()
    kits[1]["auth_schemes"] = ["S2S_OAUTH2"]
    world.fake.toolkits = lambda: kits  # type: ignore[method-assign]
    assert [app.schemes for app in (await world.core.list_apps("airtable")).items] == [()]
    assert len((await world.core.list_apps()).items) == 4


# Accounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["ACTIVE", "FAILED", "EXPIRED"])
async def test_an_account_is_connected_over_a_link(world: World, end: str) -> None:
    request = await world.core.connect("gmail")
    assert request.link == f"https://connect.example/{request.connection_id}"
    assert (request.state, request.expires_at) == ("INITIATED", 1795262400 + 600)
    assert (await world.core.get_connection(request.connection_id)).state == "INITIATED"
    world.fake.accounts[request.connection_id] |= {"status": end, "status_reason": "as told"}
    [account] = await world.core.list_connections("gmail")
    assert (account.state, account.reason, account.usable) == (end, "as told", end == "ACTIVE")
    assert (account.provider, account.created_at) == ("composio-core", 1795262400)
    await world.core.connect("gmail")
    assert len(world.fake.configs) == 1 and len(await world.core.list_connections()) == 2


async def test_an_api_key_is_asked_for_and_then_connected(world: World) -> None:
    asked = await world.core.connect("airtable")
    assert [(one.name, one.title, one.required, one.secret) for one in asked.fields] == [
        ("generic_api_key", "API key", True, True)
    ]
    assert not asked.done and world.fake.configs == []
    made = await world.core.connect("airtable", values={"generic_api_key": "good-key-123"})
    assert made.done
    [sent] = world.loopback.calls("POST", "/api/v3.1/connected_accounts")
    assert sent.json["connection"]["state"]["val"] == {"status": "ACTIVE", "generic_api_key": "good-key-123"}
    assert sent.json["connection"]["user_id"] == "rondo"


async def test_what_was_filled_in_is_not_in_the_error(world: World) -> None:
    with pytest.raises(ToolProblem) as caught:
        await world.core.connect("airtable", values={"generic_api_key": "bad-api-key"})
    assert "bad-api-key" not in json.dumps(caught.value.to_dict())


async def test_where_managed_oauth_is_gone_a_key_or_an_own_application_is_asked_for(world: World) -> None:
    world.fake.refuse_managed = True
    request = await world.core.connect("shopify")
    assert (request.scheme, [one.name for one in request.fields]) == ("API_KEY", ["generic_api_key"])
    own = await world.core.connect("gmail")
    assert [one.name for one in own.fields] == ["client_id", "client_secret"]
    values = {"client_id": "me", "client_secret": "hidden-secret"}
    assert (await world.core.connect("gmail", "OAUTH2", values)).link


async def test_an_app_without_accounts_needs_no_connecting(world: World) -> None:
    assert (await world.core.connect("weather")).done
    with pytest.raises(ConnectFailed, match="SAML"):
        await world.core.connect("gmail", "SAML")
    action = await world.core.get_action("weather", "get_weather")
    assert (await world.core.execute(action, {})).data == {"id": "m-1"}
    assert "connected_account_id" not in world.fake.executed[0]


async def test_an_account_is_given_up(world: World) -> None:
    request = await world.core.connect("gmail")
    await world.core.disconnect(request.connection_id)
    await world.core.disconnect(request.connection_id)
    with pytest.raises(NotConnected, match="gone"):
        await world.core.get_connection(request.connection_id)


# Calls ------------------------------------------------------------------------------------------------------------


async def test_an_action_is_called_with_version_account_and_key(world: World) -> None:
    action = await world.core.get_action("gmail", "send_email", "20260101_00")
    result = await world.core.execute(action, {"subject": "ü 🎉"}, connection_id="ca_9", key="k-1")
    assert (result.data, result.log_id) == ({"id": "m-1"}, "log_77")
    assert world.fake.executed == [
        {
            "slug": "GMAIL_SEND_EMAIL",
            "key": "k-1",
            "arguments": {"subject": "ü 🎉"},
            "user_id": "rondo",
            "connected_account_id": "ca_9",
            "version": "20261101_00",
        }
    ]


def tool_error(message: str) -> Answer:
    return Answer(200, {"data": {}, "error": message, "successful": False, "log_id": "log_9"})


WHOLE = {"data": {"id": "m-1"}, "error": None, "successful": True, "log_id": "log_77"}


async def test_every_fault_of_a_call_has_its_error_and_is_not_repeated(world: World) -> None:
    faults: list[tuple[Answer, type[ToolProblem]]] = [
        (tool_error("Recipient missing"), ToolRefused),
        (tool_error("Connected account has expired"), ConnectionExpired),
        (error(401, "Invalid API key"), ToolKeyRefused),
        (error(403, "IP not allowed"), ToolKeyRefused),
        (error(400, "Bad arguments", "Tool_Validation"), ToolRefused),
        (error(400, "No account", "ActionExecute_ConnectedAccountNotFound"), NotConnected),
        (error(400, "x", "ConnectedAccount_Expired"), ConnectionExpired),
        (error(404, "Tool GMAIL_SEND_EMAIL not found", "Tool_ToolNotFound"), ToolUnknown),
        (error(410, "Removed"), ToolGone),
        (error(429, "Slow down", headers={"Retry-After": "7"}), ToolRateLimited),
        (error(500, "Internal"), ToolUncertain),
        (Answer(502, "<html>bad gateway</html>"), ToolUncertain),
        (Answer(200, WHOLE, cut=10), ToolUncertain),
        (Answer(200, "{half"), ToolUncertain),
        (Answer(hang=True), ToolUncertain),
    ]
    action = await world.core.get_action("gmail", "send_email")
    account = await world.account()
    for answer, kind in faults:
        world.fake.next_answers, world.fake.executed = [answer], []
        with pytest.raises(kind) as caught:
            await world.core.execute(action, {}, connection_id=account, seconds=0.5 if answer.hang else HANG)
        assert type(caught.value) is kind
        assert caught.value.cause and caught.value.next_step
        # One that hangs may be given up before it has even arrived.
        assert len(world.fake.executed) == 1 or (answer.hang and not world.fake.executed), "it was sent again"
        if isinstance(caught.value, ToolRateLimited):
            assert caught.value.retry_after == 7
    # The process has outlived all of them.
    world.fake.next_answers = []
    assert (await world.core.execute(action, {}, connection_id=account)).data == {"id": "m-1"}


async def test_odd_texts_and_large_answers_come_through_as_they_are(world: World) -> None:
    action = await world.core.get_action("gmail", "send_email")
    odd = {"text": "line\n\u2028 \x00 é 🎉", "numbers": [1.5, -0.0, 2**60], "many": ["é" * 1000] * 1000}
    halves = b'{"data": {"half": "\\ud83d"}, "successful": true}'
    world.fake.next_answers = [Answer(200, {**WHOLE, "data": odd}), Answer(200, halves)]
    assert (await world.core.execute(action, odd, connection_id="ca_1")).data == odd
    assert world.fake.executed[0]["arguments"] == odd
    assert (await world.core.execute(action, {}, connection_id="ca_1")).data == {"half": "\ud83d"}


async def test_a_reading_action_that_fails_is_known_to_have_done_nothing(world: World) -> None:
    action = await world.core.get_action("gmail", "fetch_emails")
    world.fake.next_answers = [error(500, "Internal")]
    with pytest.raises(ToolUnreachable):
        await world.core.execute(action, {}, connection_id="ca_1")


async def test_questions_are_asked_again_after_the_time_that_is_named(world: World) -> None:
    answers = [error(429, "Slow", headers={"Retry-After": "3"}), error(503, "Down")]
    fake = world.fake
    world.loopback.handle = lambda asked: answers.pop(0) if answers else fake(asked)
    assert (await world.core.get_app("gmail")).title == "Gmail"
    assert world.slept == [3, 2]


async def test_trouble_before_the_call_acts_nowhere(world: World) -> None:
    account = await world.account()
    action = (await world.core.list_actions("gmail"))[0]
    fake = world.fake
    world.loopback.handle = lambda asked: (
        error(429, "Slow", headers={"Retry-After": "500"}) if asked.method == "GET" else fake(asked)
    )
    with pytest.raises(ToolRateLimited):
        await world.core.execute(action, {}, connection_id=account)
    assert fake.executed == []
    world.loopback.handle = fake
    assert (await world.core.execute(action, {}, connection_id=account)).log_id == "log_77"


async def test_many_calls_at_once_each_have_their_own_answer(world: World) -> None:
    action = await world.core.get_action("gmail", "send_email")
    world.fake.on_execute = lambda: world.fake.next_answers.append(
        Answer(200, {**WHOLE, "data": world.fake.executed[-1]["arguments"]})
    )
    calls = [world.core.execute(action, {"subject": str(number)}, connection_id="ca_1") for number in range(12)]
    assert [result.data for result in await asyncio.gather(*calls)] == [{"subject": str(one)} for one in range(12)]


async def test_keys_are_asked_for_and_checked(world: World) -> None:
    assert await world.core.check() == "composio-core 0.7.22 runs, and the key works"
    world.key = "wrong"
    with pytest.raises(ToolKeyRefused):
        await world.core.check()
    with pytest.raises(ToolKeyRefused):
        await world.core.get_app("gmail")
    before = len(world.loopback.asked)
    world.key = None
    with pytest.raises(ToolProviderMissing, match="no key"):
        await world.core.list_apps()
    with pytest.raises(ToolProviderMissing, match="no key"):
        await world.core.require()
    assert len(world.loopback.asked) == before
    world.key = KEY
    assert (await world.core.get_app("gmail")).title == "Gmail"


# The process ------------------------------------------------------------------------------------------------------

needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="it looks into /proc")


@needs_proc
async def test_the_process_of_the_package_never_has_the_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
    monkeypatch.setenv("OTHER_SECRET", "of-no-concern-to-it")
    await world.core.get_app("gmail")
    assert len(workers()) == 1
    for pid in tree():
        for content in (_proc(pid, "cmdline"), _proc(pid, "environ")):
            assert KEY.encode() not in content and b"of-no-concern" not in content


@needs_proc
async def test_a_crash_in_a_writing_call_is_said_and_the_next_call_starts_it_anew(world: World) -> None:
    action = await world.core.get_action("gmail", "send_email")
    account = await world.account()
    before = workers()
    world.fake.on_execute = lambda: [os.kill(pid, signal.SIGKILL) for pid in workers()]
    world.fake.next_answers = [Answer(hang=True)]
    with pytest.raises(ToolUncertain, match="composio-core ended before it answered") as caught:
        await world.core.execute(action, {}, connection_id=account, seconds=HANG)
    assert "may have acted" in caught.value.cause
    world.fake.on_execute = lambda: None
    assert (await world.core.execute(action, {}, connection_id=account)).log_id == "log_77"
    assert len(world.fake.executed) == 2
    assert len(workers()) == 1 and workers() != before


@needs_proc
async def test_a_crash_while_it_is_asked_something_did_nothing(world: World) -> None:
    await world.core.check()

    def crash(asked: Any) -> Answer:
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
        return Answer(hang=True)

    world.loopback.handle = crash
    with pytest.raises(ToolUnreachable, match="composio-core ended before it answered") as caught:
        await world.core.list_connections()
    assert "Nothing was done" in caught.value.cause
    world.loopback.handle = world.fake
    assert await world.core.list_connections() == ()


@needs_proc
async def test_giving_up_a_call_ends_it_at_once_and_the_process_goes_on(world: World) -> None:
    action = await world.core.get_action("gmail", "send_email")
    sent = asyncio.Event()
    world.fake.on_execute = sent.set
    world.fake.next_answers = [Answer(hang=True)]
    call = asyncio.create_task(world.core.execute(action, {}, connection_id="ca_1", seconds=HANG))
    async with asyncio.timeout(HANG):
        await sent.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    before = workers()
    assert (await world.core.execute(action, {}, connection_id="ca_1")).log_id == "log_77"
    assert workers() == before


@needs_proc
async def test_nothing_is_left_when_it_is_closed_and_it_can_be_used_again(world: World) -> None:
    for _ in range(2):
        await world.core.get_app("gmail")
        pids = tree()
        [folder] = [folder_of(pid) for pid in workers()]
        assert "rondo-composio-core-" in folder.name and folder.exists()
        await world.core.close()
        until_gone(pids)
        assert not folder.exists()


@needs_proc
async def test_a_package_that_hangs_is_ended_with_all_that_it_started(double: Bare) -> None:
    fake = FakeComposio()
    async with serving(fake) as loopback:
        world = World(loopback, fake, double, own_seconds=0.5)
        patient = World(loopback, fake, double)
        action = await patient.core.get_action("gmail", "tidy_up")
        await patient.core.close()
        await world.core.check()
        pids = tree()
        assert len(pids) >= 2
        with pytest.raises(ToolUnreachable, match="did not come to an end within 1 s") as caught:
            await world.core.execute(action, {"hang": True}, connection_id="ca_1", seconds=0.5)
        assert "Nothing was done" in caught.value.cause and fake.executed == []
        until_gone(pids)
        await world.core.close()


@needs_proc
async def test_what_the_package_starts_ends_with_it(double: Bare) -> None:
    fake = FakeComposio()
    async with serving(fake) as loopback:
        world = World(loopback, fake, double)
        await world.core.get_action("gmail", "tidy_up")
        [helper] = [pid for worker in workers() for pid in tree(worker)]
        await world.core.close()
        until_gone([helper])


@needs_proc
async def test_one_that_nobody_needs_any_more_ends_by_itself(double: Bare) -> None:
    fake = FakeComposio()
    async with serving(fake) as loopback:
        world = World(loopback, fake, double, idle_seconds=0.0)
        await world.core.get_app("gmail")
        await until_ended()
        assert (await world.core.get_app("gmail")).title == "Gmail"
        await world.core.close()


@needs_proc
def test_the_package_ends_when_rondo_is_killed(double: Bare, tmp_path: Path) -> None:
    script = tmp_path / "rondo_double.py"
    script.write_text(
        "import asyncio, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), str(Path.cwd())]!r}\n"
        "from pathlib import Path\n"
        "from composio_core_world import Bare\n"
        "from core.tools.composio_core import ComposioCore\n"
        "async def main():\n"
        f"    core = ComposioCore(lambda: 'a-key', Bare(Path({str(double.python)!r})))\n"
        "    await core._process.start()\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    rondo = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert rondo.stdout is not None
    assert rondo.stdout.readline() == b"up\n"
    pids = tree(rondo.pid)
    assert len(pids) >= 2
    rondo.kill()
    rondo.wait()
    rondo.stdout.close()
    until_gone(pids)


async def test_a_package_that_is_not_installed_says_how_and_why(double: Bare) -> None:
    core = ComposioCore(lambda: KEY, Nowhere())
    for ask in (core.require, core.list_apps, core.check):
        with pytest.raises(ToolProviderMissing, match="composio-core is not installed") as caught:
            await ask()
        assert "were taken away" in caught.value.cause
        assert "rondo tools install composio-core" in caught.value.next_step
    await core.close()


async def test_a_package_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = make_double(tmp_path / "environment", package=False)
    core = ComposioCore(lambda: KEY, broken)
    with pytest.raises(ToolProviderMissing, match="can't be started") as caught:
        await core.list_apps()
    assert "No module named 'composio'" in caught.value.cause
    assert "rondo tools install composio-core --again" in caught.value.next_step
    nothing = ComposioCore(lambda: KEY, Bare(tmp_path / "no-python"))
    with pytest.raises(ToolProviderMissing, match="can't be started"):
        await nothing.list_apps()
    assert broken.releases == 1
    await core.close()
    await nothing.close()


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    if Path("/proc/self/cmdline").exists():
        until_gone(workers())
