"""Features over the wire: administrators' and people's switches, and what they close."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from retaia_tests.house import House
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.features import AI, BULK_DECISIONS, CORE_KEYS, FEATURES, SUGGEST_TAGS

FILTER = {"action": "KEEP", "filter": {}, "max_items": 10}


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


@pytest.fixture
async def house(house: House) -> House:
    """A house whose server offers bulk decisions and suggests tags."""
    house.flags[BULK_DECISIONS] = True
    house.switched_on = frozenset({"suggest_tags"})
    return house


async def switch_app(served: Served, **switches: bool) -> httpx.Response:
    """Change the administrators' switches."""
    return await served.person.patch("/app/features", json={"app_feature_enabled": switches})


async def switch_mine(served: Served, **switches: bool) -> httpx.Response:
    """Change one's own switches."""
    return await served.person.patch("/auth/me/features", json={"user_feature_enabled": switches})


async def document(answer: httpx.Response) -> dict[str, Any]:
    """What a request that succeeded answered."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


class TestSwitches:
    """What is on for whom."""

    async def test_everything_is_stated(self, served: Served) -> None:
        """Every feature has a switch, a rule and an effect; nobody touched any yet."""
        app = await document(await served.person.get("/app/features"))
        mine = await document(await served.person.get("/auth/me/features"))
        keys = {feature.key for feature in FEATURES}
        assert app["app_feature_enabled"] == dict.fromkeys(keys, True)
        assert mine["user_feature_enabled"] == dict.fromkeys(keys, True)
        assert {rule["key"] for rule in app["feature_governance"]} == keys
        assert app["core_v1_global_features"] == list(CORE_KEYS)
        off = {key for key, on in mine["effective_feature_enabled"].items() if not on}
        assert off == {"features.ai.transcribe_audio"}

    async def test_switches_close_and_open(self, served: Served) -> None:
        """An administrator's switch closes what depends on it; a person's only their own."""
        app = await document(await switch_app(served, **{AI: False}))
        assert app["app_feature_enabled"][AI] is False
        mine = await document(await served.person.get("/auth/me/features"))
        assert mine["user_feature_enabled"][AI] is True
        effective = mine["effective_feature_enabled"]
        assert (effective[AI], effective[SUGGEST_TAGS], effective[BULK_DECISIONS]) == (
            False, False, True,
        )  # fmt: skip
        why = await document(await served.person.get("/auth/me/features/why"))
        gates = {item["key"]: (item.get("gate"), item.get("gate_key")) for item in why["items"]}
        assert (gates[AI], gates[SUGGEST_TAGS]) == (("app", None), ("dependency", AI))
        mine = await document(await switch_mine(served, **{BULK_DECISIONS: False}))
        assert mine["effective_feature_enabled"][BULK_DECISIONS] is False
        await switch_app(served, **{AI: True})
        mine = await document(await switch_mine(served, **{BULK_DECISIONS: True}))
        assert mine["effective_feature_enabled"][SUGGEST_TAGS] is True

    @pytest.mark.parametrize("switch", [switch_app, switch_mine], ids=["app", "mine"])
    async def test_refusals(self, served: Served, switch: Any) -> None:
        """A core key is 403, an unknown one 422, and what is no switch 422; nothing is applied."""
        core = await switch(served, **{"features.core.auth": False, AI: False})
        assert (core.status_code, core.json()["code"]) == (403, "FORBIDDEN_SCOPE")
        unknown = await switch(served, **{"features.tea": True, AI: False})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "VALIDATION_FAILED")
        assert "features.tea" in unknown.json()["details"]["fields"]
        assert (await switch(served, **{AI: "yes"})).status_code == 422
        mine = await document(await served.person.get("/auth/me/features"))
        assert mine["effective_feature_enabled"][AI] is True

    async def test_agents_have_no_switches(self, served: Served) -> None:
        """Switches are people's."""
        for path in ("/app/features", "/auth/me/features", "/auth/me/features/why"):
            answer = await served.agent.get(path)
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN_ACTOR")


class TestWhatTheyClose:
    """A switch that is off has an effect."""

    async def test_bulk_decisions(self, served: Served) -> None:
        """Off, the operations are refused with the gate that closed them."""
        assert (await served.person.post("/decisions/preview", json=FILTER)).status_code == 200
        for switch, gate in ((switch_mine, "user"), (switch_app, "app")):
            await switch(served, **{BULK_DECISIONS: False})
            answer = await served.person.post("/decisions/preview", json=FILTER)
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN_SCOPE")
            assert answer.json()["details"] == {"feature": BULK_DECISIONS, "gate": gate}

    async def test_jobs_of_a_feature(self, served: Served) -> None:
        """An administrator's switch takes its jobs out of what agents are handed, and gives them back."""
        await served.register()
        asset = await served.house.pending("INBOX/A.jpg")
        path = f"/assets/{asset.uuid}/claim-bundle"

        async def offered() -> list[str]:
            answer = await served.agent.get("/jobs/offered")
            return [job["job_type"] for job in answer.json()["items"]]

        assert await offered() == ["suggest_tags"]
        await switch_app(served, **{AI: False})
        assert await offered() == []
        assert (await served.agent.post(path)).status_code == 409
        policy = (await served.agent.get("/app/policy")).json()["server_policy"]
        assert "suggest_tags" not in policy["allowed_job_types"]
        assert policy["feature_flags"][SUGGEST_TAGS] is True
        await switch_app(served, **{AI: True})
        bundle = (await served.agent.post(path)).json()
        assert [job["job_type"] for job in bundle["jobs"]] == ["suggest_tags"]


class TestTheServersFlag:
    """What the settings do not offer nobody can switch on."""

    @pytest.fixture
    async def house(self, house: House) -> House:
        """A house whose server offers nothing optional."""
        house.flags.clear()
        return house

    async def test_it_comes_first(self, served: Served) -> None:
        """The policy says that it is off, and so does the refusal, whatever was switched."""
        policy = (await served.person.get("/app/policy")).json()["server_policy"]
        assert policy["feature_flags"][BULK_DECISIONS] is False
        await switch_app(served, **{BULK_DECISIONS: True})
        answer = await served.person.post("/decisions/preview", json=FILTER)
        assert answer.status_code == 403
        assert answer.json()["details"] == {"feature": BULK_DECISIONS, "gate": "server"}
