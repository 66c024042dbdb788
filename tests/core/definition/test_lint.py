"""What lint says of a broken workflow: one test a code, each with the place it points at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import core.definition.lint
from core.definition.finding import Finding
from core.definition.load import load_folder

MakeFolder = Callable[..., Path]


def node(node_id: Any, class_name: Any = "First", **more: Any) -> dict[str, Any]:
    return {"id": node_id, "class": class_name, **more}


def edge(from_id: str, to_id: str, condition: str | None = None) -> dict[str, Any]:
    return {"from": from_id, "to": to_id} | ({"condition": condition} if condition is not None else {})


def findings(folder: Path) -> list[Finding]:
    return load_folder(folder).findings


def only(folder: Path, code: str) -> Finding:
    """The one finding there is."""
    found = findings(folder)
    assert [finding.code for finding in found] == [code]
    expected = {"E": "error", "W": "warning", "N": "note"}[code[0]]
    assert found[0].severity == expected
    return found[0]


def place(folder: Path, finding: Finding) -> str:
    """The text that a finding points at, to the end of its line."""
    lines = (folder / finding.file).read_text().split("\n")
    return lines[finding.line - 1][finding.column - 1 :]


@pytest.mark.parametrize(
    ("text", "line", "column", "hint"),
    [
        ('{"nodes": [\n  1,\n]}', 3, 1, "comma"),
        ('{\n  "nodes": []\n  "edges": []}', 3, 3, "comma"),
        ("{'nodes': []}", 1, 2, "double quotes"),
        ('{"nodes": [] // none\n}', 1, 14, "comments"),
        ('{"nodes": NaN}', 1, 11, ""),
        ('{"a": 1' + "0" * 5000 + "}", 1, 7, ""),
        ('{"a": 1e999}', 1, 2, ""),
        ('{"a": ["\\ud800"]}', 1, 8, ""),
        ('{"a": 18446744073709551616}', 1, 2, ""),
        ("", 1, 1, ""),
        ('{"a": 1} x', 1, 10, ""),
    ],
)
def test_e101_json_syntax_names_line_and_column(
    make_folder: MakeFolder, text: str, line: int, column: int, hint: str
) -> None:
    finding = only(make_folder({"demo.json": text}), "E101")
    assert (finding.file, finding.line, finding.column) == ("demo.json", line, column)
    assert hint in finding.hint


def test_e101_speaks_of_tools_json_too(make_folder: MakeFolder) -> None:
    assert only(make_folder({"tools.json": "{"}), "E101").file == "tools.json"


@pytest.mark.parametrize(
    ("graph", "said", "points_at"),
    [
        ({"nodes": [node("a"), {"id": "b"}], "edges": []}, "nodes[1] lacks the key 'class'", "{"),
        ({"nodes": {"a": {}}}, "nodes must be a list", '"nodes"'),
        ({"nodes": ...}, "The document lacks the key 'nodes'", "{"),
        ({"start": 1.5}, "start must be text", '"start"'),
        ({"mode": "loop"}, "mode must be 'machine' or 'dag'", '"mode"'),
        ({"initial_state": []}, "initial_state must be an object", '"initial_state"'),
        ({"nodes": [node("a"), node("b", retry={"attempts": 0})]}, "nodes[1].retry.attempts must be", '"attempts"'),
        ({"nodes": [node("a"), node("b", retry={"attempts": True})]}, "retry.attempts must be a whole", '"attempts"'),
        ({"nodes": [node("a"), node("b", timeout=0)]}, "nodes[1].timeout must be greater than 0", '"timeout"'),
        ({"nodes": [node("a"), node("b", on_error="explode")]}, "nodes[1].on_error must be fail", '"on_error"'),
        ({"nodes": [node("a"), node("b", effects="destroy")]}, "nodes[1].effects must be", '"effects"'),
        ({"nodes": [node("a"), node("b", ["First"])]}, "nodes[1].class must be text", '"class"'),
        ({"nodes": [node("a"), node("")]}, "nodes[1].id must not be empty", '"id"'),
        ({"nodes": [node("a"), node("x\x1b")]}, "nodes[1].id must not contain control", '"id"'),
        ({"nodes": [node("a"), node("b", config=[])]}, "nodes[1].config must be an object", '"config"'),
        ({"edges": [edge("a", "b"), {"from": "a"}]}, "edges[1] lacks the key 'to'", "{"),
        ({"edges": [edge("a", "b") | {"condition": True}]}, "edges[0].condition must be text", '"condition"'),
        ({"files": ["a", 3]}, "files[1] must be text", "3"),
        ({"permissions": {"network": "all"}}, "permissions.network must be a list", '"network"'),
    ],
)
def test_e102_names_the_key_and_points_at_it(
    make_folder: MakeFolder, graph: dict[str, Any], said: str, points_at: str
) -> None:
    folder = make_folder({"a": ""}, graph=graph)
    finding = only(folder, "E102")
    assert said in finding.message
    assert place(folder, finding).startswith(points_at)


def test_e102_names_the_node_where_it_has_an_id(make_folder: MakeFolder) -> None:
    finding = only(make_folder(graph={"nodes": [node("a"), {"id": "b"}]}), "E102")
    assert finding.node == "b"


@pytest.mark.parametrize("text", ["[]", "3", '"nodes"', "null", "true"])
def test_e102_a_document_that_is_no_object(make_folder: MakeFolder, text: str) -> None:
    assert only(make_folder({"demo.json": text}), "E102").line == 1


def test_e103_no_nodes(make_folder: MakeFolder) -> None:
    folder = make_folder(graph={"nodes": [], "edges": []})
    assert place(folder, only(folder, "E103")).startswith('"nodes"')
    assert load_folder(folder).graph is None


def test_e104_unknown_class_with_the_one_that_was_meant(make_folder: MakeFolder) -> None:
    folder = make_folder(graph={"nodes": [node("a"), node("b", "Secnod")]})
    finding = only(folder, "E104")
    assert (finding.node, finding.hint) == ("b", "Did you mean 'Second'?")
    assert place(folder, finding) == '"class": "Secnod"'


def test_e104_says_where_a_class_is_that_nobody_imports(make_folder: MakeFolder) -> None:
    helper = "from grapheteria import Node\nclass Third(Node): pass\n"
    finding = only(make_folder({"helper.py": helper}, graph={"nodes": [node("a", "Third")], "edges": []}), "E104")
    assert finding.hint == "It is in helper.py; import it in nodes.py."


def test_e105_edges_from_and_to_nowhere(make_folder: MakeFolder) -> None:
    folder = make_folder(graph={"edges": [edge("a", "b"), edge("a", "bb", "1"), edge("x" * 9, "a")]})
    found = findings(folder)
    assert [finding.code for finding in found] == ["E105", "E105"]
    assert [place(folder, finding)[:6] for finding in found] == ['"to": ', '"from"']
    assert found[0].hint == "Did you mean 'b'?"
    assert found[1].hint == "Name a node that is there."
    graph = load_folder(folder).graph
    assert graph is not None
    assert [(line.from_id, line.to_id) for line in graph.edges] == [("a", "b")]


def test_e105_on_error_that_goes_nowhere(make_folder: MakeFolder) -> None:
    found = findings(make_folder(graph={"nodes": [node("a", on_error="goto:c"), node("b")]}))
    assert [finding.code for finding in found] == ["E105"]


def test_e106_two_nodes_with_one_id(make_folder: MakeFolder) -> None:
    folder = make_folder(graph={"nodes": [node("a"), node("b"), node("a", "Second")]})
    finding = only(folder, "E106")
    assert finding.node == "a"
    assert finding.line > 8  # the second of the two
    graph = load_folder(folder).graph
    assert graph is not None
    assert graph.nodes["a"].class_name == "First"


def test_e107_start_names_no_node(make_folder: MakeFolder) -> None:
    folder = make_folder(graph={"start": "aa"})
    finding = only(folder, "E107")
    assert place(folder, finding).startswith('"start"')
    assert finding.hint == "Did you mean 'a'?"


@pytest.mark.parametrize(
    "condition",
    ["shared['n'] >", "n = 1", "import os", "shared['a'] == '\x1b'", "(" * 300, "a" * 20_000, "-" * 9_000 + "1"],
)
def test_e108_condition_that_is_no_expression(make_folder: MakeFolder, condition: str) -> None:
    folder = make_folder(graph={"edges": [edge("a", "b", condition)]})
    finding = only(folder, "E108")
    assert finding.node == "a"
    assert place(folder, finding).startswith('"condition"')


def test_conditions_that_python_takes_are_taken(make_folder: MakeFolder) -> None:
    conditions = ["True", "  shared['n'] > 0  ", "any(x for x in shared['a'])", "(1\n)", ""]
    folder = make_folder(graph={"edges": [edge("a", "b", condition) for condition in conditions]})
    assert findings(folder) == []


def test_e109_python_syntax_error_in_any_file(make_folder: MakeFolder) -> None:
    folder = make_folder({"nodes.py": "class First(:\n", "lib/inner.py": "x = 1\n\n  y = 2\n"})
    found = findings(folder)
    assert [(finding.code, finding.file, finding.line) for finding in found] == [
        ("E109", "lib/inner.py", 3),
        ("E109", "nodes.py", 1),
    ]
    assert found[1].column == 13


def test_e110_nodes_py_is_missing(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "nodes.py").unlink()
    finding = only(folder, "E110")
    assert finding.file == "nodes.py"
    assert load_folder(folder).graph is not None


@pytest.mark.parametrize(
    "code",
    [
        "class First: pass",
        "class First(dict): pass",
        "from enum import Enum\nclass First(Enum): pass",
        "class Base: pass\nclass First(Base): pass",
        "class First(First): pass",
        "class First(Second): pass\nclass Second(First): pass",
        "from collections import OrderedDict as First",
        "import json as First",
        "class First(Node): pass",
        "from lib import First",
    ],
)
def test_e111_class_that_is_no_node(make_folder: MakeFolder, code: str) -> None:
    folder = make_folder({"nodes.py": code, "lib.py": "class First: pass"}, graph={"nodes": [node("a")], "edges": []})
    finding = only(folder, "E111")
    assert place(folder, finding) == '"class": "First"'


@pytest.mark.parametrize(
    "code",
    [
        "import grapheteria\nclass First(grapheteria.Node): pass",
        "from grapheteria import Node as Base\nclass First(Base): pass",
        "from core.sdk import BaseNode\nclass Middle(BaseNode): pass\nclass First(Middle): pass",
        "from lib import Inner\nclass First(Inner): pass",
        "import lib\nclass First(lib.Inner): pass",
        "import package.deep\nclass First(package.deep.Deep): pass",
        "from package import deep as d\nclass First(d.Deep): pass",
        "from package import Deep\nclass First(Deep): pass",
        "from lib import *\nclass First(Inner): pass",
        "from lib import Inner as First",
        "import lib",
        "from typing import Generic, TypeVar\nfrom grapheteria import Node\n"
        "class Generics(Node, Generic[TypeVar('T')]): pass\nclass First(Generics[int]): pass",
        "try:\n    from grapheteria import Node\nexcept ImportError:\n    from core.sdk import Node\n"
        "class First(Node): pass",
        "from grapheteria import Node\nif True:\n    class First(Node): pass",
        "from grapheteria import *\nclass First(Node): pass",
        "def make(): ...\nclass First(make()): pass",
    ],
)
def test_classes_that_are_nodes_in_roundabout_ways_are_found(make_folder: MakeFolder, code: str) -> None:
    base = "from grapheteria import Node\n"
    files = {
        "nodes.py": code,
        "lib.py": base + "class Inner(Node): pass\nclass First(Node): pass\n",
        "package/__init__.py": "from .deep import Deep\n",
        "package/deep.py": base + "class Deep(Node): pass\n",
    }
    folder = make_folder(files, graph={"nodes": [node("a")], "edges": []})
    assert findings(folder) == []
    assert load_folder(folder).code.class_of("First") is not None or "as First" in code


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc/hostname", "absolute"),
        ("../other/x", "leaves"),
        ("a/../../x", "leaves"),
        ("missing.csv", "not there"),
        (".env", "never belongs"),
        ("output/x", "never belongs"),
        ("a/.git/x", "never belongs"),
        ("a\0b", "not a path"),
        ("", "not a path"),
        (".", "not a file"),
        ("link.txt", "leaves"),
    ],
)
def test_e113_listed_files_outside_or_missing(make_folder: MakeFolder, tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "secret").write_text("password")
    folder = make_folder({"good.txt": "x", ".env": "KEY=1"}, graph={"files": ["good.txt", path]})
    (folder / "link.txt").symlink_to(tmp_path / "secret")
    finding = only(folder, "E113")
    assert said in finding.message
    assert place(folder, finding) == json.dumps(path)
    loaded = load_folder(folder)
    assert loaded.version is None
    assert loaded.files["good.txt"] == b"x"
    assert not any(b"password" in content for content in loaded.files.values())


def test_e112_a_listed_folder(make_folder: MakeFolder) -> None:
    finding = only(make_folder({"data/x": ""}, graph={"files": ["data"]}), "E112")
    assert "'data'" in finding.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[" * 100_000 + "]" * 100_000, 1),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, 1),
        ('{"initial_state":\n' + "[" * 150 + "]" * 150 + "}", 2),
        ('{"nodes": [],\n "nodes": []}', 2),
        ('{"nodes": [{"id": "a", "class": "First",\n"config": {"x": [1, {"k": 1, "\\u006b": 2}]}}]}', 2),
        (" " * (1024 * 1024 + 1), 0),
        ('{"nodes": [' + "{}," * 5_000 + "{}]}", 1),
    ],
)
def test_e114_json_that_is_too_deep_too_large_or_ambiguous(make_folder: MakeFolder, text: str, line: int) -> None:
    finding = only(make_folder({"demo.json": text}), "E114")
    assert (finding.file, finding.line) == ("demo.json", line)


def test_e115_a_dag_with_a_cycle(make_folder: MakeFolder) -> None:
    nodes = [node(node_id) for node_id in "abcde"]
    edges = [edge("a", "b"), edge("b", "c"), edge("c", "d"), edge("d", "b"), edge("d", "e"), edge("a", "e")]
    cycle = only(make_folder(graph={"mode": "dag", "nodes": nodes, "edges": edges}), "E115")
    names = re.findall("'(.)'", cycle.message)
    assert names[0] == names[-1]
    assert set(names) == {"b", "c", "d"}
    assert all((names[i], names[i + 1]) in {("b", "c"), ("c", "d"), ("d", "b")} for i in range(3))
    straight = make_folder(name="straight", graph={"mode": "dag", "nodes": nodes, "edges": [*edges[:3], edges[5]]})
    assert findings(straight) == []


def test_e119_in_a_dag_an_error_leads_to_no_other_node(make_folder: MakeFolder) -> None:
    nodes = [node("a", on_error="goto:b"), node("b")]
    folder = make_folder(graph={"mode": "dag", "nodes": nodes, "edges": []})
    found = next(finding for finding in findings(folder) if finding.code == "E119")
    assert found.node == "a" and "fail, skip or ask" in found.hint


@pytest.mark.parametrize(("start", "found"), [("a", []), ("b", ["W208"]), (None, [])])
def test_w208_a_dag_begins_where_no_edge_leads_whatever_start_says(
    make_folder: MakeFolder, start: str | None, found: list[str]
) -> None:
    graph = {"mode": "dag", "nodes": [node("a"), node("b")], "edges": [edge("a", "b")], "start": start}
    assert [finding.code for finding in findings(make_folder(graph=graph))] == found


def test_w209_what_only_a_dag_understands_is_named_in_a_machine(make_folder: MakeFolder) -> None:
    graph = {"nodes": [node("a", priority=2)], "edges": [], "max_parallel": 3, "reducers": {"x": "append"}}
    found = findings(make_folder(graph=graph))
    assert [finding.code for finding in found] == ["W209"] * 3
    assert {finding.message.split()[0] for finding in found} == {"priority", "max_parallel", "reducers"}


def test_w210_one_at_a_time_and_several_at_once(make_folder: MakeFolder) -> None:
    graph = {"mode": "dag", "nodes": [node("a")], "edges": [], "strategy": "sequential", "max_parallel": 3}
    assert "max_parallel is 3" in only(make_folder(graph=graph), "W210").message


def test_n303_a_dag_node_whose_code_chooses_the_next(make_folder: MakeFolder) -> None:
    code = "from core.sdk import Node\n\nclass Chooser(Node):\n    def cleanup(self, *seen):\n        self.goto('b')\n"
    nodes = [{"id": "a", "class": "Chooser"}, {"id": "b", "class": "Chooser"}]
    graph = {"mode": "dag", "nodes": nodes, "edges": [edge("a", "b")]}
    found = findings(make_folder({"nodes.py": code}, graph=graph))
    assert {finding.code for finding in found} == {"N303"}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("strategy", "eager", "strategy must be"),
        ("max_parallel", 0, "max_parallel must be"),
        ("max_parallel", "2", "max_parallel must be a whole number"),
        ("fail_fast", "yes", "fail_fast must be true or false"),
        ("reducers", {"results": "sum"}, "reducers.results must be 'append', 'merge' or 'last'"),
        ("reducers", {"a..b": "append"}, "keys of the state"),
        ("reducers", ["results"], "reducers must be an object"),
    ],
)
def test_e102_keys_of_a_dag_with_wrong_values(make_folder: MakeFolder, key: str, value: object, said: str) -> None:
    found = only(make_folder(graph={"mode": "dag", "nodes": [node("a")], key: value}), "E102")
    assert said in found.message and found.line > 0


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ([], "must be an object"),
        (True, "must be an object"),
        ({"type": "array"}, "must describe an object"),
        ({"properties": {"n": {"type": "integr"}}}, "not a JSON Schema"),
        ({"properties": {"n": {"$ref": "https://example.com/x.json"}}}, "only references that begin with #"),
        ({"properties": {"n": {"$ref": "#/$defs/none"}}}, "leads nowhere"),
        ({"properties": {"n": {"pattern": "("}}}, "is not a 'regex'"),
        ({"patternProperties": {"*": {}}}, "is not a 'regex'"),
        ({"properties": {"n": {"pattern": "a{99999999999999999999}"}}}, "too large"),
    ],
)
def test_e117_inputs_that_are_no_schema(make_folder: MakeFolder, schema: Any, said: str) -> None:
    finding = only(make_folder(graph={"inputs": schema}), "E117")
    assert said in finding.message


def test_inputs_that_use_references_are_taken(make_folder: MakeFolder) -> None:
    schema = {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"default": {"$ref": "x"}}}}
    assert findings(make_folder(graph={"inputs": schema})) == []


def test_w201_unreachable_node_unless_the_code_goes_there(make_folder: MakeFolder) -> None:
    graph = {"nodes": [node("a"), node("b", "Second"), node("c", "Third")], "edges": [edge("a", "b")]}
    third = "class Third(Node): pass\n"
    head = "from grapheteria import Node\nclass First(Node):\n    def execute(self, p):\n        "
    cases = {
        "return 1": ["W201"],
        "self.goto('c')": [],
        "self.goto('c' if p else 'a')": [],
        "self.goto(p)": [],
        "self.goto(node_id='c')": [],
    }
    for line, expected in cases.items():
        folder = make_folder({"nodes.py": f"{head}{line}\nclass Second(Node): pass\n{third}"}, graph=graph)
        found = findings(folder)
        assert [finding.code for finding in found] == expected, line
        assert all(finding.node == "c" and place(folder, finding).startswith('"id"') for finding in found)


def test_w201_follows_goto_in_a_base_class_and_on_error(make_folder: MakeFolder) -> None:
    code = "from grapheteria import Node\nfrom lib import Jumper\nclass First(Jumper): pass\nclass Second(Node): pass\n"
    lib = "from grapheteria import Node\nclass Jumper(Node):\n    def cleanup(self, s, p, r): self.goto('b')\n"
    assert findings(make_folder({"nodes.py": code, "lib.py": lib}, graph={"edges": []})) == []
    by_error = make_folder(name="other", graph={"nodes": [node("a", on_error="goto:b"), node("b")], "edges": []})
    assert findings(by_error) == []


def test_w201_and_w202_know_an_agent_by_what_it_returns(make_folder: MakeFolder) -> None:
    code = (
        "from core.sdk import BaseNode\n"
        "class First(BaseNode):\n"
        "    def __init__(self, node_id):\n"
        "        super().__init__(node_id, {kind!r})\n"
        "    async def execute(self, state):\n"
        "        return 'b' if state else 'c'\n"
        "class Second(BaseNode): pass\n"
    )
    nodes = [node("a"), node("b", "Second"), node("c", "Second")]
    for kind, edges, expected in (
        ("agent", [], []),
        ("agent", [edge("a", "b"), edge("a", "c")], []),
        ("task", [], ["W201", "W201"]),
        ("task", [edge("a", "b"), edge("a", "c")], ["W202"]),
    ):
        folder = make_folder({"nodes.py": code.format(kind=kind)}, graph={"nodes": nodes, "edges": edges})
        assert [finding.code for finding in findings(folder)] == expected
    by_attribute = code.replace(
        "    def __init__(self, node_id):\n        super().__init__(node_id, {kind!r})\n",
        "    node_type: str = {kind!r}\n",
    )
    for kind, expected in (("agent", []), ("task", ["W201", "W201"])):
        folder = make_folder({"nodes.py": by_attribute.format(kind=kind)}, graph={"nodes": nodes, "edges": []})
        assert [finding.code for finding in findings(folder)] == expected
    nodes[0]["config"] = {"node_type": "agent"}
    folder = make_folder({"nodes.py": code.format(kind="task")}, graph={"nodes": nodes, "edges": []})
    assert findings(folder) == []


def test_w202_several_default_edges(make_folder: MakeFolder) -> None:
    nodes = [node("a"), node("b"), node("c")]
    folder = make_folder(graph={"nodes": nodes, "edges": [edge("a", "b"), edge("a", "c", " ")]})
    finding = only(folder, "W202")
    assert finding.node == "a"
    assert place(folder, finding) == "{"
    assert finding.line == 21


def test_w203_unknown_keys_everywhere(make_folder: MakeFolder) -> None:
    graph = {
        "nodes": [node("a", retry={"attempt": 2}), node("b", positoin=1) | {"class_name": "x"}],
        "edges": [edge("a", "b") | {"label": "x"}],
        "permissions": {"networks": []},
        "strat": "a",
    }
    folder = make_folder(graph=graph)
    found = findings(folder)
    assert {finding.code for finding in found} == {"W203"}
    keys = [re.findall("'(.*?)'", finding.message)[0] for finding in found]
    assert keys == [
        "attempt",
        "positoin",
        "class_name",
        "label",
        "networks",
        "strat",
    ]
    assert all(place(folder, finding).startswith(f'"{key}"') for key, finding in zip(keys, found, strict=True))
    assert found[0].hint == "Did you mean 'attempts'?"
    assert found[-1].hint == "Did you mean 'start'?"
    assert load_folder(folder).runnable


def test_what_a_node_may_do_about_errors_and_time_is_checked(make_folder: MakeFolder) -> None:
    fine = node("a", timeout=3, on_error="ask", retry={"attempts": 3, "wait": 1, "jitter": 0.5, "max_wait": 9})
    assert findings(make_folder(graph={"nodes": [fine, node("b", on_error="goto:a")]})) == []
    wrong = {
        "on_error": ["retry", "goto:", "goto", 3],
        "timeout": [0, -1, "9"],
        "retry": [{"jitter": 1.5}, {"jitter": -0.1}, {"max_wait": -1}, {"backoff": 0}],
    }
    for key, values in wrong.items():
        for number, value in enumerate(values):
            folder = make_folder(name=f"{key}{number}", graph={"nodes": [node("a", **{key: value}), node("b")]})
            assert [finding.code for finding in findings(folder)] == ["E102"], (key, value)


def test_w205_code_that_goes_to_no_node(make_folder: MakeFolder) -> None:
    code = (
        "from grapheteria import Node\nclass First(Node):\n"
        "    def execute(self, p): self.goto('bb')\nclass Second(Node): pass\n"
    )
    finding = only(make_folder({"nodes.py": code}), "W205")
    assert (finding.file, finding.line, finding.hint) == ("nodes.py", 2, "Did you mean 'b'?")


def test_w207_relative_imports_above_the_folder(make_folder: MakeFolder) -> None:
    code = "from grapheteria import Node\nfrom .lib import First\nclass Second(Node): pass\n"
    lib = "from grapheteria import Node\nclass First(Node): pass\n"
    finding = only(
        make_folder({"nodes.py": code, "lib.py": lib, "p/__init__.py": "from . import q", "p/q.py": ""}), "W207"
    )
    assert (finding.file, finding.line) == ("nodes.py", 2)


@pytest.mark.parametrize(
    "code",
    [
        "from somewhere import First",
        "First = make()",
        "from somewhere import *",
        "import x\nFirst = x.First",
        "def First(): ...",
    ],
)
def test_n301_class_from_elsewhere_can_not_be_checked(make_folder: MakeFolder, code: str) -> None:
    folder = make_folder({"nodes.py": code}, graph={"nodes": [node("a"), node("b")]})
    assert only(folder, "N301").node == "a"
    assert load_folder(folder).runnable


def test_a_flood_of_findings_is_cut_and_never_hides_an_error(make_folder: MakeFolder) -> None:
    keys = {f"k{number}": 1 for number in range(300)}
    nodes = [node("a", "Nothing", **keys), *(node(f"n{number}", f"Missing{number}") for number in range(2_000))]
    found = findings(make_folder(graph={"nodes": nodes, "edges": []}))
    counts = {severity: sum(finding.severity == severity for finding in found) for severity in ("error", "warning")}
    assert counts == {"error": 100, "warning": 50}
    assert [finding.message for finding in found if finding.code == "N302"] == [
        "1901 more errors are not listed.",
        "2250 more warnings are not listed.",
    ]
    assert found[0].code == "E104"


def test_messages_are_safe_to_print_and_short(make_folder: MakeFolder) -> None:
    ugly = "\x1b]0;x\x07\u202e" + "y" * 5_000
    graph = {"nodes": [node("a", ugly), node("b")], ugly: 1, "edges": [edge("a", ugly, ugly)], "files": [ugly]}
    for finding in findings(make_folder(graph=graph)):
        for text in (finding.message, finding.hint, finding.node or "", finding.file):
            assert text.isprintable()
            assert len(text) <= 300


def test_every_code_is_in_the_table() -> None:
    text = core.definition.lint.__doc__ or ""
    table = set(re.findall(r"^\| ([EWN]\d{3}) ", text, re.MULTILINE))
    folder = Path(core.definition.lint.__file__).parent
    used = {code for file in folder.glob("*.py") for code in re.findall(r'"([EWN]\d{3})"', file.read_text())}
    assert used == table


def test_a_workflow_that_only_runs_others_needs_no_code(make_folder: MakeFolder) -> None:
    graph = {"start": "a", "nodes": [{"id": "a", "subflow": "other"}], "edges": []}
    folder = make_folder(graph=graph)
    (folder / "nodes.py").unlink()
    assert [finding.code for finding in findings(folder) if finding.severity == "error"] == []
