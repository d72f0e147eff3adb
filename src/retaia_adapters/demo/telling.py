"""The words of the demonstration: what each step shows, and the report at its end."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from retaia_core.domain.assets import Asset, Flag
from retaia_core.domain.jobs import Job
from retaia_core.domain.lifecycle import Verdict
from retaia_core.domain.moves import Batch, MovePlan, Outcome, PlannedMove
from retaia_core.domain.scans import ScanReport
from retaia_core.usecases.operations import AssetReport

from .stage import Stage, padded
from .storage import Fate, Item

_NAMES, _FACTS = 25, 33
"""Columns for a name and for facts, in lines that come one by one."""

_ALONE = {
    "ambiguous_parent": "two photos have its name, and nothing is guessed",
    "missing_parent": "no photo has its name",
    "temporary_copy": "a temporary copy, by its name",
    "empty_file": "there is nothing in it",
}


def tell_item(stage: Stage, item: Item, before: Item | None) -> None:
    """A file that was made; the folder is named where it is another than that of the one before."""
    folder = _folder(item.path)
    if before is None or _folder(before.path) != folder:
        stage.say(f"{folder}/", "bold")
    stage.rows([("  " + padded(_name(item.path), _NAMES), item.says)], ("", "dim"))


def tell_scan(stage: Stage, report: ScanReport) -> None:
    """A scan that found something out."""
    if report.problem:
        stage.say(f"scan {report.number}: {report.problem}", "red")
    elif report.new:
        stage.say(
            f"scan {report.number}: {report.seen} files seen, {report.new} new assets, "
            f"{report.unmatched_sidecars} sidecars attached to nothing, "
            f"{report.skipped_count} files passed over"
        )
    elif report.became_ready:
        waiting = f", {report.waiting} still changing" if report.waiting else ""
        stage.say(f"scan {report.number}: {report.became_ready} left alone and whole{waiting}")


def tell_prepared(stage: Stage, report: AssetReport) -> None:
    """An asset on which the work is done."""
    asset = report.asset
    if Flag.UNPROCESSABLE in asset.flags:
        said = "; ".join(_failures(report.jobs))
        stage.rows([("✗", padded(_name(asset.path), _NAMES), said)], ("red", "red", "red"))
        return
    row = ("✓", padded(_name(asset.path), _NAMES), padded(_facts(asset), _FACTS), _derived(asset))
    stage.rows([row], ("green", "", "bright_blue", "dim"))
    for warning in asset.warnings:
        stage.say(f"  {warning}", "yellow")


def tell_growing(stage: Stage, report: AssetReport) -> None:
    """The file that is still being copied."""
    text = f"still being copied: it is {report.asset.state}, and nobody touches it"
    stage.rows(
        [("…", padded(_name(report.asset.path), _NAMES), text)], ("yellow", "yellow", "yellow")
    )


def tell_decisions(stage: Stage, items: Sequence[Item]) -> None:
    """Who is kept, who is rejected, and what stays open."""
    for verdict, style in ((Verdict.KEEP, "green"), (Verdict.REJECT, "magenta"), (None, "dim")):
        names = [
            _name(item.path)
            for item in items
            if item.verdict is verdict and item.fate is Fate.PREPARED
        ]
        stage.rows([(padded(verdict or "open", 6), ", ".join(names))], (style,))


def tell_plan(stage: Stage, plan: MovePlan) -> None:
    """The dry run, move by move."""
    for (verdict, folder), moves in groupby(_sorted(plan), _direction):
        style = "green" if verdict is Verdict.KEEP else "magenta"
        stage.say(f"{verdict}  {folder}", style)
        for move in moves:
            stage.rows([_move_row(move)], ("", "yellow"))
            if move.nonce:
                stage.say(f"    renamed, because {move.collides_with[0]} is taken", "yellow")
    for blocked in plan.blocked:
        stage.say(f"stays: {blocked.path}: {blocked.message}", "yellow")


def _sorted(plan: MovePlan) -> list[PlannedMove]:
    return sorted(plan.moves, key=lambda move: (_direction(move), move.files[0].source))


def _direction(move: PlannedMove) -> tuple[Verdict, str]:
    file = move.files[0]
    return move.verdict, f"{_folder(file.source)}/ → {_folder(file.target)}/"


def _move_row(move: PlannedMove) -> tuple[str, ...]:
    """The original with the endings of its sidecars, and its new name where it gets one."""
    original, *sidecars = move.files
    name, new = _name(original.source), _name(original.target)
    group = "".join(f" + .{file.source.rpartition('.')[2]}" for file in sidecars)
    return (f"  {name}{group}",) if name == new else (f"  {name}{group}", f"→ {new}{group}")


def tell_batch(stage: Stage, batch: Batch) -> None:
    """What the batch did."""
    moved = [r.move for r in batch.results if r.outcome is Outcome.MOVED]
    files = sum(len(move.files) for move in moved)
    stage.say(f"{len(moved)} of {len(batch.results)} assets moved, {files} files, each verified")
    for result in batch.results:
        if result.outcome is not Outcome.MOVED:
            stage.say(f"{result.outcome}: {result.move.files[0].source}: {result.error}", "red")


# The report


def tell_report(
    stage: Stage,
    items: Sequence[Item],
    moved: Mapping[str, str],
    assets: Mapping[str, AssetReport],
    problems: Sequence[str],
) -> None:
    """What went where, what was left alone and why, and whether all of it was proven."""
    stage.step("Report")
    for verdict, title, color in (
        (Verdict.KEEP, "Kept", "green"),
        (Verdict.REJECT, "Rejected: set aside, not deleted", "magenta"),
    ):
        groups = [item for item in items if item.verdict is verdict]
        rows = [(moved.get(i.path, i.path), _company(i, items, moved)) for i in groups]
        stage.box(title, rows, ("", "dim"), color)
    alone = [(item.path, why) for item in items if (why := why_alone(item, assets))]
    stage.box("Left alone, and why", alone, ("", "yellow"), "yellow")
    stage.say()
    if problems:
        stage.box("Not as announced", [(problem,) for problem in problems], ("red",), "red")
    else:
        stage.say(
            f"Checked: {len(items)} files made, {len(items)} files there, each where the dry run "
            "put it,",
            "bold green",
        )
        stage.say("with its content (SHA-256) and its time unchanged.", "bold green")


def _company(item: Item, items: Sequence[Item], moved: Mapping[str, str]) -> str:
    """How many sidecars went with an asset, and whether its name was taken."""
    stem = item.path.rpartition(".")[0]
    beside = [i for i in items if i.fate is Fate.ATTACHED and i.path.rpartition(".")[0] == stem]
    said = [f"with {', '.join('.' + i.path.rpartition('.')[2] for i in beside)}"] if beside else []
    if item.path in moved and _name(moved[item.path]) != _name(item.path):
        said.append("its name was taken")
    return "; ".join(said)


def why_alone(item: Item, assets: Mapping[str, AssetReport]) -> str:
    """Why a file lies where it lay, for those that do."""
    report = assets.get(item.path)
    if item.reason:
        return f"{_ALONE[item.reason]} ({item.reason})"
    if item.fate is Fate.DAMAGED and report is not None:
        return f"unprocessable: {'; '.join(_failures(report.jobs))}"
    if item.fate is Fate.COPYING:
        return "was still being copied; whole and prepared now, it waits for you"
    if item.fate is Fate.PREPARED and item.verdict is None:
        return "undecided: it waits for you"
    if item.fate is Fate.STANDING:
        return "stood there before; no file is ever overwritten"
    return ""


def commands(items: Sequence[Item], moved: Mapping[str, str], data: Path) -> list[str]:
    """Command lines that look further, ready to be pasted."""
    renamed = next(i for i in items if i.path in moved and _name(moved[i.path]) != _name(i.path))
    damaged = next(item for item in items if item.fate is Fate.DAMAGED)
    copied = next(item for item in items if item.fate is Fate.COPYING)

    def command(*words: str) -> str:
        return shlex.join([_program(), *words, "--data-dir", str(data)])

    return [
        command("why", moved[renamed.path]),
        command("why", damaged.path),
        command("history", moved[renamed.path]),
        command("decide", "keep", copied.path),
        command("batch", "preview"),
    ]


def _program() -> str:
    """How this program was called: by its name where the shell finds it, else by its path."""
    called = Path(sys.argv[0])
    found = shutil.which("retaia")
    if called.name != "retaia" or (found and Path(found).resolve() == called.resolve()):
        return "retaia"
    return str(called)


def tell_commands(stage: Stage, lines: Sequence[str]) -> None:
    """The commands that look further."""
    stage.say()
    stage.say("Look further:", "bold")
    for line in lines:
        stage.command(line)


# Words


def _name(path: str) -> str:
    return path.rpartition("/")[2].replace("\n", "\\n")


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _failures(jobs: Sequence[Job]) -> list[str]:
    """The reasons for which required work failed for good, each once."""
    said = [job.failure.message for job in jobs if job.failure is not None and job.required]
    return list(dict.fromkeys(said))


def _facts(asset: Asset) -> str:
    return ", ".join(_fact_words(asset.facts))


def _fact_words(facts: Mapping[str, object]) -> Iterator[str]:
    duration = facts.get("duration_ms")
    if isinstance(duration, int | float):
        yield f"{duration / 1000:.1f} s"
    if "width" in facts:
        yield f"{facts['width']}×{facts['height']}"
    for key, unit in (("fps", " fps"), ("sample_rate_hz", " Hz")):
        number = facts.get(key)
        if isinstance(number, int | float) and (key == "fps" or "width" not in facts):
            yield f"{number:g}{unit}"
    yield from (str(facts[k]) for k in ("video_codec", "audio_codec") if k in facts)
    if "width" in facts and "duration_ms" not in facts:
        yield from (str(facts[k]) for k in ("camera_model",) if k in facts)


def _derived(asset: Asset) -> str:
    kinds = dict.fromkeys(ref.kind.partition("_")[0] for ref in asset.derived)
    return ", ".join(sorted(kinds))
