"""Notes on what nodes can do, for a model that looks for them; they say what docs/workflows.md says, in fewer words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Note(NamedTuple):
    """One note with the words under which it is found."""

    title: str
    words: str
    text: str


NOTES: tuple[Note, ...] = (
    Note(
        "retry a node",
        "retry retries again attempts backoff wait jitter flaky unstable",
        'In the graph: "retry": {"attempts": 4, "wait": 1, "backoff": 2, "jitter": 0.2, "max_wait": 30}. It wraps the '
        "execute phase only; what prepare returned stays. exec_fallback(self, prepared, error) comes after the last.",
    ),
    Note(
        "when a node fails for good",
        "fail failure error on_error skip goto ask handle exception catch fallback",
        '"on_error": "fail" ends the run; "skip" goes on without the node; "goto:NODE" (not in mode dag) goes to that '
        'node, where self.last_error has node, type and message; "ask" asks a person to retry, skip or fail.',
    ),
    Note(
        "time limit",
        "timeout limit slow hang seconds",
        '"timeout": 60 are the seconds that one attempt may take, from prepare to cleanup. It stands still while the '
        "node waits for an answer or a timer; at the limit the attempt fails as NodeTimeout and is tried again.",
    ),
    Note(
        "ask a person",
        "ask person human approve approval input question confirm choose select form review",
        'answer = await request_input("Publish?", options=["yes", "no"], input_type="select", request_id="publish") in '
        "an async prepare. Types: text, select, multiselect, confirm, number, json. The run may wait for days; the "
        "node then starts again from prepare, and recorded answers are given at once.",
    ),
    Note(
        "wait for a time",
        "wait delay sleep timer schedule later date tomorrow until pause",
        "await self.wait_for(3 * 86_400) or await self.wait_until('2026-12-24T18:00:00+01:00'), in any phase. The run "
        "needs no process meanwhile. What must happen once comes after the wait.",
    ),
    Note(
        "many items in one node",
        "map parallel many items list batch loop each concurrency gather",
        "results = await self.map(self.one, items, concurrency=8, attempts=3, wait=1, backoff=2) inside execute. The "
        "order is that of the items; the first item that fails for good fails the node with its index.",
    ),
    Note(
        "loop in the graph",
        "loop repeat cycle again until iterate counter",
        "In mode machine an edge may lead back: count in the state, and leave the loop by an edge with a condition "
        "that stands before the edge without one.",
    ),
    Note(
        "branches at once",
        "dag parallel branch fan out join concurrent reducers append merge",
        '"mode": "dag": all edges that hold are taken, a node runs once its incoming edges are settled. Independent '
        'nodes must not change one key unless "reducers": {"found": "append"} (or merge, last) joins it.',
    ),
    Note(
        "another workflow as a node",
        "subflow workflow nested call reuse run_workflow",
        '{"id": "enrich", "subflow": "look_up", "inputs": {"name": "shared[\'name\']"}, "output": {"score": '
        "\"shared['score']\"}}: inputs are expressions over this state, output over the final state of the other run. "
        'In code: state = await self.run_workflow("look_up", {"name": name}).',
    ),
    Note(
        "call a language model",
        "llm model ai summarise summarize classify generate write text prompt gpt claude",
        "text = await self.llm(prompt, system='...'), or value = await self.llm(prompt, schema=Kind) with a dataclass, "
        "a pydantic model or a JSON Schema; value is an instance of it. The call is recorded and paid once, also when "
        "the visit is repeated after a crash; a retry asks anew. Keys never reach the node.",
    ),
    Note(
        "HTTP and tools",
        "http request url api web fetch download tool tools gmail slack service",
        'response = await self.http("POST", url, json={...}, headers={...}, timeout=30): status, ok, text, headers, '
        'json(); a status of 400 and more raises nothing. await self.tool("slack", "post_message", {...}) calls an '
        "action of one of the workflow's tools. Both are recorded, so a visit that is repeated after a crash does not "
        "act twice. A node that changes something outside declares effects: write.",
    ),
    Note(
        "files",
        "file files write read csv save output path folder",
        "Write into self.output_dir, the run's own folder. Read files of the workflow below Path(__file__).parent and "
        'list them under "files" in the graph.',
    ),
    Note(
        "effects and repeats",
        "effects write idempotency repeat twice send pay once rewind",
        '"effects": "write" in the graph names a node that changes something outside; going back then asks before it '
        "acts again. Hand self.idempotency_key to services that can refuse a repeat.",
    ),
    Note(
        "packages",
        "package packages requirements install pip library dependency",
        "A requirements.txt in the folder gives the workflow an environment of its own. Prefer the standard library.",
    ),
)


def words_of(text: str) -> set[str]:
    """The words of a query or a text, in lower case, also those inside of CamelCase and snake_case."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return {word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if len(word) > 1}


def score(query: set[str], words: Iterable[str]) -> int:
    """How many words of a query are there, those that begin alike counted half."""
    there = set(words)
    total = 0
    for word in query:
        if word in there:
            total += 2
        elif len(word) > 3 and any(other.startswith(word[:4]) for other in there):
            total += 1
    return total


def notes_for(query: str, limit: int = 2) -> list[Note]:
    """The notes that fit a query best; none where no word fits."""
    asked = words_of(query)
    ranked = sorted(
        (
            (score(asked, words_of(f"{note.title} {note.words}")), -position, note)
            for position, note in enumerate(NOTES)
        ),
        reverse=True,
    )
    return [note for points, _, note in ranked[:limit] if points >= 2]
