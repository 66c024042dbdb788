"""What holds for any edit of any workflow."""

from __future__ import annotations

import contextlib
import json
import os

from draft_strategies import NAME, edited, operations, workflows
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.assistant.draft import Draft
from core.assistant.groups import Changes
from core.assistant.risks import find_risks, risks_of
from core.assistant.splice import revert
from core.assistant.undo import rebase_draft, undo
from core.assistant.units import equal, taken_apart
from core.definition.load import load_sources
from core.errors import RondoError, UndoConflict

EXAMPLES = int(os.environ.get("RONDO_DRAFT_EXAMPLES", "20"))
some = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@some
@given(workflows())
def test_the_random_workflows_can_run(files: dict[str, bytes]) -> None:
    assert load_sources(NAME, files).errors == []


@some
@given(edited())
def test_an_edit_taken_back_leaves_the_same_bytes(draft: Draft) -> None:
    states = {batch.rev: batch for batch in draft.batches}
    files = dict(draft.files)
    for rev in sorted(states, reverse=True):
        files = revert(files, states[rev].splices)
    assert files == draft.base
    draft.back_to(0)
    assert draft.files == draft.base


@some
@given(edited())
def test_a_draft_survives_being_kept(draft: Draft) -> None:
    again = Draft.from_json(json.loads(json.dumps(draft.to_json())))
    assert again == draft
    again.back_to(0)
    assert again.files == draft.base


@some
@given(workflows(), st.lists(operations(), min_size=1, max_size=4))
def test_a_refused_batch_changes_nothing_and_a_done_one_keeps_the_graph_readable(
    files: dict[str, bytes], ops: list[dict[str, object]]
) -> None:
    draft = Draft.of(NAME, files)
    reply = draft.apply_graph(0, ops)
    assert reply.ok == (not reply.errors)
    if not reply.ok:
        assert draft.files == files
        assert draft.rev == 0
    codes = {finding.code for finding in draft.loaded().errors}
    assert codes <= {"E103", "E104", "E115", "E119"}, codes


@some
@given(edited(), st.randoms(use_true_random=False))
def test_any_accepted_groups_make_a_workflow_without_new_errors(draft: Draft, random: object) -> None:
    assume(not draft.loaded().errors)
    changes = Changes(draft.name, draft.base, draft.files)
    ids = [group.id for group in changes.groups]
    assert changes.files(ids) == draft.files
    assert changes.files([]) == (draft.base if ids else draft.files)
    for _ in range(4):
        chosen = changes.closed([group for group in ids if random.random() < 0.5])  # type: ignore[attr-defined]
        files = changes.files(chosen)
        assert chosen == changes.closed(chosen)
        if chosen:
            assert load_sources(NAME, files).errors == []
        rejected = set(ids) - chosen
        assert changes.without(rejected) <= chosen


@some
@given(edited())
def test_every_change_is_in_a_group_with_a_title(draft: Draft) -> None:
    changes = Changes(draft.name, draft.base, draft.files)
    shown = {group.id for group in changes.groups}
    assert all(set(change.owners) <= shown and change.owners for change in changes.changes)
    for group in changes.groups:
        assert group.title[0] in "+-~"
        assert group.title.isprintable()
        assert group.graph or group.code
        assert set(group.needs) <= shown - {group.id}
    assert len({risk.id for risk in find_risks(changes)}) == len(find_risks(changes))
    assert risks_of(changes, []) == []


@some
@given(edited(), st.integers(0, 3))
def test_undo_keeps_unrelated_changes_by_hand(draft: Draft, kind: int) -> None:
    present = dict(draft.files)
    source = present.get("nodes.py", b"")
    if kind == 0:
        present["nodes.py"] = source + b"\n\nclass ByHand(Exception):\n    pass\n"
    elif kind == 1:
        present["notes.py"] = b"X = 1\n"
    elif kind == 2:
        assume(b"About by hand" not in source)
        present["nodes.py"] = source.replace(b'"""What it does."""', b'"""About by hand."""')
    assume(not load_sources(NAME, present).errors and not draft.loaded().errors)
    try:
        result = undo(NAME, draft.base, draft.files, present)
    except UndoConflict as conflict:
        # What was made of nothing has a docstring by hand in it now, and no base in which it could stay.
        assert not draft.base, conflict.details
        return
    by_hand, edit = _changed(draft.files, present), _changed(draft.base, draft.files)
    assert not by_hand & edit
    now, before = _units(result.files, draft.base)
    assert all(equal(now.get(unit), before.get(unit)) for unit in edit)
    now, later = _units(result.files, present)
    assert all(equal(now.get(unit), later.get(unit)) for unit in by_hand)
    if kind == 3 or not by_hand:
        assert result.files == draft.base or present != draft.files
    again = undo(NAME, draft.files, draft.base, result.files)
    assert _same(again.files, present)


@some
@given(edited(4), edited(4))
def test_two_edits_either_come_together_or_are_refused_with_both_shown(one: Draft, other: Draft) -> None:
    theirs = Draft.of(NAME, one.base)
    for batch in other.batches:
        if batch.what == "graph":
            theirs.apply_graph(theirs.rev, batch.done)
    assume(one.edited and theirs.edited)
    try:
        rebased = rebase_draft(one, theirs.files)
    except RondoError as error:
        assert error.details
        assert all(conflict["unit"] and conflict["edit"] and conflict["later"] for conflict in error.details)
        return
    assert rebased.base == theirs.files
    for unit in _changed(one.base, one.files):
        now, wanted = _units(rebased.files, one.files)
        assert equal(now.get(unit), wanted.get(unit))
    rebased.back_to(0)
    assert rebased.files == theirs.files


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(["op", "id", "set", "to", "from", "condition", "was", "after", "x"])
WORDS = st.sampled_from(
    ["add_node", "update_node", "connect", "set_settings", "set_io", "rename_node", "fetch", "sort"]
)


@some
@given(workflows(), st.lists(st.dictionaries(KEYS, WORDS | JSON_VALUES) | JSON_VALUES, max_size=4))
def test_hostile_operations_get_words_and_change_nothing(files: dict[str, bytes], ops: list[object]) -> None:
    draft = Draft.of(NAME, files)
    reply = draft.apply_graph(0, ops)
    json.dumps(reply.to_json()).encode()
    if not reply.ok:
        assert draft.files == files
        assert all(problem.message for problem in reply.errors)
    else:
        assert not {finding.code for finding in draft.loaded().errors} & {"E101", "E102", "E105", "E106", "E107"}


@some
@given(
    st.dictionaries(st.sampled_from([f"{NAME}.json", "nodes.py", "tools.json", "a.py"]), st.binary(max_size=60)),
    st.dictionaries(st.sampled_from([f"{NAME}.json", "nodes.py", "tools.json", "a.py"]), st.binary(max_size=60)),
    st.text(max_size=20),
    st.text(max_size=60),
)
def test_any_bytes_give_an_answer_of_the_family(
    one: dict[str, bytes], other: dict[str, bytes], name: str, code: str
) -> None:
    draft = Draft.of(NAME, one)
    draft.apply_graph(0, [{"op": "add_node", "id": name, "set": {"class": name}}])
    draft.apply_source(draft.rev, name, "add", code)
    changes = Changes(NAME, one, other)
    with contextlib.suppress(RondoError):
        changes.files([group.id for group in changes.groups][:1])
    find_risks(changes)
    with contextlib.suppress(RondoError):
        undo(NAME, one, other, draft.files)


def _units(left: dict[str, bytes], right: dict[str, bytes]) -> list[dict[tuple[str, ...], object]]:
    return taken_apart(NAME, left, right)


def _changed(left: dict[str, bytes], right: dict[str, bytes]) -> set[tuple[str, ...]]:
    before, after = _units(left, right)
    return {unit for unit in {**before, **after} if not equal(before.get(unit), after.get(unit))}


def _same(left: dict[str, bytes], right: dict[str, bytes]) -> bool:
    return not _changed(left, right)
