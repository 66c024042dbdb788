"""Whole classes in nodes.py: what is written, and that nothing else changes a byte."""

from __future__ import annotations

import pytest
from draft_strategies import NAME, code_edits, sources
from hypothesis import given, settings
from hypothesis import strategies as st

from core.assistant.draft import Draft
from core.assistant.source import read_definition
from core.assistant.source_text import SourceText

CODE = '''#!/usr/bin/env python
"""Mail."""

import json
from grapheteria import Node

LIMIT = 3  # most


def clean(text):
    return json.dumps(text)


# Reads
# the mail.
@register
class Fetch(Node):
    def execute(self, prepared):
        return clean(prepared)
    # the end of it


# --- a line of its own ---

class Sort(Node):
    pass
'''


def edit(name: str, mode: str, code: str = "", text: str = CODE) -> str:
    draft = Draft.of("mail", {"nodes.py": text.encode()})
    reply = draft.apply_source(0, name, mode, code)  # type: ignore[arg-type]
    assert reply.ok, reply.to_json()
    result = draft.files["nodes.py"].decode()
    draft.back_to(0)
    assert draft.files["nodes.py"].decode() == text
    return result


def refused(name: str, mode: str, code: str = "", text: str = CODE) -> dict[str, str]:
    draft = Draft.of("mail", {"nodes.py": text.encode()})
    reply = draft.apply_source(0, name, mode, code)  # type: ignore[arg-type]
    assert not reply.ok
    assert draft.files == draft.base
    return reply.to_json()["errors"][0]


def test_a_class_is_replaced_with_its_comments_and_decorators() -> None:
    start, end = CODE.index("# Reads"), CODE.index("\n\n# --- a line")
    new = "class Fetch(Node):\n    timeout = 3"
    assert edit("Fetch", "replace", new) == CODE[:start] + new + "\n" + CODE[end:]
    assert read_definition({"nodes.py": CODE.encode()}, "nodes.py", "Fetch") == CODE[start : end - 1]


def test_a_class_is_added_below_with_its_imports_above() -> None:
    result = edit("Send", "add", "import csv\nfrom grapheteria import Node, Edge\n\n\nclass Send(Node):\n    pass\n")
    assert (
        result
        == CODE.replace(
            "import json\nfrom grapheteria import Node\n",
            "import json\nimport csv\nfrom grapheteria import Node\nfrom grapheteria import Edge\n",
        )
        + "\n\nclass Send(Node):\n    pass\n"
    )


def test_an_import_that_stood_alone_leaves_no_hole() -> None:
    text = CODE.replace("from grapheteria", "\nfrom grapheteria")
    assert edit("clean", "delete", text=text).startswith('#!/usr/bin/env python\n"""Mail."""\n\nfrom grapheteria')


def test_a_deleted_class_leaves_no_hole() -> None:
    start, end = CODE.index("# Reads"), CODE.index("# --- a line")
    assert edit("Fetch", "delete") == CODE[:start] + CODE[end:]
    assert edit("Sort", "delete") == CODE[: CODE.index("\nclass Sort")]


def test_functions_and_constants_are_definitions_too() -> None:
    assert edit("LIMIT", "replace", "LIMIT = 4") == CODE.replace("LIMIT = 3  # most", "LIMIT = 4")
    assert "def clean(text: str) -> str:" in edit("clean", "replace", "def clean(text: str) -> str:\n    return text")
    result = edit("RATE", "add", "RATE = 2")
    assert result.index("RATE = 2") < result.index("LIMIT")


def test_an_import_that_only_the_old_text_used_goes_with_it() -> None:
    assert "import json" not in edit("clean", "delete")
    assert "import json" not in edit("clean", "replace", "def clean(text):\n    return text")
    assert "from grapheteria" in edit("Fetch", "delete", text=CODE.replace("class Sort(Node)", "class Sort(object)"))


def test_a_file_begins_with_what_python_brings() -> None:
    draft = Draft.of("mail")
    imports = "from grapheteria import Node\nimport json\nfrom __future__ import annotations\n"
    assert draft.apply_source(0, "A", "add", f"{imports}\nclass A(Node):\n    x = json\n").ok
    assert draft.files["nodes.py"].decode() == (
        "from __future__ import annotations\n\nimport json\n\nfrom grapheteria import Node\n\n\n"
        "class A(Node):\n    x = json\n"
    )


def test_a_future_import_goes_above_all_others() -> None:
    result = edit("A", "add", "from __future__ import annotations\nclass A(Node): pass")
    assert result.index("from __future__") < result.index("import json")
    assert SourceText.of("nodes.py", result.encode())


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_mark_and_missing_last_line_end_stay(newline: str) -> None:
    text = "\ufeff" + CODE.rstrip("\n").replace("\n", newline)
    result = edit("Sort", "replace", "class Sort(Node):\n\tx = 1\n", text)
    assert result == text.replace(f"class Sort(Node):{newline}    pass", f"class Sort(Node):{newline}\tx = 1")
    assert edit("More", "add", "class More(Node):\n    pass\n", text).endswith(
        f"{newline}{newline}{newline}class More(Node):{newline}    pass{newline}"
    )


@pytest.mark.parametrize(
    ("name", "mode", "code", "error", "said"),
    [
        ("Fetch", "add", "class Fetch(Node): pass", "exists", 'mode "replace"'),
        ("json", "add", "class json(Node): pass", "exists", "imports another"),
        ("Fetsh", "replace", "class Fetsh(Node): pass", "E104", "Did you mean 'Fetch'?"),
        ("Gone", "delete", "", "E104", "no 'Gone'"),
        ("A", "add", "class B(Node): pass", "code", "defines 'B', not 'A'"),
        ("A", "add", "class A(Node): pass\nclass B(Node): pass", "code", "more than 'A'"),
        ("A", "add", "class A(Node): pass\nprint(1)", "code", "other statements"),
        ("A", "add", "class A(Node): pass\nimport os", "code", "stand first"),
        ("A", "add", "import os; class A: pass", "E109", "Not Python"),
        ("A", "add", "class A(Node):\n    def f(self):\n        return (1\n", "E109", "code:3"),
        ("A", "add", "```python\nclass A(Node): pass\n```", "E109", "code:1"),
        ("A", "add", "class A(Node):\n    x = '\0'", "E109", "Not Python"),
        ("A", "add", "class A(Node):\n    x = '\ud800'", "code", "Unicode"),
        ("A", "add", "   ", "code", "no code"),
        ("A", "add", "class A:\n    x = " + "(" * 500 + ")" * 500, "E109", "Not Python"),
        ("A", "add", "x" * 300_000, "limit", "more than"),
        ("A", "add", "import csv as json\nclass A(Node): pass", "exists", "something else"),
        ("A", "add", "from x import clean\nclass A(Node): pass", "exists", "itself"),
        ("not a name", "add", "class A: pass", "name", "is not a name"),
        ("A", "append", "class A: pass", "mode", "add, replace or delete"),
    ],
)
def test_what_can_not_be_done_is_said(name: str, mode: str, code: str, error: str, said: str) -> None:
    problem = refused(name, mode, code)
    assert problem["code"] == error
    assert said in " ".join(problem.values())


def test_code_that_can_not_be_read_or_shares_lines_is_left_to_people() -> None:
    assert refused("A", "add", "class A: pass", text="def broken(:\n")["code"] == "E109"
    assert refused("A", "delete", text="B = 2; A = 1\n")["code"] == "line"
    draft = Draft.of("mail", {"nodes.py": b"\xff\xfe"})
    assert draft.apply_source(0, "A", "add", "class A: pass").errors[0].code == "E112"
    assert draft.apply_source(0, "A", "add", "class A: pass", file="../evil.py").errors[0].code == "path"
    assert draft.apply_source(0, "A", "add", "class A: pass", file="backups/evil.py").errors[0].code == "path"
    assert draft.apply_source(0, "A", "add", "class A: pass", file="data.json").errors[0].code == "path"


def test_of_a_name_that_is_bound_twice_the_last_is_meant() -> None:
    text = "class A:\n    x = 1\n\n\nclass A:\n    x = 2\n"
    assert edit("A", "replace", "class A:\n    x = 3", text) == text.replace("2", "3")


@settings(max_examples=60, deadline=None)
@given(sources(), code_edits())
def test_no_byte_outside_of_the_class_changes(content: bytes, wanted: tuple[str, str, str]) -> None:
    name, mode, code = wanted
    draft = Draft.of(NAME, {"nodes.py": content})
    if not draft.apply_source(0, name, mode, code).ok:  # type: ignore[arg-type]
        assert draft.files == draft.base
        return
    before, after = SourceText.of("nodes.py", content), SourceText.of("nodes.py", draft.files["nodes.py"])
    assert (before.mark, before.newline) == (after.mark, after.newline)
    kept = {item.name: before.text_of(item) for item in before.definitions if item.name != name}
    assert {item.name: after.text_of(item) for item in after.definitions if item.name != name} == kept
    # The order of all that stays, byte for byte, but for imports and blank lines.
    assert _rest(before, name) == _rest(after, name)
    assert after.last(name) is not None or mode == "delete"


def _rest(source: SourceText, name: str) -> list[str]:
    text = source.text
    item = source.last(name)
    if item is not None:
        text = text[: item.start] + text[item.end :]
    lines = text.splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("import ", "from "))]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=80))
def test_any_file_and_any_code_get_an_answer(content: bytes, code: str) -> None:
    draft = Draft.of(NAME, {"nodes.py": content})
    reply = draft.apply_source(0, "A", "add", f"class A:\n    {code}")
    assert reply.ok or draft.files == draft.base
