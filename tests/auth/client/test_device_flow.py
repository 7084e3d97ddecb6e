"""Sign-ins on another device."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import trio

from tests.auth.client.world import World
from trimcp.auth import DeviceFlow, DevicePrompt, MemoryStore
from trimcp.errors import ExchangeFailed

ANSWER = {
    "device_code": "canary-device",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://as.example/device-page",
    "verification_uri_complete": "https://as.example/device-page?code=ABCD-EFGH",
    "expires_in": 600,
    "interval": 5,
}


class Device:
    """The device endpoint, and what polls get until a person has agreed."""

    def __init__(self, world: World, *polls: str | int | None, **changes: Any) -> None:
        self.world = world
        self.polls = list(polls)
        self.times: list[float] = []
        self.prompts: list[DevicePrompt] = []
        world.answers["https://as.example/device"] = lambda request: httpx2.Response(200, json={**ANSWER, **changes})
        world.answers["https://as.example/token"] = self.poll

    def poll(self, request: httpx2.Request) -> httpx2.Response:
        self.times.append(trio.current_time())
        answer = self.polls.pop(0) if self.polls else None
        if isinstance(answer, int):
            return httpx2.Response(answer)
        if answer is not None:
            return httpx2.Response(400, json={"error": answer})
        return self.world._tokens("client-0", "basic", "device_code")

    async def show(self, prompt: DevicePrompt) -> None:
        self.prompts.append(prompt)
        self.times.append(trio.current_time())

    @property
    def pauses(self) -> list[float]:
        return [round(after - before, 3) for before, after in zip(self.times, self.times[1:], strict=False)]


async def test_a_person_signs_in_on_another_device(world: World, autojump_clock: Any) -> None:
    device = Device(world, "authorization_pending", "slow_down", 503, "authorization_pending")
    auth = DeviceFlow(show=device.show)
    assert await world.call(auth) == 200
    assert device.pauses == [5, 5, 10, 20, 20]
    (prompt,) = device.prompts
    assert (prompt.user_code, prompt.verification_uri) == ("ABCD-EFGH", "https://as.example/device-page")
    assert prompt.verification_uri_complete == "https://as.example/device-page?code=ABCD-EFGH"
    (asked,) = world.to("/device")
    assert asked.body == {"client_id": "client-0", "scope": "basic", "resource": world.url}
    poll = world.to("/token")[-1].body
    assert poll == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "canary-device",
        "client_id": "client-0",
        "resource": world.url,
    }
    (registration,) = world.to("/register")
    assert registration.body["redirect_uris"] == []
    assert registration.body["grant_types"] == [poll["grant_type"], "refresh_token"]


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_grant"])
async def test_a_refusal_ends_it(world: World, error: str, autojump_clock: Any) -> None:
    device = Device(world, "authorization_pending", error)
    with pytest.raises(ExchangeFailed, match=error) as raised:
        await world.call(DeviceFlow(show=device.show))
    assert len(device.times) == 3
    assert "canary" not in str(raised.value)


async def test_a_code_that_is_not_used_ends_it(world: World, autojump_clock: Any) -> None:
    device = Device(world, *["authorization_pending"] * 100, expires_in=60)
    with pytest.raises(ExchangeFailed, match="not used in time"):
        await world.call(DeviceFlow(show=device.show))
    assert len(device.times) <= 13


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None},
        {"verification_uri": "javascript:x"},
        {"verification_uri_complete": "http://evil.example/"},
    ],
)
async def test_an_answer_that_cannot_be_used(world: World, changes: dict[str, Any], autojump_clock: Any) -> None:
    device = Device(world, **changes)
    with pytest.raises(ExchangeFailed, match=r"without a code|Invalid URL"):
        await world.call(DeviceFlow(show=device.show))
    assert not device.prompts


@pytest.mark.parametrize(
    ("changes", "lifetime", "pause"),
    [
        ({"expires_in": -1}, 0, 5),
        ({"expires_in": -1e300, "interval": -1e300}, 0, 1),
        ({"expires_in": 1e300, "interval": 1e300}, 3600, 60),
        ({"expires_in": "9" * 5000, "interval": "7"}, 3600, 7),
        ({"expires_in": True, "interval": True}, 600, 5),
        ({"expires_in": None, "interval": {}}, 600, 5),
    ],
)
async def test_times_that_a_server_should_not_give(
    world: World, changes: dict[str, Any], lifetime: float, pause: float, autojump_clock: Any
) -> None:
    device = Device(world, **changes)
    auth = DeviceFlow(show=device.show)
    if lifetime == 0:
        with pytest.raises(ExchangeFailed, match="not used in time"):
            await world.call(auth)
    else:
        assert await world.call(auth) == 200
        assert device.pauses == [pause]
    assert [prompt.expires_in for prompt in device.prompts] == [lifetime]


async def test_a_server_without_the_flow(world: World) -> None:
    assert world.metadata is not None
    del world.metadata["device_authorization_endpoint"]
    with pytest.raises(ExchangeFailed, match="has no device flow"):
        await world.call(DeviceFlow())


async def test_each_flow_has_a_registration_of_its_own(world: World, autojump_clock: Any) -> None:
    store = MemoryStore()
    assert await world.call(world.oauth(store=store)) == 200
    device = Device(world)
    world.access.clear()
    world.refresh.clear()
    for key in [key for key in store._entries if key.resource.startswith("https")]:
        del store._entries[key]
    assert await world.call(DeviceFlow(show=device.show, store=store)) == 200
    assert len(world.to("/register")) == 2


async def test_address_and_code_go_to_stderr(
    world: World, autojump_clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Device(world, user_code="AB\x1b[31mCD")
    assert await world.call(DeviceFlow()) == 200
    shown = capsys.readouterr()
    assert shown.err == "Open https://as.example/device-page and enter the code AB[31mCD\n"
    assert shown.out == ""
