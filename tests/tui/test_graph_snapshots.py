"""Pictures of the graph screen at both sizes, compared as text; look at new ones before `--snapshot-update`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import EngineDouble
from looking import settled, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from textual.pilot import Pilot

from core.link.workflow_types import FindingView
from tui.app import RondoApp
from tui.navigation import Place
from tui.widgets.graph_view import GraphView

AppOn = Callable[[EngineDouble], RondoApp]
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """One SVG file a picture, without the plugin's report, which would hold the whole environment."""
    return snapshot.use_extension(SVGImageExtension)


async def seen(app: RondoApp, size: tuple[int, int], workflow: str, *keys: str) -> str:
    """The graph of a workflow after some keys, when nothing moves any more."""
    async with app.run_test(size=size) as pilot:
        await open_graph(pilot, workflow)
        await pilot.press(*keys)
        await settled(pilot)
        return app.export_screenshot(title="rondo")


async def open_graph(pilot: Pilot[Any], workflow: str) -> None:
    """Go to the graph of a workflow and wait until all is read and nothing moves."""
    app = pilot.app
    await until(pilot, lambda: app.connected_once)
    app.go(Place("graph", workflow))
    await until(pilot, lambda: any(view.is_mounted for view in app.screen.query(GraphView)))
    screen = app.screen
    await until(pilot, lambda: screen.detail is not None and (screen.run_shown is not None or not app.engine.runs))
    await until(pilot, lambda: screen.view_of_graph.drawing is not None or not screen.detail.nodes)
    await settled(pilot)


@SIZES
async def test_a_run_on_its_graph(
    picture: SnapshotAssertion, double: EngineDouble, app_on: AppOn, size: tuple[int, int]
) -> None:
    scenes.mail(double)
    assert await seen(app_on(double), size, "mail_digest", "k") == picture


@SIZES
async def test_a_workflow_without_a_run_drawn_to_the_right(
    picture: SnapshotAssertion, double: EngineDouble, app_on: AppOn, size: tuple[int, int]
) -> None:
    edges = [("ask", "greet", "shared['name'] != ''"), ("ask", "ask"), ("greet", "end")]
    double.workflow("hello", ["ask", "greet", "end"], edges=edges)
    assert await seen(app_on(double), size, "hello", "t") == picture


@SIZES
async def test_a_broken_workflow(
    picture: SnapshotAssertion, double: EngineDouble, app_on: AppOn, size: tuple[int, int]
) -> None:
    finding = FindingView(
        code="E001",
        severity="error",
        message="Expecting ',' delimiter.",
        file="hello.json",
        line=7,
        hint="Add a comma.",
    )
    double.workflow("hello", [], findings=[finding], version=None)
    assert await seen(app_on(double), size, "hello") == picture


@SIZES
async def test_an_edge_of_a_run(
    picture: SnapshotAssertion, double: EngineDouble, app_on: AppOn, size: tuple[int, int]
) -> None:
    scenes.mail(double)
    assert await seen(app_on(double), size, "mail_digest", "k", "greater_than_sign") == picture


@SIZES
async def test_the_nodes_near_one_while_a_text_is_searched(
    picture: SnapshotAssertion, double: EngineDouble, app_on: AppOn, size: tuple[int, int]
) -> None:
    double.workflow("long", [f"node_{number:02}" for number in range(30)])
    assert await seen(app_on(double), size, "long", "G", "k", "k", "o", "slash", *"_2") == picture


@SIZES
async def test_the_graph_alone(
    picture: SnapshotAssertion, double: EngineDouble, app_on: AppOn, size: tuple[int, int]
) -> None:
    scenes.mail(double)
    assert await seen(app_on(double), size, "mail_digest", *["plus"] * (3 if size[0] < 100 else 1)) == picture


async def test_a_run_on_its_graph_in_a_light_theme(
    picture: SnapshotAssertion, double: EngineDouble, app_on: AppOn
) -> None:
    scenes.mail(double)
    app = app_on(double)
    app.theme = "textual-light"
    assert await seen(app, (80, 24), "mail_digest", "k", "greater_than_sign") == picture
