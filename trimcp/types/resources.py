"""Resources: their description, their lists, reading, and changes (server/resources)."""

from typing import Any, Literal

import attrs

from trimcp.types.content import ResourceContents
from trimcp.types.fields import ALWAYS, Extensible, spec_field
from trimcp.types.metadata import Annotations, Icon
from trimcp.types.payload import CacheablePage, CacheableResult, NotificationParams, RequestParams


@attrs.define(eq=False, repr=False)
class Resource(Extensible):
    """The description of a resource.

    Attributes:
        uri: its URI.
        name: its name for programs.
        title: its name for people (2025-06-18).
        description: its content, described for a model.
        mime_type: its media type.
        size: its size in bytes, before any encoding.
        annotations: hints on its use.
        icons: its icons (2025-11-25).
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


@attrs.define(eq=False, repr=False)
class ResourceTemplate(Extensible):
    """The description of a family of resources.

    Attributes:
        uri_template: the URI template (RFC 6570).
        name: its name for programs.
        mime_type: the media type of all its resources, if it is the same.
    """

    uri_template: str
    name: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    mime_type: str | None = None
    annotations: Annotations | None = None
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")


@attrs.define(eq=False, repr=False)
class ListResourcesResult(CacheablePage):
    """One page of the server's resources."""

    resources: list[Resource]


@attrs.define(eq=False, repr=False)
class ListResourceTemplatesResult(CacheablePage):
    """One page of the server's resource templates."""

    resource_templates: list[ResourceTemplate]


@attrs.define(eq=False, repr=False)
class ResourceRequestParams(RequestParams):
    """A request about one resource.

    Attributes:
        uri: the URI of the resource.
    """

    uri: str


@attrs.define(eq=False, repr=False)
class ReadResourceRequestParams(ResourceRequestParams):
    """A request for the contents of a resource; the last two fields are those of `CallToolRequestParams`."""

    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")


@attrs.define(eq=False, repr=False)
class ReadResourceResult(CacheableResult):
    """The contents of a resource, or of several resources under one URI."""

    contents: list[ResourceContents]


@attrs.define(eq=False, repr=False)
class SubscribeRequestParams(ResourceRequestParams):
    """A request for notifications of changes of a resource (legacy era)."""


@attrs.define(eq=False, repr=False)
class UnsubscribeRequestParams(ResourceRequestParams):
    """A request to end these notifications (legacy era)."""


@attrs.define(eq=False, repr=False)
class ResourceUpdatedNotificationParams(NotificationParams):
    """A resource has changed.

    Attributes:
        uri: the URI of the resource, or of a part of the subscribed resource.
    """

    uri: str


@attrs.define(eq=False, repr=False)
class ResourceTemplateReference(Extensible):
    """A reference to a resource template, for completion; `ResourceReference` before 2025-06-18.

    Attributes:
        uri: the URI of a resource, or the template.
    """

    uri: str
    type: Literal["ref/resource"] = attrs.field(default="ref/resource", kw_only=True, metadata=ALWAYS)
