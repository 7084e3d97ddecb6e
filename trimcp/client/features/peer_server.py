"""`PeerServer`: the server of a client, known by how it is reached, not by its own name for itself."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from trimcp.codec.jsontext import dumps
from trimcp.http.urls import shown
from trimcp.observability.masking import masked_words
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.types.metadata import Implementation


@attrs.frozen
class PeerServer:
    """The server of a client, as this side knows it.

    Attributes:
        name: its name on this side: in a group that of the member, else the address.
        address: how it is reached, without secrets: a URL without its query, or a command.
        identity: a digest of how it is reached; None where a later connection cannot be known to reach the same one.
        claimed: the name and version that the server gives itself, unverified.
    """

    name: str
    address: str
    identity: str | None = None
    claimed: Implementation | None = None

    @classmethod
    def of(cls, target: object, cwd: str | os.PathLike[str] | None = None) -> PeerServer:
        """Return the server at a target of `trimcp.connect`, where `cwd` is the directory of commands."""
        if isinstance(target, Duplex):
            return cls._at("a connection of the program")
        if isinstance(target, str) and ("://" in target or target.startswith("unix:")):
            return cls._at(shown(target) if "://" in target else target, ["url", target])
        if isinstance(target, str | os.PathLike):
            target = [os.fspath(target)]
        if isinstance(target, Sequence):
            words = [os.fspath(word) for word in target if isinstance(word, str | os.PathLike)]
            return cls._at(shlex.join(masked_words(words)), ["command", *_found(words, cwd)])
        name = getattr(target, "name", None)
        return cls._at(f"in this process: {name}", ["object", str(name), sys.argv[0]])

    @classmethod
    def _at(cls, address: str, reached: list[str] | None = None) -> PeerServer:
        identity = None if reached is None else hashlib.sha256(dumps(reached)).hexdigest()
        return cls(address, address, identity)


def _found(words: list[str], cwd: str | os.PathLike[str] | None) -> list[str]:
    """Return the words of a command with the paths in them made absolute: another file is another server."""
    base = os.path.abspath(cwd or os.curdir)
    program = [shutil.which(word) or word for word in words[:1]]
    return [
        os.path.join(base, word) if os.path.exists(os.path.join(base, word)) else word for word in program + words[1:]
    ]
