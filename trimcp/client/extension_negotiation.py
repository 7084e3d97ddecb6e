"""The extensions of one client: those that it offers its server, and those that were agreed upon.

`trimcp.client.extension` is how one of them is declared. `connect` imports this module when it is given extensions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from trimcp.actors.containment import answer_of
from trimcp.client.extension import ClientExtension, Finish, UnfinishedCall
from trimcp.client.notifications.notices import ExtensionNotice
from trimcp.codec import extension_payloads as codecs
from trimcp.codec.payloads import Decoder
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import InvalidPayload, UsageError
from trimcp.observability import events, log
from trimcp.session.request import Route
from trimcp.types.methods import Method, methods_of

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.session.call import OnProgress
    from trimcp.session.request import InboundRequest
    from trimcp.types.extensions import ExtensionMethod, ExtensionNotification
    from trimcp.types.revisions import Revision


class ClientOwner(Protocol):
    """The run of a client."""

    client: Client


class OfferedExtensions:
    """Holds the extensions that one call of `connect` was given, and declares them."""

    def __init__(self, extensions: Sequence[ClientExtension]) -> None:
        """Take extensions into use: nothing more can be declared on them.

        Raises:
            UsageError: two have one identifier; a method or notification belongs to the core, or to another
                extension, in a revision that has both; two finish the same results.
        """
        self._all: dict[str, ClientExtension] = {}
        for extension in extensions:
            if extension.identifier in self._all:
                raise UsageError(f"the extension {extension.identifier} is given twice: leave one out")
            self._check(extension)
            extension.used()
            self._all[extension.identifier] = extension

    def _check(self, extension: ClientExtension) -> None:
        declared: tuple[ExtensionMethod[Any, Any] | ExtensionNotification[Any], ...] = (
            *extension.sent.values(),
            *extension.received.values(),
            *(method for method, _ in extension.served.values()),
        )
        for revision in extension.revisions:
            names = [one.name for one in declared if one.exists_in(revision)]
            core = methods_of(revision)
            for name in names:
                if name in core:
                    raise UsageError(
                        f"{extension.identifier} cannot have {name}, which is a method of {revision.version} itself: "
                        "give it another name"
                    )
                for other in self._in(revision):
                    if other.has(name):
                        raise UsageError(
                            f"{extension.identifier} and {other.identifier} both have {name}: rename one of them"
                        )
            tags = {(name, r.tag) for other in self._in(revision) for r, _ in other.finishers for name in r.methods}
            for result, _ in extension.finishers:
                if tags & {(name, result.tag) for name in result.methods}:
                    raise UsageError(f"resultType {result.tag!r} is finished by two extensions: leave one out")

    def _in(self, revision: Revision) -> list[ClientExtension]:
        return [extension for extension in self._all.values() if extension.exists_in(revision)]

    # --- before there is an agreement -------------------------------------------------

    def settings(self, revision: Revision) -> dict[str, Mapping[str, Any]]:
        """Return the settings of each extension that exists in a revision, for the client to declare."""
        return {extension.identifier: extension.settings for extension in self._in(revision)}

    def routes(self, revision: Revision) -> dict[str, Route]:
        """Return the requests of servers that extensions answer in a revision."""
        codec = codec_for(revision)
        return {
            name: Route(
                method.row(),
                codecs.params_decoder(codec, method.params),
                _handle(handler),
                codecs.result_encoder(codec, method),
            )
            for extension in self._in(revision)
            for name, (method, handler) in extension.served.items()
            if method.exists_in(revision)
        }

    def named_params(self, revision: Revision) -> dict[str, str]:
        """Return the member of params that `Mcp-Name` repeats over HTTP, for each method that extensions send."""
        return {
            name: method.named_by
            for extension in self._in(revision)
            for name, method in extension.sent.items()
            if method.named_by is not None and method.exists_in(revision)
        }

    def agreed(self, revision: Revision, run: ClientOwner) -> AgreedExtensions:
        """Return the extensions in the revision that was agreed upon, for one client."""
        return AgreedExtensions(self._in(revision), revision, run)


class AgreedExtensions:
    """Encodes, decodes and finishes for the extensions of a client, in the revision that it speaks."""

    def __init__(self, extensions: Sequence[ClientExtension], revision: Revision, run: ClientOwner) -> None:
        """`run` has the client that functions of extensions get."""
        self._run = run
        self._revision = revision
        self._codec: RevisionCodec = codec_for(revision)
        self._extensions = extensions
        self._rows: dict[str, Method] = {
            name: method.row() for e in extensions for name, method in e.sent.items() if method.exists_in(revision)
        }
        self._decoders: dict[str, Decoder] = {}
        self._codecs: dict[str, tuple[Callable[[Any], dict[str, Any]], Decoder]] = {}

    def row(self, method: str) -> Method | None:
        """Return the row of a request that an extension makes."""
        return self._rows.get(method)

    # --- the methods of extensions ----------------------------------------------------

    def codecs_of(
        self, method: ExtensionMethod[Any, Any], declared: Mapping[str, Any]
    ) -> tuple[Callable[[Any], dict[str, Any]], Decoder]:
        """Return the encoder of a method's params, and the decoder of its results.

        Raises:
            UsageError: no extension of the client sends it in this revision, or the server did not declare that one.
        """
        owner = next((e for e in self._extensions if e.sent.get(method.name) == method), None)
        if owner is None or method.name not in self._rows:
            raise UsageError(
                f"cannot call {method.name} in {self._revision.version}: no extension given to "
                "connect(extensions=…) sends it"
            )
        if method.needs_declared and owner.identifier not in declared:
            raise UsageError(f"cannot call {method.name}: the server did not declare the extension {owner.identifier}")
        found = self._codecs.get(method.name)
        if found is None:
            found = self._codecs[method.name] = (
                codecs.params_encoder(self._codec, method.params),
                codecs.result_decoder(self._codec, method),
            )
        return found

    # --- results of core methods ------------------------------------------------------

    def decoder(self, method: str, decode: Decoder) -> Decoder:
        """Return a decoder of a core method that reads results of extensions as well."""
        known = self._decoders.get(method)
        if known is None:
            results = [result for result, _ in self._finishers(method)]
            known = codecs.polymorphic_decoder(self._codec, decode, results) if results else decode
            self._decoders[method] = known
        return known

    async def finished(
        self,
        method: str,
        params: Mapping[str, Any],
        result: Any,
        decode: Decoder,
        *,
        timeout: float | None,
        on_progress: OnProgress | None,
    ) -> Any:
        """Return the result of the method itself, by the function that an extension has for its own result."""
        for kind, finish in self._finishers(method):
            if isinstance(result, kind.result):
                call = UnfinishedCall(method=method, params=params, timeout=timeout, on_progress=on_progress)
                final = await finish(self._run.client, call, result)
                return decode(final) if isinstance(final, Mapping) else final
        return result

    def _finishers(self, method: str) -> list[tuple[Any, Finish[Any]]]:
        if not self._revision.result_type:
            return []
        return [(r, finish) for e in self._extensions for r, finish in e.finishers if method in r.methods]

    # --- notifications ----------------------------------------------------------------

    def notice_of(self, method: str, params: Mapping[str, Any] | None) -> ExtensionNotice | None:
        """Return the notice that a notification of an extension is; None if it breaks its declaration."""
        for extension in self._extensions:
            notification = extension.received.get(method)
            if notification is None or not notification.exists_in(self._revision):
                continue
            try:
                decoded = codecs.params_decoder(self._codec, notification.params)(params)
            except InvalidPayload as exc:
                log.warning(events.MESSAGE_IGNORED, method=method, why=str(exc))
                return None
            return ExtensionNotice(method, decoded)
        return None

    def handlers_of(self, method: str) -> Sequence[Callable[[Client, Any], None]]:
        """Return the functions that are declared for a notification."""
        for extension in self._extensions:
            if method in extension.received:
                return extension.handlers.get(method, ())
        return ()


def _handle(handler: Callable[[Any], Awaitable[Any]]) -> Callable[[InboundRequest, Any], Awaitable[Any]]:
    async def handle(request: InboundRequest, params: Any) -> Any:
        return await answer_of(handler, params)

    return handle
