"""What a model is told: small, true, in a fixed order, and no larger for a workflow with more code."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
from pathlib import Path

import pytest
from scripted import Conversation, graph, plan

from core.assistant.api_notes import NOTES, notes_for
from core.assistant.marking import data_block
from core.assistant.memory import Memory, Mode
from core.assistant.prompts import RESULTS_KEPT, WORDS_KEPT, lay_out, system_prompt
from core.assistant.tool_specs import tools_of
from core.definition.load import load_sources
from core.llm.messages import Message, ModelMessage, ModelRequest, ToolCall, ToolResult, UserMessage, message_to_json
from core.sdk import Node

WRITE = os.environ.get("RONDO_GOLDEN") == "write"
PROMPTS = Path(__file__).parent / "prompts"
MODES: tuple[Mode, ...] = ("ask", "propose", "auto")

# Characters, rounded up a little: whoever needs more says why in the commit that raises them.
SYSTEM_LIMIT = {"ask": 4_400, "propose": 5_300, "auto": 5_400}
TOOLS_LIMIT = {"ask": 1_900, "propose": 5_500, "auto": 5_500}


def _tools_size(mode: Mode) -> int:
    return sum(
        len(json.dumps({"name": tool.name, "description": tool.description, "input_schema": tool.schema}))
        for tool in tools_of(mode)
    )


@pytest.mark.parametrize("mode", MODES)
def test_what_a_model_is_told_changes_on_purpose_only(mode: Mode) -> None:
    """RONDO_GOLDEN=write writes the texts; whoever does that reads the difference."""
    tools = [{"name": tool.name, "description": tool.description, "schema": tool.schema} for tool in tools_of(mode)]
    for path, text in (
        (PROMPTS / f"{mode}.txt", system_prompt(mode)),
        (PROMPTS / f"{mode}_tools.json", json.dumps(tools, indent=1) + "\n"),
    ):
        if WRITE:
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("mode", MODES)
def test_the_system_text_stays_small(mode: Mode) -> None:
    assert len(system_prompt(mode)) <= SYSTEM_LIMIT[mode]


@pytest.mark.parametrize("mode", MODES)
def test_the_tools_stay_small(mode: Mode) -> None:
    assert _tools_size(mode) <= TOOLS_LIMIT[mode]


def test_there_are_nine_tools_and_in_mode_ask_none_that_changes() -> None:
    assert len(tools_of("propose")) == 9
    assert {tool.name for tool in tools_of("ask")} == {
        "read_workflow",
        "read_node_source",
        "search_node_types",
        "validate",
        "ask_user",
    }


@pytest.mark.parametrize("mode", MODES)
def test_the_schemas_of_the_tools_are_json_schemas(mode: Mode) -> None:
    import jsonschema

    for tool in tools_of(mode):
        jsonschema.Draft202012Validator.check_schema(tool.schema)
        assert tool.schema["type"] == "object"


def test_what_the_texts_say_of_nodes_is_there() -> None:
    text = system_prompt("propose") + "".join(note.text for note in NOTES)
    names = set(re.findall(r"self\.([a-z_]+)", text)) - {"one", "config"}
    assert {"map", "goto", "wait_for", "wait_until", "run_workflow", "output_dir", "idempotency_key"} <= names
    assert sorted(name for name in names if not hasattr(Node, name)) == []


def test_the_class_in_the_system_text_is_a_workflow_that_loads() -> None:
    lines = system_prompt("propose").splitlines()
    start = lines.index("    from grapheteria import Node")
    end = next(number for number in range(start, len(lines)) if lines[number].startswith("Each phase"))
    code = "\n".join(line[4:] for line in lines[start:end])
    ast.parse(code)
    document = {"nodes": [{"id": "fetch", "class": "Fetch", "config": {"limit": 1}}]}
    loaded = load_sources("w", {"nodes.py": code.encode(), "w.json": json.dumps(document).encode()})
    assert loaded.runnable, loaded.findings


def test_the_fields_that_the_texts_name_are_those_of_the_graph() -> None:
    from core.definition.model import NodeModel, RetryModel, WorkflowModel

    text = system_prompt("propose")
    of_node = {field.alias or name for name, field in NodeModel.model_fields.items()}
    of_workflow = set(WorkflowModel.model_fields) - {"name", "assumptions"}
    for name in [*of_node, *of_workflow, *RetryModel.model_fields]:
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.title)
def test_each_note_is_found_by_its_own_words(note: object) -> None:
    assert any(found is note for found in notes_for(NOTES[NOTES.index(note)].title))  # type: ignore[arg-type]


def test_nothing_is_found_for_words_that_mean_nothing_here() -> None:
    assert notes_for("zebra quux") == []


# The layout -------------------------------------------------------------------------------------------------------


def _texts(messages: tuple[Message, ...]) -> list[str]:
    return [message.text for message in messages]


def test_classes_and_outline_come_before_the_first_words() -> None:
    memory = Memory("w", messages=[UserMessage("hello")])
    (first,) = lay_out(memory, "CLASSES", "OUTLINE")
    assert first.text.index("CLASSES") < first.text.index("OUTLINE") < first.text.index("hello")


def test_of_earlier_turns_words_remain_and_neither_results_nor_run_data() -> None:
    memory = Memory("w")
    memory.begin_turn()
    memory.messages += [
        UserMessage(f"Why?\n\n{data_block(memory.boundary, 'run 7', 'secret words')}"),
        ModelMessage("", (ToolCall("1", "read_node_source", {"class": "Fetch"}),), opaque={"signature": "s"}),
        ToolResult("1", "read_node_source", "class Fetch: ..."),
        ModelMessage("Because."),
    ]
    memory.begin_turn()
    memory.messages.append(UserMessage("And now?"))
    messages = lay_out(memory, "", "")
    assert [type(message) for message in messages] == [UserMessage, ModelMessage, UserMessage]
    whole = "\n".join(_texts(messages))
    assert "secret words" not in whole and "class Fetch" not in whole
    assert "[run 7: left out]" in whole and "Because." in whole
    assert messages[2].text == "[Before this the assistant used: read_node_source (Fetch)]\n\nAnd now?"


def test_users_and_models_take_turns_even_after_failures() -> None:
    memory = Memory("w")
    for words in ("one", "two", "three"):
        memory.begin_turn()
        memory.messages.append(UserMessage(words))
    kinds = [type(message) for message in lay_out(memory, "", "")]
    assert kinds == [UserMessage, ModelMessage, UserMessage]


def test_a_long_turn_leaves_old_results_out_and_keeps_the_beginning_stable() -> None:
    memory = Memory("w")
    memory.begin_turn()
    memory.messages.append(UserMessage("go"))
    shapes = []
    for number in range(12):
        memory.messages.append(ModelMessage("", (ToolCall(str(number), "read_node_source", {"class": "A"}),)))
        memory.messages.append(ToolResult(str(number), "read_node_source", f"{number} " + "x" * 15_000))
        messages = lay_out(memory, "", "")
        results = [message.text for message in messages if isinstance(message, ToolResult)]
        assert sum(map(len, results)) <= RESULTS_KEPT + 16_000
        assert len(results[-1]) > 15_000, "the newest result is always whole"
        shapes.append(tuple(text[:20] for text in results))
    changed = sum(new[: len(old)] != old for old, new in itertools.pairwise(shapes))
    assert changed <= 3, "what a provider keeps is void only where the limit is passed"


def test_of_a_long_conversation_the_end_is_sent() -> None:
    memory = Memory("w")
    starts = []
    for number in range(100):
        memory.begin_turn()
        memory.messages += [UserMessage(f"question {number} " + "x" * 1000), ModelMessage(f"answer {number}")]
        messages = lay_out(memory, "", "")
        assert sum(map(len, _texts(messages))) < WORDS_KEPT + 5_000
        kinds = [type(message) for message in messages]
        assert kinds == [UserMessage, ModelMessage] * (len(kinds) // 2)
        starts.append(messages[0].text)
    assert "left out" in starts[-1] and f"question {99} " in messages[-2].text
    assert len(set(starts)) <= 8, "what is sent begins alike for many turns"


# Size -------------------------------------------------------------------------------------------------------------


def _chain(nodes: int, lines: int) -> dict[str, bytes]:
    """A workflow of so many nodes, each with a class of so many lines."""
    graph_text = {
        "name": "chain",
        "nodes": [{"id": f"step_{number}", "class": f"Step{number}"} for number in range(nodes)],
        "edges": [{"from": f"step_{number}", "to": f"step_{number + 1}"} for number in range(nodes - 1)],
    }
    classes = [
        f'class Step{number}(Node):\n    """Does step {number}."""\n\n    def execute(self, prepared):\n'
        + "".join(f"        value_{line} = {line}\n" for line in range(lines))
        for number in range(nodes)
    ]
    code = "from grapheteria import Node\n\n\n" + "\n\n".join(classes)
    return {"chain.json": json.dumps(graph_text, indent=1).encode(), "nodes.py": code.encode()}


def _size(request: ModelRequest) -> int:
    """Characters of everything that a call sends."""
    messages = sum(len(json.dumps(message_to_json(message), ensure_ascii=False)) for message in request.messages)
    return messages + len(request.system) + _tools_size("propose")


async def _edit_sizes(nodes: int, lines: int) -> list[int]:
    """What each call of one edit sends: plan and change, then the closing words."""
    conversation = Conversation(None, workflow="chain")
    conversation.desk.present = _chain(nodes, lines)
    change = graph({"op": "update_node", "id": "step_1", "set": {"retry": {"attempts": 3}}})
    conversation.script({"calls": [plan("Retry step_1"), change]}, {"text": "Done."})
    end = await conversation.session.send("Try step_1 three times.")
    assert end.proposal is not None and not end.proposal.broken
    return [_size(request) for request in conversation.gateway.requests]


async def test_the_size_of_an_edit_does_not_depend_on_the_code() -> None:
    small, large = await _edit_sizes(25, 5), await _edit_sizes(25, 100)
    assert small == large


async def test_the_size_of_an_edit_grows_by_two_lines_a_node_and_no_more() -> None:
    sizes = {nodes: sum(await _edit_sizes(nodes, 20)) for nodes in (5, 25, 100)}
    for fewer, more in ((5, 25), (25, 100)):
        assert (sizes[more] - sizes[fewer]) / (more - fewer) <= 2 * 100, sizes
    page = (Path(__file__).parents[3] / "docs" / "assistant.md").read_text(encoding="utf-8")
    for nodes, size in sizes.items():
        row = re.search(rf"^\| {nodes} \|[^|]*\| ([\d,]+) \|", page, re.MULTILINE)
        assert row is not None, "docs/assistant.md has a table of tokens per edit"
        written = int(row[1].replace(",", ""))
        assert abs(written - size / 4) <= 0.05 * written, (
            f"docs/assistant.md: {nodes} nodes need {size / 4:,.0f} tokens"
        )
