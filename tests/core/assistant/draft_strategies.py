"""Random workflows that can run, and random edits of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from core.assistant.draft import Draft

NAME = "flow"
IDS = ["fetch", "sort", "é", "n 4", "7", "send"]
CLASSES = ["Fetch", "Sort", "Send", "Ask", "Keep"]
HELPERS = ["LIMIT", "clean", "Base"]
CONDITIONS = ["", "True", "shared['n'] > 1", "shared.get('ü')"]


def class_text(name: str, variant: int = 0) -> str:
    """A node class; variants use helpers, modules, comments and decorators."""
    bodies = [
        f"class {name}(Node):\n    pass\n",
        f"# about {name}\nclass {name}(Node):\n    def execute(self, prepared):\n        return {name!r}\n",
        f'class {name}(Node):\n    """{name} says."""\n\n    def prepare(self, shared, request_input):\n'
        "        return math.floor(shared['n'])\n    # that is all\n",
        f"class {name}(Node):\n    def execute(self, prepared):\n        return clean(LIMIT)\n",
        f"class {name}(Base):\n\tasync def execute(self, prepared): return 1\n",
    ]
    return bodies[variant % len(bodies)]


def helper_text(name: str, variant: int = 0) -> str:
    return {
        "LIMIT": f"LIMIT = {variant}\n",
        "clean": f"def clean(value):\n    return value + {variant}\n",
        "Base": f"class Base(Node):\n    step = {variant}\n",
    }[name]


@st.composite
def json_texts(draw: st.DrawFn, document: dict[str, Any]) -> bytes:
    """A document written as people and programs write them."""
    style = draw(st.sampled_from(["lines", 2, 4, "\t", None, "compact", "crlf", "mark"]))
    if style == "compact":
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    if style in ("lines", "crlf", "mark"):
        rows = []
        for key, value in document.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                items = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in value)
                rows.append(f"  {json.dumps(key)}: [\n{items}\n  ]")
            else:
                rows.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
        text = "{\n" + ",\n".join(rows) + "\n}\n"
        return (
            text.replace("\n", "\r\n") if style == "crlf" else "\ufeff" + text if style == "mark" else text
        ).encode()
    return (json.dumps(document, indent=style) + draw(st.sampled_from(["", "\n", "\n\n"]))).encode()


@st.composite
def nodes(draw: st.DrawFn, ids: list[str], dag: bool) -> list[dict[str, Any]]:
    found = []
    for name in ids:
        node: dict[str, Any] = {"id": name, "class": draw(st.sampled_from(CLASSES))}
        if draw(st.booleans()):
            node["config"] = draw(st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=2))
        if not dag and draw(st.integers(0, 4)) == 0:
            node["on_error"] = f"goto:{draw(st.sampled_from(ids))}"
        if draw(st.integers(0, 5)) == 0:
            node["x-note"] = [1.50, None]
        found.append(node)
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A graph without errors."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    dag = draw(st.booleans())
    document: dict[str, Any] = {"name": NAME}
    if dag:
        document["mode"] = "dag"
    elif draw(st.booleans()):
        document["start"] = draw(st.sampled_from(ids))
    if draw(st.booleans()):
        document["initial_state"] = {"n": 1.0, "deep": {"a": []}}
    document["nodes"] = draw(nodes(ids, dag))
    edges = []
    for source, target, condition in draw(
        st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids), st.sampled_from(CONDITIONS)), max_size=7)
    ):
        if dag and ids.index(source) >= ids.index(target):
            continue
        edges.append({"from": source, "to": target} | ({"condition": condition} if condition else {}))
    document["edges"] = edges
    return document


@st.composite
def sources(draw: st.DrawFn) -> bytes:
    """nodes.py with all the classes, in any order of the rest."""
    parts = [helper_text(name, draw(st.integers(0, 2))) for name in reversed(HELPERS)]
    parts += [class_text(name, draw(st.integers(0, 4))) for name in CLASSES]
    gap = draw(st.sampled_from(["\n\n", "\n", "\n\n\n# --- a line ---\n\n"]))
    text = '"""What it does."""\n\nimport math\n\nfrom grapheteria import Node\n\n\n' + gap.join(parts)
    ending = draw(st.sampled_from(["", "\n\n", "cut", "\nif __name__ == '__main__':\n    print(LIMIT)\n"]))
    text = text.rstrip("\n") if ending == "cut" else text + ending
    if draw(st.integers(0, 3)) == 0:
        text = text.replace("\n", "\r\n")
    return (draw(st.sampled_from(["", "\ufeff"])) + text).encode()


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of a workflow without errors."""
    files = {f"{NAME}.json": draw(json_texts(draw(documents()))), "nodes.py": draw(sources())}
    if draw(st.integers(0, 3)) == 0:
        files["tools.json"] = b'["mail"]'
    return files


def operations() -> st.SearchStrategy[dict[str, Any]]:
    """Operations that may or may not fit."""
    ids, classes = st.sampled_from(IDS), st.sampled_from([*CLASSES, "Fresh", "Other"])
    condition = st.sampled_from(CONDITIONS)
    config = st.dictionaries(st.sampled_from("xyz"), st.none() | st.integers(0, 3) | st.just([]), max_size=2)
    return st.one_of(
        st.fixed_dictionaries(
            {"op": st.just("add_node"), "id": ids, "set": st.fixed_dictionaries({"class": classes, "config": config})},
            optional={"after": ids},
        ),
        st.fixed_dictionaries({"op": st.just("remove_node"), "id": ids}),
        st.fixed_dictionaries(
            {
                "op": st.just("update_node"),
                "id": ids,
                "set": st.one_of(
                    st.fixed_dictionaries({"config": config}),
                    st.fixed_dictionaries({"class": classes}),
                    st.fixed_dictionaries({"on_error": st.sampled_from([None, "skip", "goto:sort", "goto:send"])}),
                    st.fixed_dictionaries({"retry": st.just({"attempts": 3, "wait": 0.5})}),
                ),
            }
        ),
        st.fixed_dictionaries({"op": st.just("rename_node"), "id": ids, "to": ids}),
        st.fixed_dictionaries({"op": st.just("connect"), "from": ids, "to": ids, "condition": condition}),
        st.fixed_dictionaries(
            {"op": st.just("connect"), "from": ids, "to": ids, "condition": condition, "was": condition}
        ),
        st.fixed_dictionaries({"op": st.just("disconnect"), "from": ids, "to": ids}, optional={"condition": condition}),
        st.fixed_dictionaries(
            {"op": st.just("set_io"), "set": st.just({"initial_state": {"n": 2, "deep": {"a": []}}})}
        ),
        st.fixed_dictionaries(
            {
                "op": st.just("set_settings"),
                "set": st.sampled_from(
                    [
                        {"description": "new"},
                        {"start": "sort"},
                        {"start": None},
                        {"mode": "dag"},
                        {"mode": None},
                        {"max_parallel": 2},
                        {"permissions": {"network": ["a.example"]}},
                    ]
                ),
            }
        ),
    )


def code_edits() -> st.SearchStrategy[tuple[str, str, str]]:
    """(name, mode, code) of edits of nodes.py."""
    classes = st.sampled_from([*CLASSES, "Fresh", "Other"])
    heads = st.sampled_from(["", "import json\n", "from collections import Counter, deque\n\n", "import math\n"])
    variant = st.integers(0, 4)
    return st.one_of(
        st.tuples(classes, st.sampled_from(["add", "replace"]), heads, variant).map(
            lambda one: (one[0], one[1], one[2] + class_text(one[0], one[3]))
        ),
        st.tuples(st.sampled_from(HELPERS), st.just("replace"), variant).map(
            lambda one: (one[0], one[1], helper_text(one[0], one[2]))
        ),
        st.tuples(classes, st.just("delete"), st.just("")),
    )


@st.composite
def edited(draw: st.DrawFn, most: int = 8) -> Draft:
    """A draft with some batches, whatever of them could be carried out; without errors."""
    draft = Draft.of(NAME, {} if draw(st.integers(0, 9)) == 0 else draw(workflows()))
    for _ in range(draw(st.integers(1, most))):
        kept = draft.rev
        if draw(st.integers(0, 2)):
            draft.apply_graph(draft.rev, draw(st.lists(operations(), min_size=1, max_size=3)))
        else:
            draft.apply_source(draft.rev, *draw(code_edits()))
        if draft.base and draft.rev != kept and draft.loaded().errors and draw(st.booleans()):
            draft.back_to(kept)
    return draft
