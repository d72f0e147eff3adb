"""A campaign of generated requests against a running server, as every kind of caller.

    python -m retaia_tests.fuzzing --examples 50 --store sqlite:////tmp/fuzz.db

Schemathesis makes the requests from our document and from the contract's file: some that the schema
allows, some that it does not, and chains of them. Every answer is held against the document; none may be
a 5xx. What is counted is what was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import anyio
from attrs import field, frozen

from retaia_adapters.http.document import BASE
from retaia_core.domain.authorization import Caller
from retaia_core.domain.lifecycle import State
from retaia_tests.cells import World, world

CONTRACT = Path(__file__).parents[2] / "data" / "retaia-v1.openapi.yaml"
PHASES = "examples,coverage,fuzzing,stateful"
EXAMPLES_VARIABLE = "RETAIA_FUZZ_EXAMPLES"
# What a schema cannot say (a state, a filter's grammar) is refused with 422 or 409 although the schema
# allows it; 405 is tested elsewhere; a dry run needs no Idempotency-Key, which the schema cannot say.
_OFF = ("positive_data_acceptance", "unsupported_method")
# The contract's file names few of the codes that its own rules ask for, and not the methods that we add
# to its paths (GET /batches/moves); both are checked over ours.
_OURS_ALONE = ("status_code_conformance", "allow_header_conformance")
_ENDLESS = ("/events",)
_ENDS_THE_TOKEN = ("/auth/logout",)
_CONDITIONAL_KEY = "/batches/moves"


@frozen(kw_only=True)
class Tally:
    """What one run came to."""

    caller: str
    document: str
    requests: int
    failures: tuple[str, ...] = field(factory=tuple)
    output: str = ""


def _config(world: World, uuids: Sequence[str]) -> str:
    """Schemathesis' settings: real UUIDs often enough that requests reach what they are about."""
    values = ", ".join(json.dumps(uuid) for uuid in uuids)
    off = "\n".join(f"{name} = {{ enabled = false }}" for name in _OFF)
    return f"""
request-timeout = 20.0
continue-on-failure = true

[dictionaries.assets]
values = [{values}]

[dictionaries.agents]
values = ["{world.agent_id}"]

[parameters]
"path.uuid" = {{ dictionary = "assets", probability = 0.8 }}
"header.X-Retaia-Agent" = {{ dictionary = "agents", probability = 0.8 }}

[checks]
{off}

[[operations]]
include-path = "{_CONDITIONAL_KEY}"
checks.negative_data_rejection.enabled = false
checks.missing_required_header.enabled = false
"""


async def campaign(
    made: World, *, examples: int, folder: Path, callers: Sequence[Caller] = tuple(Caller)
) -> list[Tally]:
    """Fuzz as each kind of caller, over our document and over the contract's file."""
    uuids = [await made.asset(state) for state in State for _ in range(3)]
    config = folder / "schemathesis.toml"
    config.write_text(_config(made, uuids))
    origin = str(made.client.base_url).removesuffix("/").removesuffix(BASE)
    documents = {"ours": f"{origin}/api/openapi.json", "contract": str(CONTRACT)}
    found = []
    for caller in callers:
        for name, document in documents.items():
            token = None if caller is Caller.ANONYMOUS else await made.token(caller)
            found.append(
                await _run(
                    f"{caller.lower()}-{name}",
                    document,
                    origin=origin,
                    token=token,
                    examples=examples,
                    config=config,
                )
            )
    return found


async def _run(
    name: str, document: str, *, origin: str, token: str | None, examples: int, config: Path
) -> Tally:
    report = config.parent / f"{name}.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", document),
        *("--url", f"{origin}{BASE}", "--phases", PHASES, "--max-examples", str(examples)),
        *("--no-color", "--report", "json", "--report-json-path", str(report)),
        *("--generation-database", "none", "--suppress-health-check", "all"),
    ]
    for path in (*_ENDLESS, *(_ENDS_THE_TOKEN if token else ())):
        command += ["--exclude-path", path]
    if document == str(CONTRACT):
        command += ["--exclude-checks", ",".join((*_OFF, *_OURS_ALONE))]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    done = await anyio.run_process(
        command, check=False, stdout=PIPE, stderr=STDOUT, cwd=config.parent
    )
    output = done.stdout.decode(errors="replace")
    if not report.exists():
        return Tally(
            caller=name, document=document, requests=0, failures=("no report",), output=output
        )
    said = json.loads(report.read_text())
    return Tally(
        caller=name,
        document=document,
        requests=said["test_cases"]["generated"],
        failures=_failures(said),
        output=output,
    )


def _failures(said: Mapping[str, Any]) -> tuple[str, ...]:
    rows = [f"{f['title']} ({f['count']}): {', '.join(f['operations'])}" for f in said["failures"]]
    return (*rows, *(str(error) for error in said["errors"]))


async def _main(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="retaia-fuzz-") as name:
        folder = Path(name)
        store = options.store or f"sqlite:///{folder}/retaia.db"
        wanted = [Caller(text.upper()) for text in options.caller] or list(Caller)
        async with world(folder, store) as made:
            tallies = await campaign(made, examples=options.examples, folder=folder, callers=wanted)
    for tally in tallies:
        print(f"{tally.caller:20} {tally.requests:8} requests, {len(tally.failures)} failures")
        for failure in tally.failures:
            print("   ", failure)
        if tally.failures and options.verbose:
            print(tally.output)
    print(sum(tally.requests for tally in tallies), "requests")
    return int(any(tally.failures for tally in tallies))


def main() -> int:
    """Run a campaign from the command line; exit status 1 where an answer was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=int(os.environ.get(EXAMPLES_VARIABLE, 5)))
    parser.add_argument("--store", help="a URL; by default SQLite in a temporary folder")
    parser.add_argument("--caller", action="append", default=[], help="only this kind")
    parser.add_argument("--verbose", action="store_true", help="print what Schemathesis said")
    return anyio.run(_main, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
