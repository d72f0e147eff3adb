"""The main job on real files, from *just copied* to *archived* and *set aside*."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retaia_tests.machine import Machine
from retaia_tests.trees import tree

pytestmark = pytest.mark.e2e

DAMAGED = {"INBOX/truncated.jpg", "INBOX/truncated.mp4"}
Probe = Callable[[Path], dict[str, Any]]


class TestMainJob:
    def test_from_copied_to_archived(self, machine: Machine, footage: Path, probe: Probe) -> None:
        """Twelve real files become decidable, two damaged ones say why; then decisions move files."""
        before = tree(footage)
        answer = machine.up(footage)
        assert answer.code == 0, answer.errors
        assets = {asset["path"]: asset for asset in answer.document["assets"]}
        assert tree(footage) == before
        self._check_states(assets)
        self._check_derived(footage, assets, probe)
        self._decide_and_apply(machine, footage, before)

    def _check_states(self, assets: dict[str, Any]) -> None:
        assert len(assets) == 14
        for path, asset in assets.items():
            expected = "READY" if path in DAMAGED else "DECISION_PENDING"
            assert asset["state"] == expected, asset
        for path in DAMAGED:
            asset = assets[path]
            assert "unprocessable" in asset["flags"]
            assert asset["derived"] == []
            assert any(p.get("code") == "SOURCE_TRUNCATED" for p in asset["problems"])
            assert "waive the failed work and decide all the same" in asset["next"]
        assert assets["INBOX/prairie_falcon.jpg"]["sidecars"] == ["INBOX/prairie_falcon.xmp"]
        assert assets["INBOX/corrupted.jpg"]["warnings"]
        facts = assets["INBOX/sample-h264.mp4"]["facts"]
        assert {"duration_ms", "media_format", "video_codec", "width", "height", "fps"} <= set(
            facts
        )

    def _check_derived(self, footage: Path, assets: dict[str, Any], probe: Probe) -> None:
        """Every derived file is there once, whole, and passes the independent reader."""
        wanted = {"VIDEO": "proxy_video", "PHOTO": "proxy_photo", "AUDIO": "proxy_audio"}
        named = set()
        for path, asset in assets.items():
            refs = asset["derived"]
            named |= {ref["path"] for ref in refs}
            if path in DAMAGED:
                continue
            kinds = {ref["kind"] for ref in refs}
            assert {wanted[asset["media_type"]], "thumb"} <= kinds
            for ref in refs:
                file = footage / ref["path"]
                assert file.stat().st_size == ref["size_bytes"]
                self._check_one(ref["kind"], file, asset, probe)
        there = {
            path.relative_to(footage).as_posix()
            for path in (footage / ".derived").rglob("*")
            if path.is_file()
        }
        assert there == named

    def _check_one(self, kind: str, file: Path, asset: dict[str, Any], probe: Probe) -> None:
        if kind == "waveform":
            document = json.loads(file.read_text())
            assert document["bucket_count"] == len(document["peaks"])
            assert document["duration_ms"] == asset["facts"]["duration_ms"]
            return
        found = probe(file)
        streams = {stream["codec_type"]: stream for stream in found["streams"]}
        if kind == "proxy_video":
            video = streams["video"]
            assert (video["codec_name"], video["pix_fmt"]) == ("h264", "yuv420p")
            assert abs(eval_rate(video["avg_frame_rate"]) - asset["facts"]["fps"]) <= 0.01
            drift = abs(float(found["format"]["duration"]) * 1000 - asset["facts"]["duration_ms"])
            assert drift <= 100
        elif kind == "proxy_audio":
            assert streams["audio"]["codec_name"] in ("aac", "mp3")
            drift = abs(float(found["format"]["duration"]) * 1000 - asset["facts"]["duration_ms"])
            assert drift <= 100
        elif kind == "proxy_photo":
            width, height = streams["video"]["width"], streams["video"]["height"]
            facts = asset["facts"]
            assert width <= facts["width"]
            assert abs(width / height - facts["width"] / facts["height"]) < 0.02

    def _decide_and_apply(self, machine: Machine, footage: Path, before: dict[str, Any]) -> None:
        keep = ["INBOX/prairie_falcon.jpg", "INBOX/sample-h264.mp4"]
        reject = ["INBOX/sample1.mp3", "INBOX/truncated.mp4"]
        refused = machine.run("decide", "reject", "INBOX/truncated.mp4", "--json")
        assert refused.code == 1
        assert refused.document["results"][0]["error"]["allowed"] == ["RETRY", "WAIVE"]
        assert machine.run("waive", "INBOX/truncated.mp4", "--json").code == 0
        assert machine.run("decide", "keep", str(footage / keep[0]), keep[1]).code == 0
        assert machine.run("decide", "reject", *reject).code == 0
        preview = machine.run("batch", "preview", "--json").document
        assert tree(footage) == before
        planned = {f["source"]: f["target"] for m in preview["moves"] for f in m["files"]}
        assert planned == {
            "INBOX/prairie_falcon.jpg": "ARCHIVE/prairie_falcon.jpg",
            "INBOX/prairie_falcon.xmp": "ARCHIVE/prairie_falcon.xmp",
            "INBOX/sample-h264.mp4": "ARCHIVE/sample-h264.mp4",
            "INBOX/sample1.mp3": "REJECTS/sample1.mp3",
            "INBOX/truncated.mp4": "REJECTS/truncated.mp4",
        }
        done = machine.run("batch", "apply", "--yes", "--json", "--expect", preview["digest"])
        assert done.code == 0, done.errors
        report = {f["source"]: f["target"] for r in done.document["results"] for f in r["files"]}
        assert report == planned
        assert tree(footage) == {planned.get(path, path): file for path, file in before.items()}
        shown = machine.run("assets", "show", "ARCHIVE/prairie_falcon.jpg", "--json").document
        assert (shown["state"], shown["verdict"]) == ("ARCHIVED", "KEEP")
        assert [p["path"] for p in shown["path_history"]] == ["INBOX/prairie_falcon.jpg"]
        why = machine.run("why", "REJECTS/sample1.mp3", "--json").document
        assert "rejected it" in why["sentence"]


def eval_rate(text: str) -> float:
    """A rate as ffprobe writes it, such as ``30000/1001``."""
    numerator, _, denominator = text.partition("/")
    return int(numerator) / int(denominator or "1")
