"""Text files counted in two ways at once, joined in one report."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from core.sdk import Node

MOST = 500
"""Files that are looked at."""


def read(path: str) -> str:
    """The text of a file, whatever is in it."""
    return Path(path).read_text(encoding="utf-8", errors="replace")


class FindFiles(Node):
    """Finds the files; the first 500 by name are taken."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return shared["folder"], shared["pattern"]

    def execute(self, prepared: Any) -> Any:
        folder, pattern = prepared
        found = (path for path in sorted(Path(folder).glob(pattern)) if path.is_file())
        return [str(path) for path in islice(found, MOST)]

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["files"] = result


class CountWords(Node):
    """The most frequent words of more than four letters."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return shared["files"]

    def execute(self, prepared: Any) -> Any:
        words: Counter[str] = Counter()
        for path in prepared:
            words.update(word.lower() for word in read(path).split() if word.isalpha() and len(word) > 4)
        return dict(words.most_common(10))

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["words"] = result


class CountHeadings(Node):
    """How many Markdown headings each file has."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return shared["files"]

    def execute(self, prepared: Any) -> Any:
        return {path: sum(line.startswith("#") for line in read(path).splitlines()) for path in prepared}

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["headings"] = result


class Report(Node):
    """Writes both into one file."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        words = "".join(f"- {word}: {count}\n" for word, count in shared["words"].items())
        headings = "".join(f"- {path}: {count}\n" for path, count in shared["headings"].items())
        return f"# {len(shared['files'])} files\n\n## Words\n\n{words}\n## Headings\n\n{headings}"

    def execute(self, prepared: Any) -> Any:
        path = self.output_dir / "report.md"
        path.write_text(prepared, encoding="utf-8")
        return str(path)

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["report"] = result
        print(f"wrote {result}")
