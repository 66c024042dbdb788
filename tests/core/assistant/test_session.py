"""A turn of a conversation: what is kept of it when it is stopped, killed or fails, and what is told of it."""

from __future__ import annotations

import asyncio
import json

import pytest
from scripted import Conversation, ask, graph, plan, source

from core.assistant.draft import Draft
from core.assistant.events import (
    Answer,
    Asked,
    ModelSaid,
    Noted,
    Planned,
    Proposed,
    TextGrew,
    ToolBegan,
    ToolEnded,
    TurnFailed,
    TurnStarted,
    Understood,
)
from core.assistant.memory import Memory
from core.assistant.session import RunData, SessionLimits
from core.errors import UsageError
from core.llm.messages import ModelMessage, ToolResult, UserMessage

RETRY = {"op": "update_node", "id": "fetch", "set": {"retry": {"attempts": 3}}}


async def test_a_turn_is_told_in_order() -> None:
    talk = Conversation()
    talk.script({"text": "Looking.", "calls": [plan("Retry"), graph(RETRY)]}, {"text": "Done."})
    end = await talk.session.send("Retry fetch.")
    kinds = [type(event) for event in talk.events]
    assert kinds == [
        *(TurnStarted, TextGrew, TextGrew, ModelSaid),
        *(ToolBegan, ToolEnded, Planned, Understood, ToolBegan, ToolEnded),
        *(TextGrew, TextGrew, ModelSaid, Proposed),
    ]
    assert "".join(event.text for event in talk.told(TextGrew)) == "Looking.Done."
    assert end.usage.input_tokens == 200
    assert end.usage.cost == pytest.approx(0.002)


async def test_the_memory_is_plain_json_and_comes_back_as_it_was() -> None:
    talk = Conversation()
    talk.script({"calls": [plan("Retry", "low"), ask("Which?")]})
    await talk.session.send("Retry.", [RunData("run 1", "text", "r1")])
    form = json.loads(json.dumps(talk.memory.to_json()))
    assert Memory.from_json(form) == talk.memory
    talk.script({"calls": [graph(RETRY)]}, {"text": "Done."})
    await talk.session.answer([])
    form = json.loads(json.dumps(talk.memory.to_json()))
    assert Memory.from_json(form) == talk.memory


async def test_an_engine_killed_at_any_time_loses_the_running_call_at_most() -> None:
    replies = [{"calls": [plan("Retry"), graph(RETRY)]}, {"calls": [{"name": "validate"}]}, {"text": "Done."}]
    whole = Conversation()
    whole.script(*replies)
    expected = await whole.session.send("Retry fetch.")
    assert expected.proposal is not None
    for at in range(len(whole.kept) - 1):
        again = Conversation()
        again.kept = whole.kept
        again.die(at)
        said = sum(isinstance(message, ModelMessage) for message in again.memory.messages)
        again.script(*replies[said:])
        end = await again.session.go_on()
        assert end.proposal is not None
        assert end.proposal.changes.after == expected.proposal.changes.after
        assert not again.gateway.replies
        assert again.memory.messages == whole.memory.messages


async def test_open_questions_survive_the_engine() -> None:
    talk = Conversation()
    talk.script({"calls": [plan("Retry", "low"), ask("Which?", "How often?")]})
    assert (await talk.session.send("Retry.")).status == "asking"
    talk.die()
    assert (await talk.session.go_on()).status == "asking"
    first, second = talk.memory.questions
    talk.script({"calls": [graph(RETRY)]}, {"text": "Done."})
    end = await talk.session.answer([Answer(first.id, ("yes",)), Answer(second.id, text="three times")])
    assert end.proposal is not None
    (result,) = [
        message for message in talk.memory.messages if isinstance(message, ToolResult) and message.name == "ask_user"
    ]
    assert result.text == "Which? -> yes\nHow often? -> three times"


async def test_a_stopped_turn_keeps_what_was_said_and_goes_on_with_the_next_words() -> None:
    talk = Conversation()
    talk.script({"calls": [plan("Retry"), graph(RETRY)]}, {"text": "Now I also want to", "hang": True})
    turn = asyncio.create_task(talk.session.send("Retry fetch."))
    await asyncio.wait_for(talk.gateway.hanging.wait(), 30)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    talk.die()
    assert not talk.memory.turn.running
    assert talk.memory.messages[-1] == ModelMessage("Now I also want to\n\n[stopped by the person]")
    talk.script(
        {"calls": [plan("Go on"), graph({"op": "update_node", "id": "fetch", "set": {"timeout": 5}})]},
        {"text": "Done."},
    )
    end = await talk.session.send("Go on.")
    assert end.proposal is not None
    assert b'"attempts"' in end.proposal.changes.after["triage.json"]


async def test_a_turn_stopped_while_a_tool_runs_leaves_no_call_without_a_result() -> None:
    talk = Conversation()
    reached = asyncio.Event()

    async def hang(*_: object) -> list[object]:
        reached.set()
        await asyncio.Event().wait()
        return []

    talk.desk.examples = hang  # type: ignore[method-assign,assignment]
    calls = [{"name": "search_node_types", "arguments": {"query": "x"}}, {"name": "validate"}]
    talk.script({"calls": calls})
    turn = asyncio.create_task(talk.session.send("Look."))
    await asyncio.wait_for(reached.wait(), 30)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert talk.memory.open_calls() == []
    results = [message for message in talk.memory.messages if isinstance(message, ToolResult)]
    assert [result.failed for result in results] == [True, True]


async def test_answers_without_questions_are_refused() -> None:
    talk = Conversation()
    with pytest.raises(UsageError):
        await talk.session.answer([])


async def test_at_most_three_questions_at_once_each_with_two_to_four_options() -> None:
    talk = Conversation()
    one_option = {"name": "ask_user", "arguments": {"questions": [{"text": "Which?", "options": [{"label": "a"}]}]}}
    talk.script({"calls": [ask("1?", "2?", "3?", "4?"), one_option]}, {"text": "Well."})
    end = await talk.session.send("Do something.")
    assert end.status == "done"
    assert [event.failed for event in talk.told(ToolEnded)] == [True, True]
    assert talk.told(Asked) == []


async def test_nothing_can_be_proposed_in_the_reply_that_asks() -> None:
    talk = Conversation()
    talk.script({"calls": [plan("Retry"), ask("Really?"), graph(RETRY), ask("Sure?")]})
    end = await talk.session.send("Retry fetch.")
    assert end.status == "asking" and [question.text for question in end.questions] == ["Really?"]
    assert [event.failed for event in talk.told(ToolEnded)] == [False, True, True]
    assert talk.memory.draft is None


async def test_the_threshold_and_the_weights_are_settings() -> None:
    talk = Conversation(limits=SessionLimits(threshold=0.5))
    talk.script({"calls": [plan("Retry", "medium"), graph(RETRY)]}, {"text": "Done."})
    end = await talk.session.send("Retry fetch.")
    assert end.proposal is not None
    assert end.proposal.understanding is not None and end.proposal.understanding.threshold == 0.5


async def test_nothing_is_proposed_without_a_plan() -> None:
    talk = Conversation()
    talk.script({"calls": [graph(RETRY)]}, {"text": "I should plan first."})
    end = await talk.session.send("Retry fetch.")
    assert end.proposal is None
    (ended,) = talk.told(ToolEnded)
    assert ended.failed and "set_plan" in ended.summary


async def test_a_reference_that_leads_nowhere_lowers_the_understanding() -> None:
    talk = Conversation()
    talk.script({"calls": [plan("Retry")]}, {"text": "Which one?"})
    await talk.session.send("Retry @fecht and @sort, as in @r7.", [RunData("run r7", "log", "r7")])
    assert talk.memory.understanding is not None
    assert talk.memory.understanding.facts == ("@fecht is no node of the workflow",)


async def test_a_reply_that_is_cut_says_so() -> None:
    talk = Conversation()
    talk.script({"text": "And then", "stop": "length"})
    await talk.session.send("Tell me all.")
    assert "cut" in talk.told(Noted)[0].text


async def test_an_error_of_the_model_is_told_once_and_ends_the_turn() -> None:
    talk = Conversation()
    talk.script({"error": {"type": "NoModelKey", "message": "No key.", "next_step": "Set one."}})
    end = await talk.session.send("Hello.")
    assert end.status == "failed"
    (failed,) = talk.told(TurnFailed)
    assert failed.error.type_name == "NoModelKey"
    assert not talk.memory.turn.running


async def test_run_data_stays_marked_and_taints_its_turn_and_the_draft_made_in_it_only() -> None:
    talk = Conversation()
    talk.memory.mode = "auto"
    talk.script({"text": "I see."})
    await talk.session.send("Why?", [RunData("run 1", "a log")])
    assert talk.memory.tainted
    assert f"<data {talk.memory.boundary} run 1>" in talk.gateway.requests[0].messages[0].text
    talk.script({"calls": [plan("Retry"), graph(RETRY)]}, {"text": "Done."})
    end = await talk.session.send("Retry fetch.")
    assert not talk.memory.tainted
    assert end.proposal is not None and end.proposal.apply
    assert "a log" not in talk.gateway.requests[-1].messages[0].text


async def test_a_draft_of_a_tainted_turn_stays_tainted() -> None:
    talk = Conversation()
    talk.memory.mode = "auto"
    talk.script({"calls": [plan("Retry"), graph(RETRY)]}, {"text": "Done."})
    first = await talk.session.send("Repair it.", [RunData("run 1", "a log")])
    talk.script({"calls": [graph({"op": "update_node", "id": "fetch", "set": {"timeout": 5}})]}, {"text": "Done."})
    second = await talk.session.revise("With a time limit.")
    for end in (first, second):
        assert end.proposal is not None and end.proposal.tainted and not end.proposal.apply


async def test_the_model_reads_the_source_of_a_class_with_the_imports_of_its_file() -> None:
    talk = Conversation()
    talk.script({"calls": [{"name": "read_node_source", "arguments": {"class": "Sort"}}]}, {"text": "Read."})
    await talk.session.send("What does Sort do?")
    result = talk.memory.messages[-2]
    assert isinstance(result, ToolResult)
    assert "from grapheteria import Node" in result.text and "class Sort(Node):" in result.text
    assert "class Fetch" not in result.text
    assert result.text.endswith("revision 0")


async def test_code_never_reaches_the_model_unasked() -> None:
    talk = Conversation()
    talk.script({"text": "Four nodes."})
    await talk.session.send("How many nodes?")
    (request,) = talk.gateway.requests
    whole = request.system + "".join(message.text for message in request.messages)
    assert "sorted(mails" not in whole
    assert "sort: Sort -> summarise" in whole and "Sort: Puts important mails first." in whole


async def test_the_provider_may_keep_everything_up_to_the_last_message() -> None:
    talk = Conversation()
    talk.script({"calls": [{"name": "validate"}]}, {"text": "Fine."})
    await talk.session.send("Check it.")
    first, second = talk.gateway.requests
    assert (first.cache_after, second.cache_after) == (1, 3)
    assert second.messages[:1] == first.messages
    assert second.system == first.system and second.tools == first.tools


async def test_what_became_of_a_proposal_is_told_to_the_model() -> None:
    talk = Conversation()
    talk.script({"calls": [plan("Retry"), graph(RETRY)]}, {"text": "Done."})
    await talk.session.send("Retry fetch.")
    talk.memory.decided("rejected", "no retries")
    talk.script({"text": "Understood."})
    await talk.session.send("Why did you do that?")
    words = talk.memory.messages[-2]
    assert isinstance(words, UserMessage)
    assert words.text == "[The person rejected the proposal: no retries.]\n\nWhy did you do that?"


async def test_a_workflow_that_can_not_be_parsed_can_still_be_talked_about() -> None:
    talk = Conversation()
    talk.desk.present = {"triage.json": b"{", "nodes.py": b"class (", "tools.json": b"\xff"}
    talk.script({"calls": [{"name": "read_workflow", "arguments": {"detail": "outline"}}]}, {"text": "It is broken."})
    end = await talk.session.send("What is wrong?")
    assert end.status == "done"


async def test_a_broken_file_can_be_repaired_in_conversation() -> None:
    talk = Conversation()
    talk.desk.present["nodes.py"] = talk.desk.present["nodes.py"].replace(
        b"return MAILS[:limit]", b"return mail_box[:limit]"
    )
    code = 'class Fetch(Node):\n    """Reads."""\n\n    def execute(self, prepared):\n        return MAILS\n'
    talk.script({"calls": [plan("Repair"), source("Fetch", "replace", code)]}, {"text": "Done."})
    end = await talk.session.send("Repair the class Fetch of the workflow.")
    assert end.proposal is not None and not end.proposal.broken


async def test_what_tools_gave_is_not_kept_beyond_the_turn() -> None:
    talk = Conversation()
    talk.script({"calls": [{"name": "read_node_source", "arguments": {"class": "Sort"}}]}, {"text": "Read."})
    await talk.session.send("What does Sort do?", [RunData("run 1", "a long log")])
    before = len(talk.memory.messages)
    talk.script({"text": "Yes."})
    await talk.session.send("Sure?")
    kept = json.dumps(talk.memory.to_json())
    assert len(talk.memory.messages) == before + 2
    assert "class Sort" not in kept and "a long log" not in kept and "What does Sort do?" in kept


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00", "\U0001f600"])
async def test_whatever_a_model_writes_can_be_kept(text: str) -> None:
    talk = Conversation()
    query = {"name": "search_node_types", "arguments": {"query": text, text: [text]}}
    broken = source("Sort", "replace", f"class Sort(Node):\n    name = '{text}'\n")
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    nested = graph({"op": "update_node", "id": "fetch", "set": {"config": {"x": deep}}})
    talk.script({"text": text, "calls": [query, plan(text), broken, nested]}, {"text": "Done."})
    end = await talk.session.send("Do it.")
    assert end.status == "done"
    assert talk.kept
    for form in talk.kept[-2:]:
        json.dumps([message for message in form["messages"] if message["from"] == "tool"], ensure_ascii=False).encode()


async def test_calls_with_one_id_are_told_apart() -> None:
    talk = Conversation()
    calls = [
        {"id": "call_0", "name": "validate"},
        {"id": "call_0", "name": "read_workflow", "arguments": {"detail": "outline"}},
    ]
    talk.script({"calls": calls}, {"text": "Fine."})
    await talk.session.send("Check it.")
    results = [message for message in talk.memory.messages if isinstance(message, ToolResult)]
    assert [result.call_id for result in results] == ["call_0-1", "call_0-2"]


async def test_a_fault_of_the_program_leaves_a_conversation_that_goes_on() -> None:
    talk = Conversation()

    async def fail(*_: object) -> list[object]:
        raise OSError("disk")

    talk.desk.examples = fail  # type: ignore[method-assign,assignment]
    talk.script({"calls": [{"name": "search_node_types", "arguments": {"query": "x"}}]})
    with pytest.raises(OSError, match="disk"):
        await talk.session.send("Look.")
    talk.die()
    assert talk.memory.open_calls() == [] and not talk.memory.turn.running
    talk.script({"text": "Yes."})
    assert (await talk.session.send("Still there?")).status == "done"


async def test_without_a_workflow_there_is_talk_and_no_change() -> None:
    talk = Conversation(None)
    talk.memory.workflow = ""
    talk.script(
        {"calls": [plan("Something new"), graph({"op": "add_node", "id": "a", "set": {"class": "A"}})]},
        {"text": "Which name?"},
    )
    end = await talk.session.send("Make me a workflow that reads mails.")
    assert end.proposal is None
    assert "no workflow yet" in talk.told(ToolEnded)[-1].summary


async def test_a_turn_taken_up_over_a_workflow_that_changed_has_a_result_for_each_call() -> None:
    talk = Conversation()
    talk.script({"calls": [plan("Retry"), graph(RETRY)]}, {"calls": [{"name": "validate"}]}, {"text": "Done."})
    await talk.session.send("Retry fetch.")
    (at,) = [number for number, form in enumerate(talk.kept) if Memory.from_json(form).open_calls() and form["draft"]]
    talk.desk.present["triage.json"] = talk.desk.present["triage.json"].replace(b'"limit": 50', b'"limit": 60')
    talk.desk.present["triage.json"] = talk.desk.present["triage.json"].replace(
        b'"config": {"limit": 60}', b'"config": {"limit": 60}, "retry": {"attempts": 2}'
    )
    talk.die(at)
    talk.script({"text": "I begin anew."})
    end = await talk.session.go_on()
    assert end.status == "done" and end.proposal is None
    assert "given up" in talk.told(Noted)[-1].text
    kinds = [type(message).__name__ for message in talk.memory.messages]
    assert kinds[-4:] == ["ModelMessage", "ToolResult", "UserMessage", "ModelMessage"]


async def test_tools_that_a_person_named_are_proposed_once_also_where_the_model_changes_nothing_else() -> None:
    talk = Conversation()
    draft = Draft.of("triage", talk.desk.present)
    draft.apply_files(0, {"tools.json": '["slack"]\n'}, "Use slack")
    talk.memory.draft = draft.to_json()
    talk.script({"text": "Slack can be used now."})
    end = await talk.session.send("Let it use slack.")
    assert end.proposal is not None and end.proposal.changes.after["tools.json"] == b'["slack"]\n'
    assert "tools of this workflow: slack" in talk.gateway.requests[0].messages[0].text
    talk.script({"text": "It posts messages."})
    assert (await talk.session.send("What does slack do?")).proposal is None


async def test_in_mode_ask_named_tools_are_not_proposed() -> None:
    talk = Conversation()
    talk.memory.mode = "ask"
    draft = Draft.of("triage", talk.desk.present)
    draft.apply_files(0, {"tools.json": '["slack"]\n'}, "Use slack")
    talk.memory.draft = draft.to_json()
    talk.script({"text": "Not in this mode."})
    assert (await talk.session.send("Let it use slack.")).proposal is None


async def test_a_change_that_fails_its_checks_can_be_corrected_though_that_lowers_the_understanding() -> None:
    talk = Conversation(limits=SessionLimits(threshold=0.93))
    broken = source(
        "Sort", "replace", "class Sort(Node):\n    def execute(self, mails):\n        return nothing_like_it\n"
    )
    right = source("Sort", "replace", "class Sort(Node):\n    def execute(self, mails):\n        return mails\n")
    talk.script({"calls": [plan("Sort"), broken]}, {"text": "Done."}, {"calls": [right]}, {"text": "Corrected."})
    end = await talk.session.send("Sort in another way.")
    assert end.proposal is not None and not end.proposal.broken
    assert end.proposal.understanding is not None and not end.proposal.understanding.enough


async def test_a_tool_that_the_person_named_is_known_though_no_other_workflow_has_it() -> None:
    talk = Conversation()
    talk.desk.tool_names = []
    talk.desk.present["tools.json"] = b'["pager"]\n'
    talk.script({"calls": [plan("Page me", tools=["pager", "pigeon"])]}, {"text": "Well."})
    await talk.session.send("Page me when it fails.")
    assert talk.memory.understanding is not None
    assert talk.memory.understanding.facts == ("there is no tool 'pigeon'",)
