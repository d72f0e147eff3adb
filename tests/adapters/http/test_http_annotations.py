"""Two people describe the same footage over the wire: tags, notes, typed fields, suggestions."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from retaia_tests.house import PERSON, House
from retaia_tests.http_house import STORES, Served

from retaia_core.domain.custom_fields import declared
from retaia_core.domain.features import AI
from retaia_core.domain.identifiers import AssetId

SEGMENTS = [
    {"start_ms": 0, "end_ms": 900, "text": "Low tide."},
    {"start_ms": 900, "end_ms": 900, "text": ""},
]


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on several stores."""
    return str(request.param)


@pytest.fixture
async def house(house: House) -> House:
    """A house that declares fields, and asks for transcripts and suggestions."""
    house.switched_on = frozenset({"suggest_tags", "transcribe_audio"})
    house.fields = declared(
        {"take": "integer", "weather": "choice: sun | rain"}, {"take": "Take no."}
    )
    return house


async def document(answer: httpx.Response) -> dict[str, Any]:
    """What a request that succeeded answered."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def edit(served: Served, uuid: AssetId, **body: object) -> httpx.Response:
    """Change annotations under a fresh key."""
    path = f"/assets/{uuid}/annotations"
    return await served.person.post(path, json=body, headers=served.key())


async def settle(served: Served, uuid: AssetId, tag: str, status: str, **more: str) -> Any:
    """Say something of a suggestion under a fresh key."""
    path = f"/assets/{uuid}/suggestions"
    body = {"tag": tag, "status": status, **more}
    return await served.person.post(path, json=body, headers=served.key())


async def submit(
    served: Served, uuid: AssetId, job_type: str, data: dict[str, object]
) -> httpx.Response:
    """Do a job of an asset as an agent does, with this as the engine's result."""
    bundle = await document(await served.agent.post(f"/assets/{uuid}/claim-bundle"))
    [job] = [job for job in bundle["jobs"] if job["job_type"] == job_type]
    body = {"lock_token": bundle["lock_token"], "job_type": job_type, "data": data}
    path = f"/jobs/{job['job_id']}/result"
    answer = await served.agent.post(path, json=body, headers=served.key())
    for other in bundle["jobs"]:
        if other is not job or answer.status_code >= 400:
            token = {"lock_token": bundle["lock_token"]}
            await served.agent.post(f"/jobs/{other['job_id']}/release", json=token)
    return answer


async def suggested(served: Served, *tags: str, path: str = "INBOX/A.jpg") -> AssetId:
    """A photo with suggestions of a model."""
    await served.register()
    asset = await served.house.pending(path)
    data: dict[str, object] = {"tags": list(tags), "source": "model/1"}
    await document(await submit(served, asset.uuid, "suggest_tags", data))
    return asset.uuid


class TestEdits:
    """``POST /assets/{uuid}/annotations``."""

    async def test_each_part_says_who_and_when(self, served: Served) -> None:
        """Tags, notes and fields come back with who gave them what they are, and since when."""
        asset = await served.house.ready("INBOX/A.jpg")
        said = await document(
            await edit(
                served, asset.uuid, add_tags=[" sea ", "sky"], notes="low tide", notes_seen="",
                fields={"take": 3, "own": [1]}, fields_seen={"take": None, "own": None},
            )
        )  # fmt: skip
        assert said == await document(await served.person.get(f"/assets/{asset.uuid}/annotations"))
        assert [tag["tag"] for tag in said["tags"]] == ["sea", "sky"]
        assert said["notes"]["text"] == "low tide"
        assert [(f["name"], f["value"]) for f in said["fields"]] == [("take", 3), ("own", [1])]
        everything = [*said["tags"], said["notes"], *said["fields"]]
        assert {one["by"] for one in everything} == {"person:local/ana"}
        assert all(one["since"].endswith("Z") for one in everything)
        history = await document(await served.person.get(f"/assets/{asset.uuid}/history"))
        told = history["items"][-1]["sentence"]
        assert told == (
            "person:local/ana changed its tags, notes, fields; tags added: 2; fields: own, take"
        )

    async def test_doing_it_again_is_harmless(self, served: Served) -> None:
        """The same edit under another key changes and records nothing."""
        asset = await served.house.ready("INBOX/A.jpg")
        wish = {"add_tags": ["sea"], "notes": "n", "notes_seen": ""}
        first = await document(await edit(served, asset.uuid, **wish))
        assert await document(await edit(served, asset.uuid, **wish)) == first
        history = await document(await served.person.get(f"/assets/{asset.uuid}/history"))
        assert [e["what"] for e in history["items"]].count("asset.annotated") == 1
        gone = await document(await edit(served, asset.uuid, remove_tags=["sea", "never"]))
        assert gone["tags"] == []

    async def test_a_conflict_tells_what_is_there(self, served: Served) -> None:
        """Notes that changed since they were seen are 409 with their text; nothing is applied."""
        asset = await served.house.ready("INBOX/A.jpg")
        await edit(served, asset.uuid, notes="theirs", notes_seen="")
        answer = await edit(served, asset.uuid, notes="mine", notes_seen="", add_tags=["sea"])
        assert (answer.status_code, answer.json()["code"]) == (409, "STATE_CONFLICT")
        assert answer.json()["details"]["theirs"] == {"notes": "theirs"}
        after = await document(await served.person.get(f"/assets/{asset.uuid}/annotations"))
        assert (after["notes"]["text"], after["tags"]) == ("theirs", [])

    async def test_declared_fields_are_checked_on_both_ways(self, served: Served) -> None:
        """What does not fit is 422 with what is allowed, in the contract's operation as well."""
        asset = await served.house.ready("INBOX/A.jpg")
        wrong = {"take": "three", "weather": "snow"}
        ours = await edit(served, asset.uuid, fields=wrong, fields_seen=dict.fromkeys(wrong))
        theirs = await served.person.patch(f"/assets/{asset.uuid}", json={"fields": wrong})
        for answer in (ours, theirs):
            assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
            fields = answer.json()["details"]["fields"]
            assert fields["fields.weather"] == "must be one of: sun, rain"
            assert "whole number" in fields["fields.take"]
        fine = {"take": 2, "weather": "rain", "other": "kept"}
        await document(await served.person.patch(f"/assets/{asset.uuid}", json={"fields": fine}))
        none = {"fields": {"take": None}}
        await document(await served.person.patch(f"/assets/{asset.uuid}", json=none))
        after = await document(await served.person.get(f"/assets/{asset.uuid}/annotations"))
        assert {f["name"]: f["value"] for f in after["fields"]} == {
            "weather": "rain",
            "other": "kept",
        }

    async def test_a_value_from_before_its_declaration_is_kept(self, served: Served) -> None:
        """It stays readable, with what it must be; a new one must fit."""
        asset = await served.house.ready("INBOX/A.jpg")
        declarations, served.house.fields = served.house.fields, {}
        await served.house.review.annotate(PERSON, asset.uuid, fields={"weather": "hail"})
        served.house.fields = declarations
        said = await document(await served.person.get(f"/assets/{asset.uuid}/annotations"))
        [field] = said["fields"]
        assert (field["value"], field["problem"]) == ("hail", "must be one of: sun, rain")

    async def test_fields_are_stated(self, served: Served) -> None:
        """``GET /app/fields`` has the declarations in their order, for whoever is signed in."""
        for who in (served.person, served.agent):
            said = await document(await who.get("/app/fields"))
            assert said["items"] == [
                {"name": "take", "label": "Take no.", "type": "integer"},
                {"name": "weather", "label": "weather", "type": "choice", "choices": ["sun", "rain"]},
            ]  # fmt: skip


class TestTags:
    """``GET /tags``."""

    async def test_what_is_typed_is_completed(self, served: Served) -> None:
        """Without case, in order, page by page, each with its number of assets."""
        for name, tags in (("A", ["Sea", "seagull", "a"]), ("B", ["Sea", "sky"])):
            asset = await served.house.ready(f"INBOX/{name}.jpg", name.encode())
            await served.house.review.annotate(PERSON, asset.uuid, tags=tags)
        first = await document(await served.person.get("/tags?prefix=SE&limit=1"))
        assert first["items"] == [{"tag": "Sea", "assets": 2, "at_least": False}]
        query = {"prefix": "SE", "limit": 1, "cursor": first["next_cursor"]}
        second = await document(await served.person.get("/tags", params=query))
        assert second == {"items": [{"tag": "seagull", "assets": 1, "at_least": False}]}
        assert (await served.person.get("/tags?cursor=x")).status_code == 400
        assert (await served.person.get("/tags?limit=0")).status_code == 400


class TestSuggestions:
    """``POST /assets/{uuid}/suggestions``."""

    async def test_accepted_refused_and_taken_back(self, served: Served) -> None:
        """One by one; the tag bears its source, the history says who did what, and undo is one too."""
        uuid = await suggested(served, "sea", "car")
        said = await document(await settle(served, uuid, "sea", "ACCEPTED"))
        assert said["tags"][0]["source"] == "model/1"
        said = await document(await settle(served, uuid, "car", "REFUSED", seen="PENDING"))
        assert [s["status"] for s in said["suggestions"]] == ["ACCEPTED", "REFUSED"]
        await document(await settle(served, uuid, "sea", "ACCEPTED"))
        said = await document(await settle(served, uuid, "sea", "PENDING"))
        assert said["tags"] == []
        history = await document(await served.person.get(f"/assets/{uuid}/history"))
        told = [e["sentence"] for e in history["items"] if e["what"].startswith("suggestion")]
        assert told == [
            "person:local/ana accepted a suggested tag of model/1",
            "person:local/ana refused a suggested tag of model/1",
            "person:local/ana took back what they said of a suggested tag of model/1",
        ]

    async def test_somebody_else_was_first(self, served: Served) -> None:
        """What is not as it was seen is 409 with who settled it; what is not suggested is 404."""
        uuid = await suggested(served, "sea")
        await settle(served, uuid, "sea", "REFUSED")
        answer = await settle(served, uuid, "sea", "ACCEPTED", seen="PENDING")
        assert (answer.status_code, answer.json()["details"]["status"]) == (409, "REFUSED")
        assert (await settle(served, uuid, "see", "ACCEPTED")).status_code == 404
        assert (await settle(served, uuid, "sea", "MAYBE")).status_code == 422

    async def test_they_go_with_their_feature(self, served: Served) -> None:
        """Where the feature is off, nothing is accepted."""
        uuid = await suggested(served, "sea")
        await served.person.patch("/app/features", json={"app_feature_enabled": {AI: False}})
        assert (await settle(served, uuid, "sea", "ACCEPTED")).status_code == 403

    @pytest.mark.parametrize(
        "data",
        [
            {"tags": ["a,b"], "source": "m"}, {"tags": [""], "source": "m"}, {"tags": [1], "source": "m"},
            {"tags": "sea", "source": "m"}, {"tags": ["sea"]}, {"tags": ["sea"], "source": ""},
        ],
    )  # fmt: skip
    async def test_what_could_never_be_accepted_is_refused(
        self, served: Served, data: dict[str, object]
    ) -> None:
        """A result whose suggestions can be no tags, or have no source, is 422."""
        await served.register()
        asset = await served.house.pending("INBOX/A.jpg")
        answer = await submit(served, asset.uuid, "suggest_tags", data)
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")


class TestTranscripts:
    """``GET /assets/{uuid}/transcript``."""

    async def spoken(self, served: Served) -> AssetId:
        """A recording of a voice, for whose transcript an agent is asked."""
        await served.register()
        house = served.house
        asset = await house.ready("INBOX/A.wav")
        await house.review.set_profile(PERSON, asset.uuid, "audio_voice")
        return asset.uuid

    async def test_the_whole_of_it(self, served: Served) -> None:
        """Text, language, confidence and segments, as the agent submitted them."""
        uuid = await self.spoken(served)
        path = f"/assets/{uuid}/transcript"
        running = await document(await served.person.get(path))
        assert running == {"status": "RUNNING", "segments": []}
        data = {"text": "Low tide.", "language": "en", "confidence": 0.5, "segments": SEGMENTS}
        await document(await submit(served, uuid, "transcribe_audio", data))
        said = await document(await served.person.get(path))
        assert said.pop("updated_at").endswith("Z")
        assert said == {"status": "DONE", **data}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"text": 3}, {"language": 3}, {"confidence": 2}, {"confidence": True}, {"segments": {}},
            {"segments": ["x"]}, {"segments": [{"start_ms": 0, "end_ms": 1}]},
            {"segments": [{"start_ms": 2, "end_ms": 1, "text": "x"}]},
            {"segments": [{"start_ms": 0.5, "end_ms": 1, "text": "x"}]},
        ],
    )  # fmt: skip
    async def test_malformed_ones_are_refused(
        self, served: Served, wrong: dict[str, object]
    ) -> None:
        """A part that is malformed is 422 by name, and nothing is kept."""
        uuid = await self.spoken(served)
        answer = await submit(served, uuid, "transcribe_audio", {"text": "x", **wrong})
        assert answer.status_code == 422
        assert list(answer.json()["details"]["fields"]) == [f"data.{name}" for name in wrong]
        said = await document(await served.person.get(f"/assets/{uuid}/transcript"))
        assert said["status"] == "RUNNING"
