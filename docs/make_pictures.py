"""The README's pictures: the real app on a real engine and the shipped examples, exported as SVG.

`make pictures` writes `docs/pictures/*.svg`. The workspace is a temporary one, so that no path of this machine is in them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from core.definition.examples import examples_folder
from core.link.start import connect, stop_engine
from core.link.types import AT_REST, StartRun
from core.places import Workspace
from tui.app import RondoApp

PICTURES = Path(__file__).parent / "pictures"
SIZE = (110, 32)


async def run_example(workspace: Workspace, name: str, answers: list[tuple[str, object]]) -> str:
    """Run a shipped example until it is at rest; its id."""
    async with await connect(workspace, kind="cli") as engine:
        events = engine.events()
        run = await engine.start_run(StartRun(command_id=uuid.uuid4().hex, workflow=name, answers=answers))
        while (await engine.get_run(run.run_id)).status not in AT_REST:
            await anext(events)
        return run.run_id


async def take(workspace: Workspace, shots: list[tuple[str, list[str]]]) -> None:
    """Open the app, press keys, and save a picture after each group of them."""
    app = RondoApp(workspace)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1.5)
        for name, keys in shots:
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.6)
            await pilot.pause(1.0)
            text = app.export_screenshot(title="rondo")
            (PICTURES / f"{name}.svg").write_text(text, encoding="utf-8")


async def main() -> None:
    """Make a workspace, run things in it, take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {f"XDG_{kind}_HOME": f"{temporary}/{kind}" for kind in ("DATA", "STATE", "CONFIG")}
        # The crumbs write the user's own folder as ~.
        os.environ["HOME"] = os.path.realpath(temporary)
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
                [("workflows", ["G"]), ("run", ["enter"]), ("graph", ["2"])],
            )
        finally:
            await stop_engine(workspace)


if __name__ == "__main__":
    asyncio.run(main())
