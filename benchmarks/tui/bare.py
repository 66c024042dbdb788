"""The yardstick: the smallest app of the same library."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class Bare(App[None]):
    """One line of text."""

    def compose(self) -> ComposeResult:
        yield Static("bare stands")


if __name__ == "__main__":
    Bare().run()
