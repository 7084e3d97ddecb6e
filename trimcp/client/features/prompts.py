"""Prompts and completion, for a client (server/prompts, server/utilities/completion)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimcp.client.features.arguments import named_arguments
from trimcp.errors import UsageError
from trimcp.schema.exact_json import encode

if TYPE_CHECKING:
    from trimcp.client.requests import ClientRequests
    from trimcp.session.call import OnProgress
    from trimcp.types.completion import Completion, CompletionReference
    from trimcp.types.prompts import GetPromptResult


async def get_prompt(
    requests: ClientRequests,
    name: str,
    arguments: Mapping[str, Any] | None,
    timeout: float | None,
    on_progress: OnProgress | None,
    meta: Mapping[str, Any] | None,
) -> GetPromptResult:
    """Get the messages of a prompt. See `Client.get_prompt`."""
    params: dict[str, Any] = {"name": name}
    given = named_arguments(arguments, f"prompt {name}")
    if given is not None:
        params["arguments"] = {key: _as_text(key, value) for key, value in given.items()}
    if meta is not None:
        params["_meta"] = dict(meta)
    decode = requests.codec.result_decoder("prompts/get")
    result: GetPromptResult = await requests.call(
        "prompts/get", params, decode, timeout=timeout, on_progress=on_progress
    )
    return result


async def complete(
    requests: ClientRequests,
    argument: str,
    value: str,
    prompt: str | None,
    template: str | None,
    given: Mapping[str, str] | None,
    timeout: float | None,
) -> Completion:
    """Ask for completions of an argument. See `Client.complete`."""
    from trimcp.types.completion import CompleteRequestParams, CompletionArgument, CompletionContext
    from trimcp.types.prompts import PromptReference
    from trimcp.types.resources import ResourceTemplateReference

    ref: CompletionReference
    if prompt is not None and template is None:
        ref = PromptReference(prompt)
    elif template is not None and prompt is None:
        ref = ResourceTemplateReference(template)
    else:
        raise UsageError(f"cannot complete {argument!r}: name either a prompt=… or a template=…")
    context = None if given is None else CompletionContext(dict(given))
    params = CompleteRequestParams(ref, CompletionArgument(argument, value), context)
    method = "completion/complete"
    raw = await requests.request(method, requests.codec.params_encoder(method)(params), timeout=timeout)
    completion: Completion = requests.decoded(requests.codec.result_decoder(method), raw).completion
    return completion


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return encode(value).decode()
    except TypeError as exc:
        raise UsageError(f"the argument {name!r} has no JSON form: {exc}") from None
