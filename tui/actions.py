"""The one registry of actions: what a person can do, its keys, its words and where it applies.

Key bindings, the footer, `?` help, the `:` command line with its palette and the keymap file are all made from it. Ids
are an interface and use the words of the command line (`run.start`, `run.cancel`, `engine.stop`).

An action is a method with the decorator, of a class that names its `view`:

    class GraphScreen(RondoScreen):
        view = "graph"

        @action("graph.zoom", "zoom", keys="plus", help="Draw the graph larger or smaller")
        def zoom(self) -> None: ...

Keys are Textual's names, several apart by commas (`"j,down"`); a doubled key is written `"g g"`. `when` gets the screen
and returns why the action can't be done now, or "" if it can; the reason is shown. An action that names an `argument`
("workflow", "run" or "text") is called with what follows its words on the `:` line, or with "" from a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.events import Key

EVERYWHERE = "everywhere"
MOVING = "moving"

Method = TypeVar("Method", bound=Callable[..., Any])

KEY_SIGNS = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "greater_than_sign": ">",
    "less_than_sign": "<",
    "asterisk": "*",
    "at": "@",
    "space": "space",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a person can do. `footer` orders the footer's keys, lower first; 0 keeps it out."""

    id: str
    title: str
    view: str
    method: Callable[..., Any]
    keys: tuple[str, ...] = ()
    help: str = ""
    footer: int = 0
    argument: str = ""
    words: str = ""
    when: Callable[[Any], str] | None = None
    owner: type = object
    """The class whose instances it acts on."""
    own_keys: tuple[str, ...] = ()
    """The keys it has by itself, where the keymap file says nothing."""

    @property
    def command(self) -> str:
        """What is typed after `:`: the words of the command line, else the id."""
        return self.words or self.id.replace(".", " ")

    @property
    def key_sign(self) -> str:
        """The first key as a person reads it."""
        return key_sign(self.keys[0]) if self.keys else ""

    @property
    def key_signs(self) -> str:
        """All keys as a person reads them."""
        return " ".join(key_sign(key) for key in self.keys)

    def why_not(self, target: Any) -> str:
        """Why it can't be done now on that screen, app or widget; "" if it can."""
        return self.when(target) if self.when is not None else ""


def key_sign(key: str) -> str:
    """A key as a person reads it: `?` for `question_mark`, `gg` for `g g`."""
    if " " in key:
        return "".join(key_sign(part) for part in key.split(" "))
    return KEY_SIGNS.get(key, key)


def action(
    id: str,
    title: str,
    *,
    keys: str = "",
    help: str = "",
    footer: int = 0,
    argument: str = "",
    words: str = "",
    when: Callable[[Any], str] | None = None,
) -> Callable[[Method], Method]:
    """Make a method an action of its class's view; see the module's text."""

    def mark(method: Method) -> Method:
        own = tuple(key for key in keys.split(",") if key)
        made = Action(id, title, "", method, own, help, footer, argument, words, when, own_keys=own)
        method.__action__ = made  # type: ignore[attr-defined]
        return method

    return mark


def _members(owner: type) -> Iterator[Any]:
    """What a class and those of its bases define that have no view of their own."""
    for base in owner.__mro__:
        if base is not owner and "view" in vars(base):
            return
        yield from vars(base).values()


def _bindings(key: str) -> list[BindingType]:
    """How Textual hears of a key: at once where nobody is typing, so that the keys after it already meet what it did
    (the keys of a slow line come in one piece), else after the widget with the focus didn't want it. What the key
    means is the registry's to say when it is pressed."""
    return [
        Binding(key, f"press_now('{key}')", show=False, priority=True),
        Binding(key, f"press('{key}')", show=False),
    ]


def _first_part(key: str) -> str:
    return key.split(" ")[0]


class Registry:
    """Every action by id, and the bindings of each view."""

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}
        self._by_owner: dict[type, dict[str, Action]] = {}
        self.wanted: Mapping[str, tuple[str, ...]] = {}
        """Keys of the keymap file by action; set before the classes are made, so that Textual hears of them."""

    def add_view(self, view: str, owner: type) -> list[BindingType]:
        """Take in the actions that a class defines and return its key bindings."""
        heard: dict[str, None] = {}
        for member in _members(owner):
            found: Action | None = getattr(member, "__action__", None)
            if found is None:
                continue
            owned = replace(found, view=view, owner=owner, keys=self.wanted.get(found.id, found.own_keys))
            known = self._actions.get(owned.id)
            if known is not None and known.method.__qualname__ != owned.method.__qualname__:
                raise ValueError(f"two actions are called {owned.id}")
            self._actions[owned.id] = owned
            self._note_keys(owned)
            heard |= dict.fromkeys(_first_part(key) for key in (*owned.keys, *owned.own_keys))
        return [binding for key in heard for binding in _bindings(key)]

    def _note_keys(self, owned: Action, tables: dict[type, dict[str, Action]] | None = None) -> None:
        table = (self._by_owner if tables is None else tables).setdefault(owned.owner, {})
        for key in owned.keys:
            table[_first_part(key)] = owned

    def set_keys(self, wanted: Mapping[str, tuple[str, ...]]) -> None:
        """Give actions other keys, and every other action its own."""
        self.wanted = wanted
        self._actions = {found.id: replace(found, keys=wanted.get(found.id, found.own_keys)) for found in self._all()}
        tables: dict[type, dict[str, Action]] = {}
        for owned in self._all():
            self._note_keys(owned, tables)
        # In one move: keys are pressed meanwhile.
        self._by_owner = tables

    def of_class(self, owner: type, key: str) -> Action | None:
        """The action that a key, alone or as the first of two, has for instances of a class."""
        tables = (self._by_owner[base] for base in owner.__mro__ if base in self._by_owner)
        return next((table[key] for table in tables if key in table), None)

    def _all(self) -> list[Action]:
        """Every action; a list of its own, because a thread may import screens meanwhile."""
        return list(self._actions.values())

    def __getitem__(self, action_id: str) -> Action:
        return self._actions[action_id]

    def __iter__(self) -> Iterator[Action]:
        return iter(self._all())

    def of_keys(self, keys: str, views: Iterable[str]) -> Action | None:
        """The action that a key, or a doubled key such as `"g g"`, has in the first of these views that knows it."""
        for view in views:
            for found in self._all():
                if found.view == view and keys in found.keys:
                    return found
        return None

    def knows(self, owner: type, key: str) -> bool:
        """True where instances of a class have an action on a key, alone or doubled."""
        return self.of_class(owner, key) is not None

    def of_view(self, view: str) -> list[Action]:
        """The actions of one view, in the order in which they were written."""
        return [found for found in self._all() if found.view == view]

    def footer(self, view: str) -> list[Action]:
        """The actions whose keys the footer of a view shows, first things first."""
        shown = [found for found in self._all() if found.footer and found.view in (view, EVERYWHERE)]
        return sorted(shown, key=lambda found: found.footer)


registry = Registry()


class Acting:
    """Mixin for the app, screens and widgets whose class names a `view`: its actions get into the registry and their
    keys into its bindings. Stands before the Textual class among the bases."""

    view: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        if "view" in vars(cls):
            own = vars(cls).get("BINDINGS", [])
            cls.BINDINGS = [*registry.add_view(cls.view, cls), *own]  # type: ignore[attr-defined]
        super().__init_subclass__(**options)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key acts at once only while nobody is typing, and on the innermost node that has an action for it."""
        if action == "press" and registry.of_class(type(self), str(parameters[0])) is None:
            return False
        if action == "press_now" and self.app.hears_first(str(parameters[0])) is not self:  # type: ignore[attr-defined]
            return False
        return super().check_action(action, parameters)  # type: ignore[misc,no-any-return]

    def action_press(self, key: str) -> None:
        """Do one of this node's actions because its key was pressed."""
        found = registry.of_class(type(self), key)
        if found is not None:
            self.app.press(key, found, self)  # type: ignore[attr-defined]

    def press_passed(self, event: Key) -> None:
        """Do what a key means that the widget with the focus let pass, before the next key is looked at: Textual does
        so only after the event came to the app, behind the keys that came in the same piece."""
        found = registry.of_keys(event.key, (self.view, EVERYWHERE))
        if found is not None and isinstance(self, found.owner):
            event.stop()
            event.prevent_default()
            self.action_press(event.key)

    def action_press_now(self, key: str) -> None:
        """The same, before the widget with the focus hears of the key."""
        self.action_press(key)
