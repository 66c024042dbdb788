"""The providers of models that Rondo knows: where they are, which protocol they speak, and what is odd about each.

A provider of one's own comes from the settings (`[llm.providers.NAME]`), or in Python from `register`, as an instance
of `Provider` or of a subclass that overrides `headers` or `body`. Light: clients import this before their first paint.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import ModelSettingsProblem
from core.llm.messages import ModelRequest

Wire = Literal["anthropic", "openai"]
JsonMode = Literal["schema", "object", "text"]
"""How JSON is asked for: by its schema, as any object (the schema stands in the instructions), or in words alone."""


@dataclass(frozen=True)
class Provider:
    """One provider of models. `key` is a reference from the settings that takes the place of `key_names`."""

    name: str
    title: str
    wire: Wire
    base_url: str
    key_names: tuple[str, ...] = ()
    """Environment variables that may hold the key; the first that is set counts."""
    base_url_names: tuple[str, ...] = ()
    key: str = ""
    base_url_set: bool = False
    """The address was set by a person: no variable changes it."""
    key_needed: bool = True
    local: bool = False
    """It runs on this machine: where it does not answer, it is not started."""
    tools: bool = True
    json: JsonMode = "schema"
    effort: bool = True
    """Takes the effort; where not, it is not sent."""
    inline_schemas: bool = False
    """Takes no references in JSON Schemas: they are written out."""
    think_block: bool = False
    """Some of its models write what they think into the text, before the answer."""
    price_id: str = ""
    """Its name in the table of prices; "" where calls cost nothing that is known."""
    tried: bool = False
    """Whether this version of Rondo was tried against the live service."""
    custom: bool = False
    notes: tuple[str, ...] = ()

    def headers(self, request: ModelRequest) -> dict[str, str]:
        """More headers for a call."""
        return {}

    def body(self, request: ModelRequest) -> dict[str, Any]:
        """More fields for the body of a call, over those that the protocol gives."""
        return {}


_BUILT_IN = (
    Provider(
        "anthropic",
        "Anthropic",
        "anthropic",
        "https://api.anthropic.com",
        ("ANTHROPIC_API_KEY", "CLAUDE_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        ("ANTHROPIC_BASE_URL",),
        price_id="anthropic",
    ),
    Provider(
        "openai",
        "OpenAI",
        "openai",
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        ("OPENAI_BASE_URL",),
        price_id="openai",
    ),
    Provider(
        "google",
        "Google Gemini",
        "openai",
        "https://generativelanguage.googleapis.com/v1beta/openai/",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("GEMINI_BASE_URL",),
        inline_schemas=True,
        price_id="google",
        notes=(
            "takes a part of JSON Schema only: references are written out for it",
            "says that it stopped where it called tools: what counts is that there are calls",
            "signatures of its thoughts are sent back with each call of a tool",
        ),
    ),
    Provider(
        "groq",
        "Groq",
        "openai",
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        ("GROQ_BASE_URL",),
        json="object",
        think_block=True,
        price_id="groq",
        notes=("refuses logprobs, logit_bias, names of messages and more than one answer: none is sent",),
    ),
    Provider(
        "deepseek",
        "DeepSeek",
        "openai",
        "https://api.deepseek.com",
        ("DEEPSEEK_API_KEY",),
        ("DEEPSEEK_BASE_URL",),
        json="object",
        price_id="deepseek",
        notes=("gives JSON without a schema: the schema stands in the instructions, and the reply is checked",),
    ),
    Provider(
        "lmstudio",
        "LM Studio",
        "openai",
        "http://localhost:1234/v1",
        ("LMSTUDIO_API_KEY",),
        ("LMSTUDIO_BASE_URL",),
        key_needed=False,
        local=True,
        effort=False,
        think_block=True,
        notes=("runs on this machine; needs no key",),
    ),
    Provider(
        "ollama",
        "Ollama",
        "openai",
        "http://localhost:11434/v1",
        ("OLLAMA_API_KEY",),
        ("OLLAMA_BASE_URL",),
        key_needed=False,
        local=True,
        effort=False,
        think_block=True,
        notes=("runs on this machine; needs no key",),
    ),
    Provider(
        "perplexity",
        "Perplexity",
        "openai",
        "https://api.perplexity.ai",
        ("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
        ("PERPLEXITY_BASE_URL",),
        tools=False,
        effort=False,
        think_block=True,
        price_id="perplexity",
        notes=(
            "calls no tools: it can search in a node, but not edit workflows",
            "may write what it thinks before the JSON: that is cut off",
        ),
    ),
)
BUILT_IN: Mapping[str, Provider] = {provider.name: provider for provider in _BUILT_IN}
_registered: dict[str, Provider] = {}


def register(provider: Provider) -> Provider:
    """Make a provider known to this process (library mode); one of the same name is replaced. Returns it."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", provider.name) or provider.wire not in ("anthropic", "openai"):
        raise ModelSettingsProblem(
            f"A provider can't be registered as {provider.name!r} with the wire {provider.wire!r}.",
            next_step="Name it with small letters, digits, - and _; its wire is anthropic or openai.",
        )
    _registered[provider.name] = provider
    return provider


def unregister(name: str) -> None:
    """Forget a provider that was registered; one that Rondo knows is itself again."""
    _registered.pop(name, None)


def providers(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Provider]:
    """Every provider by name: those that Rondo knows, the registered ones, and over both what the settings say.

    `tables` is the settings' `llm.providers`. One that lacks its wire or address is there with "" and can't be used.
    """
    known = {**BUILT_IN, **_registered}
    for name, said in tables.items():
        known[name] = _as_said(known.get(name), name, said)
    return known


def provider_named(known: Mapping[str, Provider], name: str) -> Provider:
    """The provider of that name; raises ModelSettingsProblem where there is none that can be used."""
    provider = known.get(name)
    if provider is None:
        close = difflib.get_close_matches(name, known, n=1)
        raise ModelSettingsProblem(
            f"There is no provider {name!r}.",
            cause=f"There are: {', '.join(known)}.",
            next_step=f"Did you mean {close[0]}?"
            if close
            else f"Name one of them, or describe your own under [llm.providers.{name}] in the settings.",
        )
    if not provider.base_url or not provider.wire:
        missing = "base_url" if provider.wire else "wire"
        raise ModelSettingsProblem(
            f"The provider {name!r} is not described whole: it has no {missing}.",
            next_step=f"Set {missing} under [llm.providers.{name}] in the settings.",
        )
    return provider


def split_model(model: str) -> tuple[str, str]:
    """Provider and id of "provider:id"; raises ModelSettingsProblem on anything else."""
    name, separator, identifier = model.partition(":")
    if not separator or not name or not identifier:
        raise ModelSettingsProblem(
            f"{model!r} is not a model.",
            cause="A model is named by its provider and its id.",
            next_step="Write it as provider:id, for example anthropic:ID; `rondo models PROVIDER` lists the ids.",
        )
    return name, identifier


def known_variables() -> frozenset[str]:
    """The environment variables that hold keys and addresses of providers."""
    known = (*BUILT_IN.values(), *_registered.values())
    return frozenset(name for provider in known for name in (*provider.key_names, *provider.base_url_names))


def offered_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """What a client tells the engine of its environment: keys and addresses of providers, nothing else."""
    return {name: environment[name] for name in sorted(known_variables()) if environment.get(name)}


def _as_said(known: Provider | None, name: str, said: Mapping[str, Any]) -> Provider:
    base = known or Provider(name, name, "", "", custom=True)  # type: ignore[arg-type]
    changes: dict[str, Any] = {field: said[field] for field in ("wire", "title", "tools", "json") if field in said}
    if said.get("base_url"):
        changes |= {"base_url": said["base_url"], "base_url_set": True}
    if reference := said.get("key"):
        changes |= {"key": reference, "key_needed": reference != "none"}
    elif known is None:
        changes["key_needed"] = False
    return dataclasses.replace(base, **changes)
