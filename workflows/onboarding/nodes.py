"""A new user is taken in; an agent node looks at the user and decides where to go next.

These nodes have one method, `execute(state)`, which returns the state. A node of type "agent" returns the id of the
next node instead.
"""

from typing import Any

from core.sdk import BaseNode

State = dict[str, Any]


class Start(BaseNode):
    """Opens the record of what happens."""

    async def execute(self, state: State) -> State:
        state["events"] = ["onboarding started"]
        return state


class GetUserData(BaseNode):
    """Gets the user; here they are made up, and `user_type` comes from the run's inputs."""

    async def execute(self, state: State) -> State:
        premium = state["user_type"] == "premium"
        state["user"] = {
            "name": "Ada Lovelace" if premium else "Charles Babbage",
            "email": "ada@example.com" if premium else "charles@example.com",
            "type": state["user_type"],
        }
        return state


class RouteUserByType(BaseNode):
    """Decides where to go: what it returns is the id of the next node."""

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id, "agent")

    async def execute(self, state: State) -> str:
        print(f"{state['user']['name']} is a {state['user']['type']} user")
        return "escalate" if state["user"]["type"] == "premium" else "standard_process"


class EscalateToPremiumSupport(BaseNode):
    """Gives a premium user a person to talk to."""

    async def execute(self, state: State) -> State:
        state["contact"] = "Grace, your personal contact"
        state["events"].append("escalated to premium support")
        return state


class ProcessStandardUser(BaseNode):
    """Puts a standard user on the usual path."""

    async def execute(self, state: State) -> State:
        state["contact"] = "our help pages"
        state["events"].append("standard process done")
        return state


class SendWelcomeEmail(BaseNode):
    """Writes the welcome mail into the run's output folder; nothing is sent."""

    async def execute(self, state: State) -> State:
        user = state["user"]
        mail = (
            f"To: {user['email']}\nSubject: Welcome\n\nWelcome, {user['name']}! Questions go to {state['contact']}.\n"
        )
        path = self.output_dir / "welcome.txt"
        path.write_text(mail, encoding="utf-8")
        print(f"wrote {path}")
        state["email"] = path.name
        state["events"].append("welcome mail written")
        return state


class End(BaseNode):
    """Closes the record."""

    async def execute(self, state: State) -> State:
        state["events"].append("onboarding finished")
        return state
