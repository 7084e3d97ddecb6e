"""Elicitation: a server's request to the client's user (client/elicitation).

The classes of the schemas that a form may ask with are in `trimcp.types.elicitation_schemas`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.fields import spec, spec_field
from trimcp.types.payload import NotificationParams, RequestParams, Result, TaskMetadata

ElicitAction = Literal["accept", "decline", "cancel"]


@attrs.define
class ElicitRequestFormParams(RequestParams):
    """A request to fill in a form.

    Attributes:
        message: what is asked and why, for people.
        requested_schema: JSON Schema of the content, as `ElicitRequestedSchema` describes it: a flat
            object of primitive properties. It stays a dict so that it can validate what comes back.
        mode: `form`; 2025-06-18 has no other and no word for it.
        task: makes the request a task (2025-11-25 alone).
    """

    message: str
    requested_schema: dict[str, Any] = attrs.field(metadata=spec(shape="requested_schema"))
    mode: Literal["form"] | None = spec_field(since="2025-11-25")
    task: TaskMetadata | None = spec_field(since="2025-11-25", until="2025-11-25")
    meta: dict[str, Any] | None = attrs.field(
        default=None, kw_only=True, metadata=spec(until="2025-11-25", shape="request_meta")
    )


@attrs.define
class ElicitRequestURLParams(RequestParams):
    """A request to visit a web page (2025-11-25).

    Attributes:
        message: what is to be done there and why, for people.
        url: of the page.
        elicitation_id: what `notifications/elicitation/complete` names it by; required by 2025-11-25, the
            only revision that has it.
        task: makes the request a task (2025-11-25 alone).
    """

    message: str
    url: str
    elicitation_id: str | None = attrs.field(
        default=None, metadata=spec(since="2025-11-25", until="2025-11-25", required_since="2025-11-25")
    )
    task: TaskMetadata | None = spec_field(since="2025-11-25", until="2025-11-25")
    mode: Literal["url"] = attrs.field(default="url", kw_only=True, metadata=spec(required_since="2024-11-05"))
    meta: dict[str, Any] | None = attrs.field(
        default=None, kw_only=True, metadata=spec(until="2025-11-25", shape="request_meta")
    )


ElicitRequestParams = ElicitRequestFormParams | ElicitRequestURLParams


@attrs.define
class ElicitResult(Result):
    """What the user did; in 2026-07-28 an answer to an input request, which has no `_meta` of its own.

    Attributes:
        action: `accept`, `decline` (a no) or `cancel` (no answer).
        content: what was filled in, for an accepted form: texts, numbers, booleans, lists of texts.
    """

    result_type: ClassVar[str | None] = None

    action: ElicitAction
    content: dict[str, Any] | None = spec_field(shape="elicited")
    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True, metadata=spec(until="2025-11-25"))


@attrs.define
class ElicitationCompleteNotificationParams(NotificationParams):
    """What a web page was opened for is done (2025-11-25 alone)."""

    elicitation_id: str
