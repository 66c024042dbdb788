"""The registry of actions: complete, without clashes, and reachable in every way it promises."""

from __future__ import annotations

import importlib

import pytest

from tui.actions import EVERYWHERE, MOVING, Acting, Action, action, registry

SHEET_MODULES = ("chats", "command", "confirm", "consent", "help", "inputs", "name", "new_workflow", "read", "trash")
for module in ("chat", "graph", "inbox", "run", "runs", "versions", "workflows", *SHEET_MODULES):
    importlib.import_module(f"tui.screens.{module}")

ALL = [*registry]
SCREENS = ("workflows", "versions", "run", "runs", "inbox")
PARTS = ("conversation", "proposal")
SHEETS = ("chats", "command", "confirm", "consent", "help", "inputs", "line", "name", "new", "read", "trash")


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.id)
def test_every_action_says_what_it_is(found: Action) -> None:
    assert found.title
    assert found.help or found.view in SHEETS
    assert found.id.split(".")[0].isalpha()
    assert found.id == found.id.lower()
    assert callable(getattr(found.owner, found.method.__name__))


def test_screens_are_all_registered() -> None:
    assert {found.view for found in ALL} >= {*SCREENS, *SHEETS, *PARTS, EVERYWHERE, MOVING, "choice"}


@pytest.mark.parametrize("view", SCREENS)
def test_no_two_actions_of_a_screen_have_one_key(view: str) -> None:
    owners: dict[str, str] = {}
    for found in ALL:
        if found.view in (view, EVERYWHERE, MOVING):
            for key in found.keys:
                assert key not in owners, f"{key}: {owners[key]} and {found.id}"
                owners[key] = found.id


@pytest.mark.parametrize("view", [*SHEETS, *PARTS])
def test_no_two_actions_of_a_sheet_have_one_key(view: str) -> None:
    keys = [key for found in ALL if found.view == view for key in found.keys]
    assert len(keys) == len(set(keys))


def test_no_command_is_written_like_another() -> None:
    for view in SCREENS:
        words = [found.command for found in ALL if found.view in (view, EVERYWHERE, MOVING)]
        assert len(words) == len(set(words))


def test_no_action_lives_on_a_control_letter_alone() -> None:
    for found in ALL:
        letters = [key for key in found.keys if key.startswith("ctrl+") and len(key) == 6]
        # Half a page down and up are the ones the design names; everything else needs another key as well.
        if letters and found.id not in ("move.half-page-down", "move.half-page-up"):
            assert len(found.keys) > len(letters), found.id


def test_every_footer_fits_its_first_keys_at_eighty_columns() -> None:
    for view in SCREENS:
        assert [found.id for found in registry.footer(view)], view


def test_two_actions_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="two actions"):

        class Other(Acting):
            view = "other"

            @action("app.help", "help")
            def another_help(self) -> None: ...
