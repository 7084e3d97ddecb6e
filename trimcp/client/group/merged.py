"""What the servers of a group offer, as it stands in the lists that the group makes of theirs.

Each item is the server's own with the name that it has in the group, and says whose it is. Made by `calls`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from trimcp.client.group.naming import merged_name, reference
from trimcp.types.prompts import Prompt
from trimcp.types.resources import Resource, ResourceTemplate
from trimcp.types.tools import Tool

T = TypeVar("T")


@attrs.define
class MemberTool(Tool):
    """A tool of a member; `name` is what the group calls it.

    Attributes:
        server: the member's name.
        own_name: what the server itself calls it.
    """

    server: str = attrs.field(kw_only=True)
    own_name: str = attrs.field(kw_only=True)


@attrs.define
class MemberPrompt(Prompt):
    """A prompt of a member; `name` is what the group calls it.

    Attributes:
        server: the member's name.
        own_name: what the server itself calls it.
    """

    server: str = attrs.field(kw_only=True)
    own_name: str = attrs.field(kw_only=True)


@attrs.define
class MemberResource(Resource):
    """A resource of a member, under the URI that the server gives it.

    Attributes:
        server: the member's name.
        reference: member and URI in one, `SERVER__URI`; no two in a group are alike.
    """

    server: str = attrs.field(kw_only=True)
    reference: str = attrs.field(kw_only=True)


@attrs.define
class MemberTemplate(ResourceTemplate):
    """A resource template of a member, as the server gives it.

    Attributes:
        server: the member's name: read what is made of the template with `read_resource(uri, server=…)`.
    """

    server: str = attrs.field(kw_only=True)


class MergedList(list[T]):
    """A list over all members that are ready, in the order in which they were added."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[str, Exception] = {}
        """Why a member's list is missing, by its name: `RequestFailed`, `RequestTimedOut`, `ConnectionEnded`, …"""


def tool_of(server: str, tool: Tool) -> MemberTool:
    """The tool, as it stands in a merged list."""
    return MemberTool(**_fields(tool, name=merged_name(server, tool.name)), server=server, own_name=tool.name)


def prompt_of(server: str, prompt: Prompt) -> MemberPrompt:
    """The prompt, as it stands in a merged list."""
    return MemberPrompt(**_fields(prompt, name=merged_name(server, prompt.name)), server=server, own_name=prompt.name)


def resource_of(server: str, resource: Resource) -> MemberResource:
    """The resource, as it stands in a merged list."""
    return MemberResource(**_fields(resource), server=server, reference=reference(server, resource.uri))


def template_of(server: str, template: ResourceTemplate) -> MemberTemplate:
    """The template, as it stands in a merged list."""
    return MemberTemplate(**_fields(template), server=server)


def _fields(item: Any, **others: Any) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in attrs.fields(type(item))} | others
