"""`PayloadHooks`: makes the functions between JSON and objects of one revision: params, results, problems.

Decoding runs on the fast converter, which only finds that a value is wrong. The detailed converter
then goes through the same value again. It takes null for a missing field, as many peers write; its
errors become problems with paths. `RevisionCodec`
imports this module when the first payload arrives, and keeps the functions made here.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_args

from cattrs import BaseValidationError, ClassValidationError, Converter, IterableValidationError

from trimcp.codec.classes import RESULT_TYPE, wire_fields
from trimcp.codec.converters import build_converter
from trimcp.codec.strict import Refused
from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.schema.problems import at
from trimcp.types.methods import Method, methods_of, resolve
from trimcp.types.revisions import Revision

Decoder = Callable[[Any], Any]
ParamsDecoder = Callable[[Mapping[str, Any] | None], Any]
ResultDecoder = Callable[[Mapping[str, Any]], Any]
Encoder = Callable[[Any], dict[str, Any]]

INPUT_REQUIRED: Final = "input_required.InputRequiredResult"
CREATE_TASK: Final = "tasks.CreateTaskResult"
MAX_PROBLEMS: Final = 20
"""Problems reported for one value; after mending these, the peer learns of the others."""


class PayloadHooks:
    """Makes the decoders and encoders of one revision; they raise `InvalidPayload` or `InvalidResult`."""

    def __init__(self, revision: Revision) -> None:
        self.revision: Revision = revision
        self._fast: Converter = build_converter(revision, detailed=False)

    @functools.cached_property
    def _detailed(self) -> Converter:
        return build_converter(self.revision, detailed=True)

    def params_decoder(self, method: str) -> ParamsDecoder:
        """Return the decoder of a method's params; missing params are empty params."""
        cls = resolve(self._row(method).params)
        hook = self._fast.get_structure_hook(cls)

        def decode_params(params: Mapping[str, Any] | None) -> Any:
            value = {} if params is None else params
            try:
                return hook(value, cls)
            except (Refused, KeyError):
                return self._decode_again(value, cls, InvalidPayload)

        return decode_params

    def params_encoder(self, method: str) -> Encoder:
        """Return the encoder of a method's params."""
        return self.encoder(resolve(self._row(method).params))

    def result_decoder(self, method: str) -> ResultDecoder:
        """Return the decoder of a method's result."""
        row = self._row(method)
        decode = self.decoder(resolve(_result_of(row)), InvalidResult)
        if self.revision.result_type:
            return self.tagged_result_decoder(row, decode)
        if self._may_become_task(row):
            decode_task = self.decoder(resolve(CREATE_TASK), InvalidResult)
            # A task in place of the result has no tag; no other result of these methods has a `task`.
            return lambda result: (decode_task if "task" in result and _looks_like_task(result) else decode)(result)
        return decode

    def result_encoder(self, method: str) -> Encoder:
        """Return the encoder of a method's result, with `resultType` and all that the revision requires."""
        row = self._row(method)
        others = []
        if self.revision.result_type and row.asks:
            others.append(INPUT_REQUIRED)
        if self._may_become_task(row):
            others.append(CREATE_TASK)
        return self.encoder(resolve(_result_of(row)), others)

    def tagged_result_decoder(self, row: Method, decode: Decoder) -> ResultDecoder:
        """Return a decoder by `resultType`: `decode` for a complete result, or `InputRequiredResult`."""
        decode_input_required: Decoder | None = None

        def decode_result(result: Mapping[str, Any]) -> Any:
            nonlocal decode_input_required
            result_type = result.get(RESULT_TYPE, "complete")
            if result_type == "complete":
                return decode(result)
            if result_type == "input_required" and row.asks:
                if decode_input_required is None:
                    decode_input_required = self.decoder(resolve(INPUT_REQUIRED), InvalidResult)
                return decode_input_required(result)
            expected = '"complete" or "input_required"' if row.asks else '"complete"'
            raise InvalidResult([at(f"expected {expected}", (RESULT_TYPE,))])

        return decode_result

    def decoder(self, cls: Any, error: type[InvalidPayload]) -> Decoder:
        """Return the function from a JSON value to an instance of a class; it raises `error` with all problems."""
        hook = self._fast.get_structure_hook(cls)

        def decode(value: Any) -> Any:
            try:
                return hook(value, cls)
            except (Refused, KeyError):
                return self._decode_again(value, cls, error)

        return decode

    def _decode_again(self, value: Any, cls: Any, error: type[InvalidPayload]) -> Any:
        try:
            return self._detailed.get_structure_hook(cls)(value, cls)
        except (BaseValidationError, Refused, KeyError) as exc:
            raise error(_listed(exc)) from None

    def encoder(self, cls: Any, others: list[str] | None = None) -> Encoder:
        """Return the function from an instance of a class (or of one of `others`) to a JSON object."""
        hooks = {cls: self._fast.get_unstructure_hook(cls)}

        def hook_for(given: type) -> Callable[[Any], dict[str, Any]]:
            for allowed in itertools.chain((cls,), map(resolve, others or ())):  # resolves the others when it must
                if issubclass(given, allowed):
                    hooks[given] = hook = self._derived_hook(given, allowed)
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
                # The object was built wrongly by this side: a list that is None, a dict in place of an object.
                words = f"{type(value).__name__} holds a value of a wrong type"
                raise InvalidPayload([at(words, ())]) from error

        return encode

    def _derived_hook(self, given: type, allowed: Any) -> Callable[[Any], dict[str, Any]]:
        from trimcp.codec.encoded_results import EncodedToolResult, result_encoder  # late: it imports result classes

        hook: Callable[[Any], dict[str, Any]] = self._fast.get_unstructure_hook(allowed)
        return result_encoder(hook) if given is EncodedToolResult else hook

    def _row(self, method: str) -> Method:
        row = methods_of(self.revision).get(method)
        if row is None:
            raise UsageError(f"{self.revision.version} has no method {method}: use a revision that has it")
        return row

    def _may_become_task(self, row: Method) -> bool:
        return row.augmentable and "tasks/get" in methods_of(self.revision)


def _looks_like_task(result: Mapping[str, Any]) -> bool:
    return "content" not in result and "action" not in result


def _result_of(row: Method) -> str:
    if row.result is None:
        raise UsageError(f"{row.name} is a notification: it has no result")
    return row.result


def _listed(error: BaseException) -> list[str]:
    """Return the problems in an error of the detailed converter, each once."""
    found: dict[str, None] = {}
    for problem in _problems_of(error, ()):
        found[problem] = None
        if len(found) == MAX_PROBLEMS:
            break
    return list(found)


def _problems_of(error: BaseException, path: tuple[str | int, ...]) -> Iterator[str]:
    """Yield the problems in an error of the detailed converter."""
    if isinstance(error, ClassValidationError):
        names = {field.name: field.wire for field in wire_fields(error.cl)}
        for inner, note in error.group_exceptions()[0]:
            yield from _problems_of(inner, (*path, names[note.name]))
    elif isinstance(error, IterableValidationError):
        for inner, item_note in error.group_exceptions()[0]:
            yield from _problems_of(inner, (*path, item_note.index))
    elif isinstance(error, Refused):
        yield at(error.words, (*path, *error.steps))
    else:
        # A KeyError: the generated code looks up a required property by its name, the last step of the path.
        yield at("required property missing", path)
