"""The part of a node that calls models, addresses and tools: the engine makes the calls, and records them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.sdk.calls import HTTP, LLM, TOOL, Response, http_request, llm_request, llm_value
from core.sdk.tools import REGISTERED
from core.sdk.visit import Visit

HTTP_SECONDS = 30.0


class Caller:
    """What a node can call. Each call is recorded before its result comes: a visit that is repeated after a crash or
    a wait is given the same result and pays nothing again. A retry after a failure makes its calls anew.
    """

    def _present_visit(self, what: str) -> Visit:
        raise NotImplementedError

    async def llm(
        self,
        prompt: str | None = None,
        *,
        schema: Any = None,
        system: str = "",
        role: str = "executor",
        model: str = "",
        effort: str = "",
        max_tokens: int | None = None,
        messages: Iterable[Mapping[str, Any]] | None = None,
    ) -> Any:
        """Ask a language model and return its text, or with `schema` an instance of it.

        `schema` is a pydantic model class, a dataclass, a TypedDict, or a JSON Schema as a dict. `role` names a model
        of the settings, `model` ("provider:id") one by itself. `messages` are `{"role", "content"}` of a conversation
        before the prompt. Raises the ModelProblem family, among them BudgetReached.
        """
        request = llm_request(
            prompt,
            schema=schema,
            system=system,
            role=role,
            model=model,
            effort=effort,
            max_tokens=max_tokens,
            messages=messages,
        )
        return llm_value(await self._present_visit("llm").call(LLM, request), schema)

    async def http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: str | bytes | Mapping[str, str] | None = None,
        timeout: float = HTTP_SECONDS,
    ) -> Response:
        """Call an address and return its response, whatever its status; `timeout` is in seconds.

        Redirects of GET and HEAD are followed, cookies are not kept, a body may have 10 MB. Raises the CallProblem
        family where there is no answer.
        """
        request = http_request(method, url, headers=headers, params=params, json=json, data=data, timeout=timeout)
        return Response(await self._present_visit("http").call(HTTP, request))

    async def tool(self, name: str, action: str, args: Mapping[str, Any] | None = None) -> Any:
        """Call an action of one of the workflow's tools and return its result.

        Raises ToolMissing, and the ToolProblem family. A tool that was registered in the code is called right here.
        """
        own = REGISTERED.get(str(name))
        if own is not None:
            return await own.call(str(action), args)
        request = {"tool": str(name), "action": str(action), "args": dict(args or {})}
        return (await self._present_visit("tool").call(TOOL, request))["value"]
