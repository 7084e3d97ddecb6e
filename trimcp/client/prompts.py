"""Calls of prompts and of completion: the part of `Client` that makes them (server/prompts, utilities/completion)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from trimcp.client.requester import Listing, Requester
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.session.calls import OnProgress
    from trimcp.types.completion import Completion, CompletionReference
    from trimcp.types.prompts import GetPromptResult, ListPromptsResult, Prompt


class PromptCalls(Requester):
    """What a client asks about prompts."""

    async def list_prompts(self, *, fresh: bool = False) -> list[Prompt]:
        """All prompts of the server, page after page.

        Args:
            fresh: ask the server also where an earlier list may still be used.

        Raises:
            InvalidResult: the list does not end.
        """
        return await self.iter_prompts(fresh=fresh).all()

    def iter_prompts(self, *, fresh: bool = False) -> Listing[Prompt]:
        """The same one by one: `async for prompt in client.iter_prompts()`; pages are read as needed."""

        async def page(cursor: str | None) -> ListPromptsResult:
            return await self.prompts_page(cursor, fresh=fresh)

        return Listing(page, lambda page: page.prompts, "prompts")

    async def prompts_page(self, cursor: str | None = None, *, fresh: bool = False) -> ListPromptsResult:
        """One page of the server's prompts; `next_cursor` leads to the one after it, None where there is none."""
        page: ListPromptsResult = await self._page("prompts/list", cursor, fresh=fresh)
        return page

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GetPromptResult:
        """Get the messages of a prompt (server/prompts, "Getting a Prompt").

        Args:
            name: of the prompt.
            arguments: by name. They go as text; a value that is none goes as the text of its JSON.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: see `request`.
            meta: further keys for the request's `_meta`.

        Raises:
            InvalidParams: there is no such prompt, or an argument is missing or does not fit.
            UsageError: an argument has no JSON form.
        """
        params: dict[str, Any] = {"name": name}
        if arguments is not None:
            params["arguments"] = {key: _as_text(key, value) for key, value in arguments.items()}
        if meta is not None:
            params["_meta"] = dict(meta)
        result: GetPromptResult = await self.in_rounds(
            "prompts/get", params, self._codec.result_decoder("prompts/get"), timeout=timeout, on_progress=on_progress
        )
        return result

    async def complete(
        self,
        argument: str,
        value: str = "",
        *,
        prompt: str | None = None,
        template: str | None = None,
        given: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Completion:
        """Ask how an argument of a prompt, or a variable of a resource template, may go on.

        Args:
            argument: its name.
            value: what there is of it.
            prompt: the prompt's name; or
            template: the resource template, as it is listed.
            given: the other arguments that are known (sent from 2025-06-18 on).
            timeout: seconds to wait, instead of `Timeouts.request`.

        Raises:
            UsageError: neither a prompt nor a template is named, or both are.

        See server/utilities/completion.
        """
        from trimcp.types.completion import CompleteRequestParams, CompletionArgument, CompletionContext
        from trimcp.types.prompts import PromptReference
        from trimcp.types.resources import ResourceTemplateReference

        ref: CompletionReference
        if prompt is not None and template is None:
            ref = PromptReference(prompt)
        elif template is not None and prompt is None:
            ref = ResourceTemplateReference(template)
        else:
            raise UsageError("complete an argument of either a prompt=… or a template=…")
        context = None if given is None else CompletionContext(dict(given))
        method = "completion/complete"
        params = CompleteRequestParams(ref, CompletionArgument(argument, value), context)
        raw = await self.request(method, self._codec.params_encoder(method)(params), timeout=timeout)
        completion: Completion = self._decoded(self._codec.result_decoder(method), raw).completion
        return completion


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as exc:
        raise UsageError(f"the argument {name!r} has no JSON form: {exc}") from None
