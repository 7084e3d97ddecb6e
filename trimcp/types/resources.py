"""Resources: what they are, their lists, reading them, and news of them (server/resources)."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trimcp.types.content import ResourceContents
from trimcp.types.fields import ALWAYS, spec_field
from trimcp.types.metadata import Annotations, Icon
from trimcp.types.pagination import CacheablePage
from trimcp.types.payload import CacheableResult, NotificationParams, RequestParams


@attrs.define
class Resource:
    """What a server says of one of its resources.

    Attributes:
        uri: what it is read by.
        name: for machines.
        title: for people (2025-06-18).
        description: what it holds, for a model to read.
        mime_type: its media type.
        size: in bytes, before any encoding.
        annotations: hints on what it is good for.
        icons: pictures of it (2025-11-25).
    """

    uri: str
    name: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = None
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ResourceTemplate:
    """What a server says of a family of resources.

    Attributes:
        uri_template: of RFC 6570.
        name: for machines.
        mime_type: the media type of all of them, if they have it in common.
    """

    uri_template: str
    name: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    mime_type: str | None = None
    annotations: Annotations | None = None
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ListResourcesResult(CacheablePage):
    """One page of the server's resources."""

    resources: list[Resource]


@attrs.define
class ListResourceTemplatesResult(CacheablePage):
    """One page of the server's resource templates."""

    resource_templates: list[ResourceTemplate]


@attrs.define
class ResourceRequestParams(RequestParams):
    """A request about one resource.

    Attributes:
        uri: of the resource.
    """

    uri: str


@attrs.define
class ReadResourceRequestParams(ResourceRequestParams):
    """A request for what is in a resource; `input_responses` and `request_state` as for `CallToolRequestParams`."""

    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")


@attrs.define
class ReadResourceResult(CacheableResult):
    """What is in a resource, or in the several that one URI stands for."""

    contents: list[ResourceContents]


@attrs.define
class SubscribeRequestParams(ResourceRequestParams):
    """A wish to be told when the resource changes (legacy era)."""


@attrs.define
class UnsubscribeRequestParams(ResourceRequestParams):
    """The end of that wish (legacy era)."""


@attrs.define
class ResourceUpdatedNotificationParams(NotificationParams):
    """A resource has changed.

    Attributes:
        uri: of the resource, or of a part of the one that was subscribed to.
    """

    uri: str


@attrs.define
class ResourceTemplateReference:
    """Names a resource template, for completion; `ResourceReference` before 2025-06-18.

    Attributes:
        uri: of a resource, or the template itself.
    """

    uri: str
    type: Literal["ref/resource"] = attrs.field(default="ref/resource", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
