"""Which model a role stands for, by the settings: the role's own, the profile's, or the profile's rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from core.errors import ModelSettingsProblem
from core.llm.messages import Effort
from core.settings import DEFAULT, LLM_PROFILES, LLM_ROLES, ROLES, Settings

Rule = Literal["given", "fast", "local"]
"""given: `model` says it. fast: the cheapest of its provider's list. local: what runs on this machine."""

_EFFORTS: dict[str, dict[str, Effort]] = {
    "default": {"chat": "medium", "planner": "medium", "executor": "low", "critic": "medium"},
    "development": dict.fromkeys(ROLES, "low"),
    "fast": dict.fromkeys(ROLES, "low"),
    "accurate": dict.fromkeys(ROLES, "high"),
    "local": dict.fromkeys(ROLES, ""),
}


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """What a role stands for: a model, or how one is chosen from a list.

    `source` is the file that says so: of the model, else of the effort, else of the profile; or "default".
    """

    role: str
    model: str
    effort: Effort
    rule: Rule
    source: str


def choose_role(settings: Settings, role: str) -> RoleChoice:
    """What a role stands for now; raises ModelSettingsProblem for a role that there is not."""
    if role not in ROLES:
        raise ModelSettingsProblem(
            f"There is no role {role!r}.", next_step=f"Name one of {', '.join(ROLES)}, or a model as provider:id."
        )
    profile = settings.llm.profile
    own = settings.table(LLM_ROLES).get(role, {})
    profiles = settings.table(LLM_PROFILES).get(profile, {})
    rule: Rule = "given"
    if own.get("model"):
        model, decides = own["model"], [f"{LLM_ROLES}.{role}.model"]
    elif profiles.get("model"):
        model, decides = profiles["model"], [f"{LLM_PROFILES}.{profile}.model"]
    else:
        model, decides = settings.llm.model, ["llm.model"]
        if profile == "fast":
            rule = "fast"
        elif profile == "local":
            rule, decides = "local", []
    effort = own.get("effort") or profiles.get("effort") or _EFFORTS[profile][role]
    if own.get("effort"):
        decides.append(f"{LLM_ROLES}.{role}.effort")
    elif profiles.get("effort"):
        decides.append(f"{LLM_PROFILES}.{profile}.effort")
    source = next((settings.sources[key] for key in (*decides, "llm.profile") if key in settings.sources), DEFAULT)
    return RoleChoice(role, str(model), cast(Effort, effort), rule, source)
