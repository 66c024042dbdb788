"""The app's own colours. Every other theme of Textual, the ansi ones too, works as well (TEXTUAL_THEME=name)."""

from __future__ import annotations

from textual.theme import Theme

RONDO = Theme(
    name="rondo",
    dark=True,
    background="#12151c",
    surface="#171b24",
    panel="#1c212c",
    foreground="#d5dae6",
    primary="#6cb6ff",
    secondary="#8a94a8",
    accent="#b9a3ff",
    success="#7fd19b",
    warning="#f0c674",
    error="#ff7b86",
    variables={
        "border": "#39414f",
        "text-muted": "#808a9d",
        "input-cursor-background": "#d5dae6",
        "input-cursor-foreground": "#12151c",
        "input-selection-background": "#3a4a73",
    },
)
