"""The README's pictures: the real app on a real engine and the shipped examples, exported as SVG.

`make pictures` writes `docs/pictures/*.svg`. The workspace is a temporary one, so that no path of this machine is in them.
"""

from __future__ import annotations

import asyncio
import html
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from textual.pilot import Pilot

from core.definition.examples import examples_folder
from core.link.start import connect, stop_engine
from core.link.types import AT_REST, StartRun
from core.places import Workspace
from core.tools.offered import OFFERED
from tui.app import RondoApp
from tui.first_reading import FirstRead

PICTURES = Path(__file__).parent / "pictures"
SIZE = (110, 32)
LIMIT_SECONDS = 120.0


async def run_example(workspace: Workspace, name: str, answers: list[tuple[str, object]]) -> str:
    """Run a shipped example until it is at rest; its id."""
    async with await connect(workspace, kind="cli") as engine:
        events = engine.events()
        run = await engine.start_run(StartRun(command_id=uuid.uuid4().hex, workflow=name, answers=answers))
        while (await engine.get_run(run.run_id)).status not in AT_REST:
            await anext(events)
        return run.run_id


async def settled(pilot: Pilot[int], text: str) -> str:
    """Wait until a text stands on the screen and nothing changes any more; the picture."""
    deadline = asyncio.get_running_loop().time() + LIMIT_SECONDS
    before, same = "", 0
    while same < 5:
        if asyncio.get_running_loop().time() > deadline:
            raise SystemExit(f"{text!r} never stood on the screen")
        await pilot.pause(0.2)
        picture = pilot.app.export_screenshot(title="rondo")
        shown = html.unescape(picture).replace("\xa0", " ")
        same = same + 1 if picture == before and text in shown else 0
        before = picture
    return before


async def take(workspace: Workspace, shots: list[tuple[str, list[str], str]]) -> None:
    """Open the app, press keys, and save a picture once a text stands on the screen."""
    app = RondoApp(workspace, first=FirstRead(theme="rondo"))
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot, "review_loop")
        for name, keys, text in shots:
            await pilot.press(*keys)
            (PICTURES / f"{name}.svg").write_text(await settled(pilot, text), encoding="utf-8")


async def main() -> None:
    """Make a workspace, run things in it, take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {f"XDG_{kind}_HOME": f"{temporary}/{kind}" for kind in ("DATA", "STATE", "CONFIG", "CACHE")}
        # The crumbs write the user's own folder as ~.
        os.environ["HOME"] = os.path.realpath(temporary)
        os.environ |= {"COLORTERM": "truecolor", "TERM": "xterm-256color"}
        # Accounts for the picture of the tools, which nothing calls; those of whoever makes the pictures are not in it.
        for name in OFFERED:
            os.environ.pop(name, None)
        os.environ |= {"SLACK_TOKEN": "demo", "GITHUB_TOKEN": "demo"}
        root = Path(temporary) / "demo"
        for name in ("csv_report", "hello", "onboarding", "review_loop"):
            shutil.copytree(examples_folder() / name, root / "workflows" / name)
        (root / "runs").mkdir()
        workspace = Workspace.at(root)
        try:
            await run_example(workspace, "csv_report", [])
            await run_example(workspace, "onboarding", [])
            await run_example(workspace, "hello", [("name", "Ada")])
            await run_example(workspace, "review_loop", [("decision", "revise"), ("comment", "shorter, please")])
            await take(
                workspace,
                [
                    ("workflows", ["G"], "review_loop"),
                    ("run", ["enter"], "waiting"),
                    ("graph", ["2"], "review"),
                    ("settings", ["8"], "max_runs"),
                ],
            )
            # Last, so that the other pictures are of examples that need no account.
            shutil.copytree(examples_folder() / "mail_digest", root / "workflows" / "mail_digest")
            await take(workspace, [("tools", ["7"], "Post messages"), ("tools", ["enter"], "list_channels")])
        finally:
            await stop_engine(workspace)


if __name__ == "__main__":
    asyncio.run(main())
