"""Params and results of methods ↔ objects: which class, what comes with `resultType`, what an error says.

`RevisionCodec` is the door to these; it keeps what they return for each method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from cattrs import BaseValidationError

from trimcp.codec.classes import RESULT_TYPE
from trimcp.codec.problems import problems_of
from trimcp.codec.schema_problems import at
from trimcp.codec.strict import Refused
from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.types.methods import Method, methods_of, resolve

if TYPE_CHECKING:
    from trimcp.codec.revisions import RevisionCodec

Decoder = Callable[[Any], Any]
ParamsDecoder = Callable[[Mapping[str, Any] | None], Any]
ResultDecoder = Callable[[Mapping[str, Any]], Any]
Encoder = Callable[[Any], dict[str, Any]]

INPUT_REQUIRED: Final = "input_required.InputRequiredResult"
CREATE_TASK: Final = "tasks.CreateTaskResult"


def params_decoder(codec: RevisionCodec, name: str) -> ParamsDecoder:
    """JSON params of a method → object. Missing params are empty ones."""
    decode = decoder(codec, resolve(_row(codec, name).params), InvalidPayload)

    def decode_params(params: Mapping[str, Any] | None) -> Any:
        return decode({} if params is None else params)

    return decode_params


def params_encoder(codec: RevisionCodec, name: str) -> Encoder:
    """Params object of a method → JSON."""
    return encoder(codec, resolve(_row(codec, name).params))


def result_decoder(codec: RevisionCodec, name: str) -> ResultDecoder:
    """JSON result of a method → object."""
    row = _row(codec, name)
    decode = decoder(codec, resolve(_result_of(row)), InvalidResult)
    if codec.revision.result_type:
        return tagged_result_decoder(codec, row, decode)
    if row.augmentable and "tasks/get" in methods_of(codec.revision):
        decode_task = decoder(codec, resolve(CREATE_TASK), InvalidResult)
        # A task in place of the result has no tag either; no other result of these methods has a `task`.
        return lambda result: (decode_task if "task" in result and _looks_like_task(result) else decode)(result)
    return decode


def _looks_like_task(result: Mapping[str, Any]) -> bool:
    return "content" not in result and "action" not in result


def tagged_result_decoder(codec: RevisionCodec, row: Method, decode: Decoder) -> ResultDecoder:
    """JSON result → object by its `resultType`: what `decode` makes of it, or, where the method asks, a question."""
    decode_question: Decoder | None = None

    def decode_result(result: Mapping[str, Any]) -> Any:
        nonlocal decode_question
        result_type = result.get(RESULT_TYPE, "complete")
        if result_type == "complete":
            return decode(result)
        if result_type == "input_required" and row.asks:
            if decode_question is None:
                decode_question = decoder(codec, resolve(INPUT_REQUIRED), InvalidResult)
            return decode_question(result)
        expected = '"complete" or "input_required"' if row.asks else '"complete"'
        raise InvalidResult([at(f"expected {expected}", (RESULT_TYPE,))])

    return decode_result


def result_encoder(codec: RevisionCodec, name: str) -> Encoder:
    """Result object of a method → JSON, `resultType` and what else the revision requires included."""
    row = _row(codec, name)
    others = []
    if codec.revision.result_type and row.asks:
        others.append(INPUT_REQUIRED)
    if row.augmentable and "tasks/get" in methods_of(codec.revision):
        others.append(CREATE_TASK)
    return encoder(codec, resolve(_result_of(row)), others)


def decoder(codec: RevisionCodec, cls: Any, error: type[InvalidPayload]) -> Decoder:
    """JSON value → instance of the class; raises `error` with all that is wrong with it."""
    hook = codec.fast.get_structure_hook(cls)

    def decode(value: Any) -> Any:
        try:
            return hook(value, cls)
        except (Refused, KeyError):
            raise error(_explain(codec, value, cls)) from None

    return decode


def encoder(codec: RevisionCodec, cls: Any, others: list[str] | None = None) -> Encoder:
    """Instance of the class (or of one of `others`) → JSON object; raises `InvalidPayload`."""
    hooks = {cls: codec.fast.get_unstructure_hook(cls)}

    def hook_for(given: type) -> Callable[[Any], dict[str, Any]]:
        for allowed in (cls, *map(resolve, others or ())):
            if issubclass(given, allowed):
                hooks[given] = hook = _hook(codec, given, allowed)
                return hook
        expected = " or ".join(member.__name__ for member in get_args(cls) or (cls,))
        raise InvalidPayload([at(f"expected {expected}, found {given.__name__}", ())])

    def encode(value: Any) -> dict[str, Any]:
        hook = hooks.get(type(value)) or hook_for(type(value))
        try:
            return hook(value)
        except Refused as refused:
            raise InvalidPayload([at(refused.words, refused.steps)]) from None
        except (AttributeError, TypeError, ValueError) as error:
            # Our own side built it wrongly: a list that is None, a dict where an object belongs.
            words = f"{type(value).__name__} holds a value of a wrong type"
            raise InvalidPayload([at(words, ())]) from error

    return encode


def _hook(codec: RevisionCodec, given: type, allowed: Any) -> Callable[[Any], dict[str, Any]]:
    """What encodes instances of a class derived from the one that the method's result has."""
    from trimcp.codec.encoded_results import EncodedToolResult  # its classes are there, if it is

    hook: Callable[[Any], dict[str, Any]] = codec.fast.get_unstructure_hook(allowed)
    return (lambda result: result.encode(hook)) if given is EncodedToolResult else hook


def _explain(codec: RevisionCodec, value: Any, cls: Any) -> list[str]:
    problems: list[str] = []
    try:
        codec.detailed.get_structure_hook(cls)(value, cls)
    except (BaseValidationError, Refused, KeyError) as error:
        problems = problems_of(error)
    return problems or [at("unexpected value", ())]


def _row(codec: RevisionCodec, name: str) -> Method:
    row = methods_of(codec.revision).get(name)
    if row is None:
        raise UsageError(f"{codec.revision.version} has no method {name}")
    return row


def _result_of(row: Method) -> str:
    if row.result is None:
        raise UsageError(f"{row.name} is a notification and has no result")
    return row.result
