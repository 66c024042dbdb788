"""The app's own colours, dark and light. Every theme of Textual, the ansi ones too, works as well: `[app] theme`."""

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

RONDO_LIGHT = Theme(
    name="rondo-light",
    dark=False,
    background="#fbfaf7",
    surface="#f3f1ec",
    panel="#e9e6df",
    foreground="#24282f",
    primary="#0b62b5",
    secondary="#5c6675",
    accent="#6b3fc4",
    success="#1f7a3d",
    warning="#8a5a00",
    error="#b3202c",
    variables={
        "border": "#b9b4a8",
        "text-muted": "#636b78",
        "input-cursor-background": "#24282f",
        "input-cursor-foreground": "#fbfaf7",
        "input-selection-background": "#c9d6ee",
    },
)
