"""Text from elsewhere on its way to a model: run outputs, results of tools, documentation, names.

It is data, never an instruction. It stands in a marked block whose boundary nobody outside can know, is cut at a size,
and has no character that hides something. That helps and guarantees nothing: what holds is that the model has no way
out, and that nothing it makes is used without a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.definition.text import visible

BLOCK_CAP = 8_000
"""Most characters of one block."""
STATE_CAP = 1_000
"""Most characters of a state."""
_SAMPLES = 3
"""So many values of a list or object are shown; of the rest only how many there are."""
_TEXT_SAMPLE = 80


def cleaned(text: str, cap: int = BLOCK_CAP) -> str:
    """The text without characters that hide or command, and its middle left out beyond `cap` characters."""
    shown = visible(text[: 4 * cap + 1000], keep="\n\t")
    if len(shown) <= cap and len(text) <= 4 * cap + 1000:
        return shown
    head, tail = cap * 2 // 3, cap // 3
    end = visible(text[-tail:], keep="\n\t")[-tail:]
    return f"{shown[:head]}\n[... {len(text) - head - tail:,} characters left out ...]\n{end}"


def one_line(text: str, cap: int = 120) -> str:
    """The text on one line."""
    flat = " ".join(text.split())
    shown = visible(flat[: cap + 1])
    return shown if len(shown) <= cap else shown[: cap - 1] + "…"


def data_block(boundary: str, title: str, text: str, cap: int = BLOCK_CAP) -> str:
    """The text as a marked block; a boundary in it that tries to end the block early is taken out."""
    inner = cleaned(text, cap).replace(boundary, "[boundary]")
    return f"<data {boundary} {one_line(title, 80).replace(boundary, '')}>\n{inner}\n</data {boundary}>"


def without_blocks(text: str, boundary: str) -> str:
    """The text with each marked block replaced by a line that says what stood there."""
    opening, closing = f"<data {boundary} ", f"</data {boundary}>"
    while (start := text.find(opening)) >= 0:
        head_end = text.find(">", start)
        end = text.find(closing, start)
        if head_end < 0 or end < 0:
            break
        title = text[start + len(opening) : head_end]
        text = f"{text[:start]}[{title}: left out]{text[end + len(closing) :]}"
    return text


def state_sketch(state: Mapping[str, Any], cap: int = STATE_CAP) -> str:
    """A state as its shape with up to three sampled values of each list and object, at most `cap` characters."""
    keys = list(state)
    lines: list[str] = []
    left = cap
    for position, key in enumerate(keys):
        line = f"{one_line(str(key), 60)}: {_sketch(state[key])}"
        line = line if len(line) <= 240 else line[:239] + "…"
        if len(line) + 1 > left - 40:
            lines.append(f"[... {len(keys) - position} more keys]")
            break
        lines.append(line)
        left -= len(line) + 1
    return "\n".join(lines) or "(empty)"


def _sketch(value: Any, depth: int = 0) -> str:
    if isinstance(value, dict):
        if depth > 2:
            return f"object of {len(value)}"
        inner = [f"{one_line(str(key), 40)}: {_sketch(value[key], depth + 1)}" for key in list(value)[:_SAMPLES]]
        more = f", … {len(value) - _SAMPLES} more" if len(value) > _SAMPLES else ""
        return "{" + ", ".join(inner) + more + "}"
    if isinstance(value, list):
        if depth > 2:
            return f"list of {len(value)}"
        inner = [_sketch(item, depth + 1) for item in value[:_SAMPLES]]
        return f"list of {len(value)} [" + ", ".join(inner) + (", …]" if len(value) > _SAMPLES else "]")
    if isinstance(value, str):
        shown = one_line(value, _TEXT_SAMPLE)
        size = f" ({len(value):,} characters)" if len(value) > _TEXT_SAMPLE else ""
        return f"text {json.dumps(shown, ensure_ascii=False)}{size}"
    return json.dumps(value, default=str)


def storable(value: Any) -> Any:
    """A JSON value without lone surrogates, which no file and no database takes."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def nested_deeper(value: Any, limit: int) -> bool:
    """True where lists and objects stand in each other more than `limit` times."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for part in level
            if isinstance(part, dict | list | tuple)
            for inner in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return False
    return True
