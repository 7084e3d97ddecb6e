"""Elicitation: a server's request to the client's user (client/elicitation).

The classes of the schemas of forms are in `trimcp.types.elicitation_schemas`.
"""

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.fields import Extensible, spec, spec_field
from trimcp.types.payload import NotificationParams, RequestParams, Result, TaskMetadata

ElicitAction = Literal["accept", "decline", "cancel"]


@attrs.define(eq=False, repr=False)
class ElicitRequestFormParams(RequestParams):
    """A request to fill in a form.

    Attributes:
        message: the question and its reason, for people.
        requested_schema: JSON Schema of the content, as `ElicitRequestedSchema` describes it: a flat
            object of primitive properties. It stays a dict, to validate the answer with.
        mode: `form`; 2025-06-18 has no modes.
        task: makes the request a task (only 2025-11-25).
    """

    message: str
    requested_schema: dict[str, Any] = attrs.field(metadata=spec(check="requested_schema"))
    mode: Literal["form"] | None = spec_field(since="2025-11-25")
    task: TaskMetadata | None = spec_field(since="2025-11-25", until="2025-11-25")
    meta: dict[str, Any] | None = attrs.field(
        default=None, kw_only=True, metadata=spec(until="2025-11-25", check="request_meta")
    )


@attrs.define(eq=False, repr=False)
class ElicitRequestURLParams(RequestParams):
    """A request to open a web page (2025-11-25).

    Attributes:
        message: the purpose of the page, for people.
        url: the URL of the page.
        elicitation_id: its id in `notifications/elicitation/complete`; required by 2025-11-25, the only
            revision that has it.
        task: makes the request a task (only 2025-11-25).
    """

    message: str
    url: str
    elicitation_id: str | None = attrs.field(
        default=None, metadata=spec(since="2025-11-25", until="2025-11-25", required_since="2025-11-25")
    )
    task: TaskMetadata | None = spec_field(since="2025-11-25", until="2025-11-25")
    mode: Literal["url"] = attrs.field(default="url", kw_only=True, metadata=spec(required_since="2024-11-05"))
    meta: dict[str, Any] | None = attrs.field(
        default=None, kw_only=True, metadata=spec(until="2025-11-25", check="request_meta")
    )


ElicitRequestParams = ElicitRequestFormParams | ElicitRequestURLParams


@attrs.define(eq=False, repr=False)
class ElicitResult(Result):
    """The action of the user; in 2026-07-28 the answer to an input request, which has no `_meta`.

    Attributes:
        action: `accept`, `decline` (a no) or `cancel` (no answer).
        content: the values of an accepted form: strings, numbers, booleans, lists of strings.
    """

    result_type: ClassVar[str | None] = None

    action: ElicitAction
    content: dict[str, Any] | None = spec_field(check="elicited")
    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True, metadata=spec(until="2025-11-25"))


@attrs.define(eq=False, repr=False)
class ElicitationCompleteNotificationParams(NotificationParams):
    """The user has completed the task of a web page (only 2025-11-25)."""

    elicitation_id: str


@attrs.define(eq=False, repr=False)
class URLElicitationRequiredData(Extensible):
    """The data of `URL_ELICITATION_REQUIRED` (2025-11-25): the pages to open before sending the request again."""

    elicitations: list[ElicitRequestURLParams]
