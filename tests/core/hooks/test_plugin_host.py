"""The plugin host: what plugins may bring, and what becomes of one that is broken."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from retaia_core import builtins
from retaia_core.catalog import builtin_catalog, with_profiles
from retaia_core.domain.derived import DERIVED_KINDS, DerivedKind
from retaia_core.domain.identifiers import Capability, ProfileName
from retaia_core.domain.job_types import JOB_TYPES, JobType
from retaia_core.domain.media import MediaFormat, MediaType
from retaia_core.domain.profiles import PROFILES, Profile
from retaia_core.domain.sidecars import SidecarRule
from retaia_core.errors import PluginError, SettingsError
from retaia_core.hooks import (
    Command,
    HookCall,
    HookPoint,
    HookReply,
    Page,
    Plugins,
    Provider,
    Role,
    Route,
    hookimpl,
    load_plugins,
    plugins_from,
    specs,
)
from retaia_core.ports.processor import Availability


def plugin(**hooks: Callable[[], Any]) -> SimpleNamespace:
    """A plugin made of functions, each under the name of its hook."""
    return SimpleNamespace(**{name: hookimpl(function) for name, function in hooks.items()})


def host(**modules: object) -> Plugins:
    return plugins_from({"builtins": builtins, **modules})


class _Processor:
    name, version = "x", "1"
    capabilities = frozenset({"x.y@1"})
    job_types = frozenset({"x"})

    def availability(self) -> Availability:
        return Availability(available=True)

    def process(self, work: object, report: object) -> Any:
        return iter(())


class _Hook:
    name, point = "h", HookPoint.AFTER_PROCESSED

    def run(self, call: HookCall) -> HookReply:
        return HookReply()


KIND = DerivedKind(name="map", suffixes={"application/json": ".json"})
JOB = JobType(name="draw", capabilities={None: Capability("x.draw@1")}, outputs={None: ("map",)})
PROFILE = Profile(
    name=ProfileName("mapped"), media_type=MediaType.PHOTO, required=("extract_facts", "draw")
)
COMMAND = Command(name="hello", help="Say hello.", run=lambda arguments: 0)
ROUTE = Route(name="hello", application=lambda: None)
PAGE = Page(path="/hello", application=lambda: None)
PROVIDER = Provider(role=Role.STORE, name="shelf", factory=dict)

BRINGS: dict[str, tuple[list[Any], Callable[[Plugins, list[Any]], bool]]] = {
    "retaia_media_formats": (
        [MediaFormat(extension="braw", media_type=MediaType.VIDEO)],
        lambda p, rows: p.catalog().formats["braw"] == rows[0],
    ),
    "retaia_job_types": (
        [evolve(JOB, outputs={})],
        lambda p, rows: p.catalog().job_types["draw"] == rows[0],
    ),
    "retaia_profiles": (
        [evolve(PROFILE, required=("extract_facts",))],
        lambda p, rows: p.catalog().profiles["mapped"] == rows[0],
    ),
    "retaia_derived_kinds": ([KIND], lambda p, rows: p.catalog().derived_kinds["map"] == rows[0]),
    "retaia_sidecar_rules": (
        [SidecarRule(name="aae", extension="aae", media_type=MediaType.PHOTO)],
        lambda p, rows: "aae" in p.catalog().sidecar_extensions,
    ),
    "retaia_processors": ([_Processor()], lambda p, rows: p.processors() == tuple(rows)),
    "retaia_lifecycle_hooks": ([_Hook()], lambda p, rows: p.lifecycle_hooks() == tuple(rows)),
    "retaia_providers": ([PROVIDER], lambda p, rows: p.provider(Role.STORE, "shelf") == rows[0]),
    "retaia_routes": ([ROUTE], lambda p, rows: p.routes() == tuple(rows)),
    "retaia_pages": ([PAGE], lambda p, rows: p.pages() == tuple(rows)),
    "retaia_commands": ([COMMAND], lambda p, rows: p.commands() == tuple(rows)),
}


class TestEveryHook:
    def test_every_hook_has_a_row_here(self) -> None:
        """A hook without a test fails this one."""
        names = {n for n, _ in inspect.getmembers(specs, inspect.isfunction) if n != "hookspec"}
        assert names == set(BRINGS)

    @pytest.mark.parametrize("name", sorted(BRINGS))
    def test_what_a_plugin_brings_is_there(self, name: str) -> None:
        """Each hook's rows arrive where they belong."""
        rows, arrived = BRINGS[name]
        assert arrived(host(stranger=plugin(**{name: lambda: rows})), rows)

    @pytest.mark.parametrize("name", sorted(BRINGS))
    def test_a_broken_plugin_is_named(self, name: str) -> None:
        """An exception in a plugin's hook names the plugin and the hook."""

        def boom() -> list[object]:
            raise RuntimeError("boom")

        plugins = host(stranger=plugin(**{name: boom}))
        with pytest.raises(PluginError, match=f"'stranger' failed in {name}.*boom"):
            BRINGS[name][1](plugins, [])

    def test_every_hook_is_documented(self) -> None:
        """Every hook specification says what it is for."""
        for name in BRINGS:
            assert (getattr(specs, name).__doc__ or "").strip()


class TestCatalogue:
    def test_tables_of_plugins_fit_together(self) -> None:
        """A capability, job type, derived kind and profile of one plugin work beside ours."""
        stranger = plugin(
            retaia_derived_kinds=lambda: [KIND],
            retaia_job_types=lambda: [JOB],
            retaia_profiles=lambda: [PROFILE],
        )
        catalog = host(stranger=stranger).catalog()
        assert len(catalog.job_types) == len(JOB_TYPES) + 1
        assert len(catalog.profiles) == len(PROFILES) + 1
        assert len(catalog.derived_kinds) == len(DERIVED_KINDS) + 1

    @pytest.mark.parametrize(
        ("hooks", "said"),
        [
            ({"retaia_job_types": lambda: [JOB]}, "unknown kind"),
            ({"retaia_profiles": lambda: [PROFILE]}, "unknown job types draw"),
            ({"retaia_job_types": lambda: [evolve(JOB_TYPES[0], after=("x",))]}, "two plugins"),
            (
                {"retaia_profiles": lambda: [evolve(PROFILES[0], name=ProfileName("v2"))]},
                "one default profile",
            ),
            (
                {
                    "retaia_job_types": lambda: [
                        evolve(JOB, capabilities={None: Capability("Draw")})
                    ]
                },
                "no capability",
            ),
        ],
    )
    def test_tables_that_contradict_are_refused(
        self, hooks: dict[str, Callable[[], Any]], said: str
    ) -> None:
        """Rows that name what nobody defines, or that differ under one name, stop the start."""
        with pytest.raises(PluginError, match=said):
            host(stranger=plugin(**hooks)).catalog()


class TestChosenProfiles:
    def test_they_are_given_instead_of_the_usual_ones(self) -> None:
        """Each for its media type; the others stay as they were."""
        usual = builtin_catalog()
        chosen = with_profiles(usual, ["video_storyboard"]).default_profiles
        assert chosen == {**usual.default_profiles, MediaType.VIDEO: "video_storyboard"}

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (["video_storybord"], "'video_storybord' is none; allowed: video_standard, "),
            (["video_storyboard", "video_standard"], "both for VIDEO"),
        ],
    )
    def test_what_cannot_be_chosen_is_named(self, names: list[str], said: str) -> None:
        """An unknown name, and two for one media type."""
        with pytest.raises(SettingsError, match=said):
            with_profiles(builtin_catalog(), names)


class TestSelection:
    def test_a_missing_provider_lists_what_there_is(self) -> None:
        """A setting that names a missing plugin is an error that lists what is installed."""
        plugins = host(shelf=plugin(retaia_providers=lambda: [PROVIDER]))
        with pytest.raises(PluginError, match="no store named 'cloud'; installed: shelf"):
            plugins.provider(Role.STORE, "cloud")

    def test_two_claims_are_refused(self) -> None:
        """Two plugins that claim one name of one role are an error."""
        one = plugin(retaia_providers=lambda: [PROVIDER])
        two = plugin(retaia_providers=lambda: [PROVIDER])
        with pytest.raises(PluginError, match="two plugins claim the store 'shelf'"):
            host(one=one, two=two).provider(Role.STORE, "shelf")


class TestLoading:
    def _entries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Any:
        ast.parse(code)
        (tmp_path / "stranger_plugin.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        entries = [
            EntryPoint(name="builtins", value="retaia_core.builtins", group="retaia"),
            EntryPoint(name="stranger", value="stranger_plugin", group="retaia"),
        ]
        monkeypatch.delitem(__import__("sys").modules, "stranger_plugin", raising=False)
        return lambda: entries

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("import no_such_library", "needs the Python package 'no_such_library'"),
            ("raise ValueError('half written')", "half written"),
        ],
    )
    def test_a_plugin_that_does_not_load_breaks_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
    ) -> None:
        """A plugin that cannot be imported is named with its reason, and all others work."""
        plugins = load_plugins(entries=self._entries(tmp_path, monkeypatch, code))
        assert said in plugins.reports["stranger"].problem
        assert plugins.catalog().profiles

    def test_a_misspelt_hook_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A function marked as a hook that does not exist stops the start and is named."""
        code = "from retaia_core import hookimpl\n@hookimpl\ndef retaia_job_type(): return []\n"
        with pytest.raises(
            PluginError, match=r"'stranger' has a hook that is none.*retaia_job_type"
        ):
            load_plugins(entries=self._entries(tmp_path, monkeypatch, code))

    def test_a_disabled_plugin_is_not_loaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Settings can name plugins that are left alone."""
        entries = self._entries(tmp_path, monkeypatch, "raise SystemExit(1)")
        plugins = load_plugins(disabled=["stranger"], entries=entries)
        assert plugins.reports["stranger"].problem == "disabled in the settings"
