"""A text goes round between a critic, a person and a reviser until the person is content or gives up.

The critic's rules are simple on purpose: the same text always gets the same score, and no model is needed.
"""

from typing import Any

from grapheteria import Node

WANTED = {
    "a reason": ("because", "It matters because whoever comes next has to live with it."),
    "an example": ("for example", "Take, for example, a tool that has done one job well for forty years."),
    "a number": ("percent", "In most teams, 80 percent of the work goes into keeping things running."),
    "a conclusion": ("in short", "In short: choose what you can still repair in ten years."),
}
"""What the critic looks for: the words that show it, and a sentence that brings it in."""


class Draft(Node):
    """Writes the first version: short, and with a reason only."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> str:
        return shared["topic"]

    def execute(self, topic: str) -> list[str]:
        print(f"drafting a text about {topic}")
        return [f"This is about {topic}.", WANTED["a reason"][1]]

    def cleanup(self, shared: dict[str, Any], topic: str, sentences: list[str]) -> None:
        shared.update(sentences=sentences, comment="", revisions=0, history=[])


class Critic(Node):
    """Scores the text from 0 to 100 by how many of the wanted parts it has, and says what is missing."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> str:
        return " ".join(shared["sentences"]).lower()

    def execute(self, text: str) -> dict[str, Any]:
        missing = [part for part, (words, _) in WANTED.items() if words not in text]
        score = 100 * (len(WANTED) - len(missing)) // len(WANTED)
        print(f"score {score}, missing: {', '.join(missing) or 'nothing'}")
        return {"score": score, "missing": missing, "passed": score >= self.config["pass_score"]}

    def cleanup(self, shared: dict[str, Any], text: str, verdict: dict[str, Any]) -> None:
        shared.update(verdict)
        shared["history"].append(verdict["score"])


class Review(Node):
    """Asks a person: approve, revise with an optional comment, or reject."""

    async def prepare(self, shared: dict[str, Any], request_input: Any) -> dict[str, str]:
        text = "\n".join(shared["sentences"])
        decision = await request_input(
            f"{text}\n\nThe critic gives it {shared['score']} of 100. What now?",
            options=["approve", "revise", "reject"],
            input_type="select",
            request_id="decision",
        )
        comment = ""
        if decision == "revise":
            comment = await request_input("What should change? (may be empty)", input_type="text", request_id="comment")
        return {"decision": decision, "comment": comment.strip()}

    def cleanup(self, shared: dict[str, Any], answers: dict[str, str], _: None) -> None:
        shared.update(answers)


class Revise(Node):
    """Brings in the first part that is missing, and what the person asked for."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> dict[str, Any]:
        return {key: shared[key] for key in ("sentences", "missing", "comment")}

    def execute(self, text: dict[str, Any]) -> list[str]:
        added = [WANTED[part][1] for part in text["missing"][:1]]
        if text["comment"]:
            added.append(f"Changed as asked: {text['comment']}.")
        print(f"adding {len(added)} sentences")
        return [*text["sentences"], *added]

    def cleanup(self, shared: dict[str, Any], text: dict[str, Any], sentences: list[str]) -> None:
        shared.update(sentences=sentences, comment="", revisions=shared["revisions"] + 1)


class Publish(Node):
    """Writes the approved text into the run's output folder."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> str:
        return f"# {shared['topic'].capitalize()}\n\n{' '.join(shared['sentences'])}\n"

    def execute(self, article: str) -> str:
        path = self.output_dir / "article.md"
        path.write_text(article, encoding="utf-8")
        print(f"published {path}")
        return path.name

    def cleanup(self, shared: dict[str, Any], article: str, name: str) -> None:
        shared.update(outcome="published", article=name)


class Reject(Node):
    """Notes that the text is not wanted."""

    def cleanup(self, shared: dict[str, Any], _: None, __: None) -> None:
        print("rejected, nothing is published")
        shared["outcome"] = "rejected"
