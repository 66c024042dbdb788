"""The registry of actions: complete, without clashes, and reachable in every way it promises."""

from __future__ import annotations

import pytest
from textual.fuzzy import FuzzySearch

from tui import views
from tui.actions import EVERYWHERE, MOVING, Acting, Action, action, registry
from tui.commands import complete, parse
from tui.keymap import key_name

views.import_all()
KINDS = views.kinds_of_views()
ALL = [*registry]
SCREENS = sorted(view for view, kind in KINDS.items() if kind == "screen")
SHEETS = sorted(view for view, kind in KINDS.items() if kind == "sheet")
PARTS = sorted(view for view, kind in KINDS.items() if kind == "part")

WITHOUT_LISTS = {"graph"}
"""Screens on whose main part nothing of MOVING is meant: it has the same keys for its own ways of moving."""
PANES = {"pane.next", "pane.previous"}


def together(view: str) -> list[Action]:
    """The actions that may be meant at one time on a screen."""
    if view in WITHOUT_LISTS:
        return [found for found in ALL if found.view in (view, EVERYWHERE) and found.id not in PANES]
    return [found for found in ALL if found.view in (view, EVERYWHERE, MOVING)]


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.id)
def test_every_action_says_what_it_is(found: Action) -> None:
    assert found.title
    assert found.help or found.view in SHEETS
    assert found.id.split(".")[0].isalpha()
    assert found.id == found.id.lower()
    assert callable(getattr(found.owner, found.method.__name__))


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.id)
def test_every_action_works_from_its_keys_the_palette_and_the_command_line(found: Action) -> None:
    for key in found.keys:
        assert registry.of_class(found.owner, key.split(" ")[0]) is not None
        assert key_name(key) == key, "a key that no keymap could name"
    # Alone on its screen: what another action's words begin is not this one's line.
    here = [other for other in ALL if other.view in (found.view, EVERYWHERE, MOVING)]
    for typed in (found.command, found.id):
        parsed = parse(typed, [found])
        assert parsed is not None and parsed[0] is found
        assert found in [entry.action for entry in complete(typed, here, {})]
    assert FuzzySearch().match(found.title[:3], f"{found.title} {found.id}")[0] > 0


def test_screens_are_all_registered() -> None:
    assert {"workflows", "versions", "graph", "runs", "run", "inbox", "chat", "settings"} <= {*SCREENS, "chat"}
    assert {"command", "help", "confirm", "consent", "done", "choose"} <= set(SHEETS)
    assert {"conversation", "proposal", "choice"} <= set(PARTS)


@pytest.mark.parametrize("view", SCREENS)
def test_no_two_actions_of_a_screen_have_one_key(view: str) -> None:
    owners: dict[str, str] = {}
    for found in together(view):
        for key in found.keys:
            assert key not in owners, f"{key}: {owners[key]} and {found.id}"
            owners[key] = found.id


@pytest.mark.parametrize("view", [*SHEETS, *PARTS])
def test_no_two_actions_of_a_sheet_have_one_key(view: str) -> None:
    keys = [key for found in ALL if found.view == view for key in found.keys]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("view", SCREENS)
def test_no_command_is_written_like_another(view: str) -> None:
    words = [found.command for found in together(view)]
    assert len(words) == len(set(words))


def test_no_action_lives_on_a_control_letter_alone() -> None:
    for found in ALL:
        letters = [key for key in found.keys if key.startswith("ctrl+") and len(key) == 6]
        # Half a page down and up are the ones the design names; everything else needs another key as well.
        if letters and found.id not in ("move.half-page-down", "move.half-page-up"):
            assert len(found.keys) > len(letters), found.id


@pytest.mark.parametrize("view", SCREENS)
def test_every_footer_fits_its_first_keys_at_eighty_columns(view: str) -> None:
    assert [found.id for found in registry.footer(view)]


def test_two_actions_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="two actions"):

        class Other(Acting):
            view = "other"

            @action("app.help", "help")
            def another_help(self) -> None: ...
