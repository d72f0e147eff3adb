"""Which sidecar belongs to which media file (domain.md, *Sidecars*)."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.media import MEDIA_FORMATS, MediaType, extension_of, media_type_of, table_of
from retaia_core.domain.sidecars import (
    BY_PERSON,
    LEGACY_VIDEO,
    SIDECAR_RULES,
    Parent,
    SidecarRule,
    Trace,
    Unmatched,
    attach,
    sidecar_extensions,
)
from retaia_core.testing import strategies

TABLE = table_of(MEDIA_FORMATS)
LEGACY = frozenset({LEGACY_VIDEO})
OFF = frozenset[str]()
OF_TYPE = {"xmp": MediaType.PHOTO} | dict.fromkeys(("srt", "lrf", "lrv", "thm"), MediaType.VIDEO)
POLICIES = st.sampled_from([OFF, LEGACY])


def parent(name: str) -> Parent:
    """A media file of the folder."""
    media_type = media_type_of(name, TABLE)
    assert media_type is not None
    return Parent(name=name, media_type=media_type)


def one(sidecar: str, *parents: str, policies: frozenset[str] = OFF) -> Trace:
    """What is decided for one sidecar."""
    [trace] = attach([sidecar], [parent(name) for name in parents], policies=policies)
    return trace


STEMS = st.sampled_from(["A001", "a001", "A001.B", "straße", "STRASSE", "🎬\n", "A001.jpg"])
PARENTS = st.lists(
    st.builds(
        lambda stem, extension: f"{stem}.{extension}",
        STEMS,
        st.sampled_from(["jpg", "JPG", "png", "mov", "MP4", "wav"]),
    ),
    unique=True,
    max_size=6,
).map(lambda names: [parent(name) for name in names])
SIDECARS = st.lists(
    st.builds(
        lambda stem, full, extension: f"{stem}{full}.{extension}",
        STEMS,
        st.sampled_from(["", ".jpg", ".JPG", ".mov"]),
        st.sampled_from(["xmp", "XMP", "srt", "lrf", "lrv", "thm", "txt"]),
    ),
    unique=True,
    max_size=6,
)


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]


def _points(sidecar: str, parents: list[Parent], *, fold: bool) -> list[str]:
    """The parents that a sidecar's name points at, written down a second time."""

    def same(a: str, b: str) -> bool:
        return a.casefold() == b.casefold() if fold else a == b

    wanted = OF_TYPE[extension_of(sidecar)]
    return [
        p.name
        for p in parents
        if p.media_type is wanted
        and (same(_stem(sidecar), _stem(p.name)) or same(_stem(sidecar), p.name))
    ]


class TestResolution:
    """*Exact base name first; then case-insensitive; more than one valid parent attaches nothing.*."""

    @given(SIDECARS, PARENTS, POLICIES)
    def test_it_is_what_the_rule_says(
        self, sidecars: list[str], parents: list[Parent], policies: frozenset[str]
    ) -> None:
        """Each sidecar's parent or reason follows from the names alone."""
        wishes: dict[str, str | Unmatched] = {}
        for name in sidecars:
            if extension_of(name) not in OF_TYPE:
                continue
            exact = _points(name, parents, fold=False)
            found = exact or _points(name, parents, fold=True)
            if extension_of(name) in ("lrv", "thm") and not policies:
                wishes[name] = Unmatched.DISABLED_BY_POLICY
            elif not found:
                wishes[name] = Unmatched.MISSING_PARENT
            else:
                wishes[name] = found[0] if len(found) == 1 else Unmatched.AMBIGUOUS_PARENT
        kinds = Counter((wish, extension_of(name)) for name, wish in wishes.items())
        for name, wish in wishes.items():
            if not isinstance(wish, Unmatched) and kinds[wish, extension_of(name)] > 1:
                wishes[name] = Unmatched.AMBIGUOUS_PARENT
        traces = attach(sidecars, parents, policies=policies)
        assert {t.sidecar: t.reason or t.parent for t in traces} == wishes

    @given(SIDECARS, PARENTS, POLICIES, st.data())
    def test_a_persons_word_stands(
        self,
        sidecars: list[str],
        parents: list[Parent],
        policies: frozenset[str],
        data: st.DataObject,
    ) -> None:
        """No rule overrides it, and the others are decided as if those sidecars were not there."""
        names = st.sampled_from([p.name for p in parents] or ["gone.jpg"])
        said = data.draw(st.dictionaries(st.sampled_from(sidecars or ["none.xmp"]), names))
        traces = attach(sidecars, parents, policies=policies, by_person=said)
        mine = {t.sidecar: t.parent for t in traces if t.rule == BY_PERSON}
        assert mine == {name: parent for name, parent in said.items() if name in sidecars}
        others = tuple(t for t in traces if t.rule != BY_PERSON)
        left = [name for name in sidecars if name not in said]
        assert others == attach(left, parents, policies=policies)
        assert [t.sidecar for t in traces] == sorted(t.sidecar for t in traces)

    @given(SIDECARS, PARENTS, POLICIES, st.randoms(use_true_random=False))
    def test_the_order_of_the_input_does_not_matter(
        self,
        sidecars: list[str],
        parents: list[Parent],
        policies: frozenset[str],
        random: Random,
    ) -> None:
        """The same names in any order give the same traces in the same order."""
        first = attach(sidecars, parents, policies=policies)
        random.shuffle(sidecars)
        random.shuffle(parents)
        assert attach(sidecars, parents, policies=policies) == first

    @given(SIDECARS, PARENTS, POLICIES)
    def test_one_trace_each_one_parent_at_most(
        self, sidecars: list[str], parents: list[Parent], policies: frozenset[str]
    ) -> None:
        """*Each decision leaves a trace*; a parent has at most one sidecar of a kind, of its type."""
        traces = attach(sidecars, parents, policies=policies)
        named = [t.sidecar for t in traces]
        assert named == sorted(name for name in sidecars if extension_of(name) in OF_TYPE)
        types = {p.name: p.media_type for p in parents}
        held: Counter[tuple[str, str]] = Counter()
        for trace in traces:
            assert (trace.parent is None) is (trace.reason is not None)
            assert trace.rule in {rule.name for rule in SIDECAR_RULES}
            if trace.parent is not None:
                held[trace.parent, extension_of(trace.sidecar)] += 1
                assert types[trace.parent] is OF_TYPE[extension_of(trace.sidecar)]
        assert all(count == 1 for count in held.values())

    @given(SIDECARS, PARENTS, strategies.media_names(MediaType.AUDIO))
    def test_audio_has_no_sidecars(
        self, sidecars: list[str], parents: list[Parent], name: str
    ) -> None:
        """*AUDIO none*: an audio file more in the folder changes nothing."""
        audio = Parent(name=name, media_type=MediaType.AUDIO)
        assert attach(sidecars, [*parents, audio]) == attach(sidecars, parents)

    def test_exact_comes_before_case_insensitive(self) -> None:
        """Of twins, the one with the sidecar's own spelling is the parent."""
        assert one("A001.xmp", "a001.jpg", "A001.jpg").parent == "A001.jpg"
        assert one("A001.XMP", "a001.jpg").parent == "a001.jpg"
        assert one("Aß.xmp", "ASS.jpg").parent == "ASS.jpg"

    def test_two_valid_parents_attach_nothing(self) -> None:
        """Base name against two formats, or against two case twins: nothing is guessed."""
        for parents in (("A001.jpg", "A001.png"), ("a001.jpg", "a001.JPG")):
            assert one("A001.xmp", *parents).reason is Unmatched.AMBIGUOUS_PARENT

    def test_two_sidecars_of_a_kind_attach_nothing(self) -> None:
        """*Several sidecars of one kind for one parent attach nothing*, in both naming styles."""
        for pair in (("A001.xmp", "A001.XMP"), ("A001.xmp", "A001.jpg.xmp")):
            traces = attach(pair, [parent("A001.jpg")])
            assert [t.reason for t in traces] == [Unmatched.AMBIGUOUS_PARENT] * 2

    def test_both_naming_styles_mean_the_parent(self) -> None:
        """*`A001.xmp` and `A001.jpg.xmp` both mean the parent `A001.jpg`.*."""
        assert one("A001.xmp", "A001.jpg").parent == "A001.jpg"
        assert one("A001.jpg.xmp", "A001.jpg").parent == "A001.jpg"
        assert one("A001.jpg.xmp", "A001.jpg", "A001.png").parent == "A001.jpg"
        assert one("A001.mov.xmp", "A001.jpg").reason is Unmatched.MISSING_PARENT

    def test_a_parent_of_another_type_is_none(self) -> None:
        """A photo's sidecar finds no video, and the other way round."""
        assert one("A001.xmp", "A001.mov").reason is Unmatched.MISSING_PARENT
        assert one("A001.srt", "A001.jpg").reason is Unmatched.MISSING_PARENT
        assert one("A001.srt", "A001.jpg", "A001.mov").parent == "A001.mov"


class TestPolicies:
    """*`.lrv`, `.thm` only where the policy `video_legacy_sidecars` is on.*."""

    @pytest.mark.parametrize("extension", ["lrv", "thm"])
    def test_off_is_a_reason_and_on_attaches(self, extension: str) -> None:
        """The reason is the policy even where a parent stands beside."""
        name = f"A001.{extension}"
        assert one(name, "A001.mp4").reason is Unmatched.DISABLED_BY_POLICY
        assert one(name).reason is Unmatched.DISABLED_BY_POLICY
        assert one(name, "A001.mp4", policies=LEGACY).parent == "A001.mp4"
        assert one(name, policies=LEGACY).reason is Unmatched.MISSING_PARENT

    def test_the_table(self) -> None:
        """Photo xmp; video srt, lrf; lrv and thm behind the policy; nothing else is built in."""
        rows = {(r.extension, r.media_type, r.policy) for r in SIDECAR_RULES}
        assert rows == {
            ("xmp", MediaType.PHOTO, None),
            ("srt", MediaType.VIDEO, None),
            ("lrf", MediaType.VIDEO, None),
            ("lrv", MediaType.VIDEO, LEGACY_VIDEO),
            ("thm", MediaType.VIDEO, LEGACY_VIDEO),
        }

    def test_a_sidecars_extension_never_makes_an_asset(self) -> None:
        """No extension is media and sidecar at once."""
        assert sidecar_extensions(SIDECAR_RULES) == set(OF_TYPE)
        assert not sidecar_extensions(SIDECAR_RULES) & set(TABLE)


class TestRulesOfPlugins:
    """*Plugins may add rules.*."""

    def test_one_extension_may_have_rules_for_two_types(self) -> None:
        """A rule for video beside that for photos: each finds its own, both together are ambiguous."""
        rules = (
            *SIDECAR_RULES,
            SidecarRule(name="video_xmp", extension="xmp", media_type=MediaType.VIDEO),
        )

        def decided(*parents: str) -> Trace:
            [trace] = attach(["A001.xmp"], [parent(p) for p in parents], rules=rules)
            return trace

        assert (decided("A001.mov").parent, decided("A001.mov").rule) == ("A001.mov", "video_xmp")
        assert (decided("A001.jpg").parent, decided("A001.jpg").rule) == ("A001.jpg", "photo_xmp")
        assert decided("A001.mov", "A001.jpg").reason is Unmatched.AMBIGUOUS_PARENT
        assert one("A001.xmp", "A001.mov").reason is Unmatched.MISSING_PARENT
