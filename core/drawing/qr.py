"""Text as a QR code in half blocks: two rows of modules in a line, for a phone that is held to the terminal."""

from __future__ import annotations

QUIET = (4, 2)
"""Light modules around the code, what scanners want and what they do with; the most that fits is taken."""
PAINTS = {
    " ": (" ", "on #ffffff"),
    "▀": ("▀", "#000000 on #ffffff"),
    "▄": ("▄", "#000000 on #ffffff"),
    "█": (" ", "on #000000"),
}
"""What is written for each sign, and in which colours: dark on light in every theme, with no gaps between blocks."""


def qr_lines(text: str, width: int, height: int) -> list[str]:
    """The code as lines of ` `, `▀`, `▄` and `█`, where a block is dark; none where it has no room.

    Nothing is imported before the first code is drawn.
    """
    import segno

    try:
        made = segno.make_qr(text, error="l", boost_error=False)
    except ValueError:  # more than a code holds
        return []
    modules = made.symbol_size(border=0)[0]
    for quiet in QUIET:
        size = modules + 2 * quiet
        if size <= width and (size + 1) // 2 <= height:
            return _half_blocks([[bool(cell) for cell in row] for row in made.matrix_iter(border=quiet)])
    return []


def _half_blocks(rows: list[list[bool]]) -> list[str]:
    if len(rows) % 2:
        rows = [*rows, [False] * len(rows[0])]
    signs = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    return [
        "".join(signs[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
