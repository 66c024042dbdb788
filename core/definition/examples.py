"""The workflows that come with the program: where they are, and the hashes by which they are approved anywhere.

`python -m core.definition.examples` writes the hashes anew after an example was changed.
"""

from __future__ import annotations

import json
from pathlib import Path

from core.definition.load import load_folder
from core.errors import EnvironmentProblem

EXAMPLES = ("csv_report", "fan_out", "hello", "mail_digest", "onboarding", "review_loop")
"""The shipped examples; whatever else lies in the same folder is somebody's own."""

_PACKAGE = Path(__file__).resolve().parent.parent
_HASHES = Path(__file__).resolve().with_name("example_hashes.json")


def examples_folder() -> Path:
    """The folder with the shipped examples: in the installed package, else the checkout's `workflows/`."""
    installed, checkout = _PACKAGE / "examples", _PACKAGE.parent / "workflows"
    for folder in (installed, checkout):
        if all((folder / name).is_dir() for name in EXAMPLES):
            return folder
    raise EnvironmentProblem(
        "The shipped examples are not there.",
        cause=f"Neither {installed} nor {checkout} holds them.",
        next_step="Install Rondo again.",
    )


def example_names() -> list[str]:
    """The names of the shipped examples."""
    return list(EXAMPLES)


def example_hashes() -> dict[str, str]:
    """The version of each shipped example by name, as it was when this program was made."""
    hashes: dict[str, str] = json.loads(_HASHES.read_text(encoding="utf-8"))
    return hashes


def present_hashes() -> dict[str, str | None]:
    """The version of each shipped example by name, as the files are now; None for one that can't be read."""
    folder = examples_folder()
    return {name: load_folder(folder / name).version for name in EXAMPLES}


if __name__ == "__main__":
    _HASHES.write_text(json.dumps(present_hashes(), indent=2) + "\n", encoding="utf-8")
