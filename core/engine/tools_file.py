"""A workflow's tools.json, written with some of its tools changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.assistant.json_edit import JsonText
from core.definition.json_text import JsonProblem
from core.errors import DefinitionError
from core.tools.pins import changed


def with_tools(workflow: str, content: bytes | None, wanted: Sequence[tuple[str, Mapping[str, str] | None]]) -> bytes:
    """The file with the changes (see `changed`); what is not changed keeps its bytes.

    Raises DefinitionError where it is no JSON.
    """
    try:
        text = JsonText((content or b"[]\n").decode("utf-8"))
    except (JsonProblem, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"The tools.json of {workflow} can't be read.",
            cause=str(error),
            next_step=f"Mend it by hand first; see: rondo validate {workflow}",
        ) from error
    document = text.value
    for name, fields in wanted:
        document = changed(document, name, fields)
    return text.rewritten(document).encode()
