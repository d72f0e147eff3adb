"""The command ``retaia demo``."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import App, CycloptsError, Parameter

from retaia_core.errors import RetaiaError, SettingsError

from . import checks, telling
from .play import Place, Story, make_storage, play
from .stage import Stage, console_for
from .storage import ITEMS

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

HELP = """Make a small storage of generated footage and show the whole life of its assets.

Videos, photos, recordings and sidecars are made in a new folder, with a name collision, a file that is
still being copied and damaged ones among them. They are scanned, prepared for review by a real server
and agent, decided on (by this demo, because you started it), previewed, moved and checked. Your own
files, library and settings are not touched.

Exit codes: 0 all happened as announced · 1 something did not · 2 wrong usage · 130 interrupted."""


def run(arguments: list[str]) -> int:
    """Run the command; returns its exit code."""
    app = App(name="retaia demo", help=HELP, version_flags=[])
    app.default(demo)
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return USAGE
    return code if isinstance(code, int) else OK


def demo(
    *,
    folder: Path | None = None,
    keep: Annotated[bool, Parameter(name="--keep", negative="--remove")] = True,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Run the demonstration.

    Parameters
    ----------
    folder
        Where to make everything: an empty or absent folder (default: a new temporary one).
    keep
        Keep the folder afterwards, to look around in it, or remove it.
    as_json
        Print the report as one JSON document.
    """
    stage = Stage(console_for(as_json=as_json))
    try:
        place = Place(_folder(folder))
    except (RetaiaError, OSError) as error:
        return _refused(error, as_json=as_json, code=USAGE)
    try:
        return _perform(place, stage, keep=keep, as_json=as_json)
    finally:
        if not keep:
            shutil.rmtree(place.folder)


def _folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="retaia-demo-"))
    chosen = folder.expanduser()
    chosen.mkdir(parents=True, exist_ok=True)
    if any(chosen.iterdir()):
        raise SettingsError(f"{folder} is not empty; name an empty or a new folder")
    return chosen


def _perform(place: Place, stage: Stage, *, keep: bool, as_json: bool) -> int:
    started = time.monotonic()
    stage.say(f"Everything happens in {place.folder}; your own files are not touched.")
    try:
        prints = make_storage(place, stage)
        story = anyio.run(play, place, stage, prints)
    except KeyboardInterrupt:
        said = "it is kept" if keep else "it is removed"
        print(f"interrupted; the folder is {place.folder}, {said}", file=sys.stderr)
        return INTERRUPTED
    except (RetaiaError, OSError) as error:
        return _refused(error, as_json=as_json, code=FAILED)
    except BaseExceptionGroup as group:
        known = group.subgroup((RetaiaError, OSError))
        if known is None:
            raise
        return _refused(_first(known), as_json=as_json, code=FAILED)
    _report(place, stage, story, time.monotonic() - started, keep=keep, as_json=as_json)
    return FAILED if story.problems else OK


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _refused(error: Exception, *, as_json: bool, code: int) -> int:
    if as_json:
        name = error.code if isinstance(error, RetaiaError) else "OS_ERROR"
        print(json.dumps({"ok": False, "error": {"code": name, "message": str(error)}}))
    print(f"retaia demo: {error}", file=sys.stderr)
    return code


def _report(
    place: Place, stage: Stage, story: Story, seconds: float, *, keep: bool, as_json: bool
) -> None:
    moved = checks.targets(story.plan)
    telling.tell_report(stage, ITEMS, moved, story.assets, story.problems)
    further = telling.commands(ITEMS, moved, place.data) if keep else []
    if keep:
        telling.tell_commands(stage, further)
    stage.say()
    left = f"Everything is in {place.folder}" if keep else f"{place.folder} is removed"
    stage.say(f"{left} ({seconds:.0f} s)", "dim")
    if as_json:
        document = _document(place, story, seconds) | {"kept_on_disk": keep, "next": further}
        print(json.dumps(document, indent=2, ensure_ascii=False))


def _document(place: Place, story: Story, seconds: float) -> dict[str, object]:
    moved = checks.targets(story.plan)
    return {
        "ok": not story.problems,
        "problems": list(story.problems),
        "folder": str(place.folder),
        "storage": str(place.storage),
        "storage_id": story.storage.storage_id,
        "data_dir": str(place.data),
        "seconds": round(seconds, 1),
        "files": [_file_document(story, path, moved.get(path, path)) for path in story.prints],
        "plan": {
            "digest": story.plan.digest,
            "moves": [
                {
                    "asset": move.asset,
                    "verdict": move.verdict.value,
                    "renamed": bool(move.nonce),
                    "files": [{"from": f.source, "to": f.target} for f in move.files],
                }
                for move in story.plan.moves
            ],
        },
        "batch": {
            "batch_id": story.batch.batch_id,
            "outcomes": {r.move.files[0].source: r.outcome.value for r in story.batch.results},
        },
        "unmatched_sidecars": dict(story.unmatched),
        "passed_over": dict(story.skipped),
    }


def _file_document(story: Story, made: str, now: str) -> dict[str, object]:
    item = next(item for item in ITEMS if item.path == made)
    report = story.assets.get(now)
    document: dict[str, object] = {
        "path": made,
        "now": now,
        "what": item.says,
        "fate": item.fate.value,
        "verdict": item.verdict.value if item.verdict else None,
        "sha256": story.prints[made].sha256,
        "left_alone": telling.why_alone(item, story.assets) or None,
    }
    if report is not None:
        asset = report.asset
        document["asset"] = {
            "uuid": asset.uuid,
            "state": asset.state.value,
            "flags": sorted(asset.flags),
            "facts": dict(asset.facts),
            "derived": sorted({ref.kind for ref in asset.derived}),
            "sidecars": [sidecar.path for sidecar in asset.sidecars],
            "why": report.why.sentence,
        }
    return document
