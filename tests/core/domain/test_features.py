"""Features: which are on, which gate closed one, and the version of their contract."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.features import (
    AI,
    BULK_DECISIONS,
    CORE_KEYS,
    FEATURES,
    OPTIONAL_KEYS,
    SUGGEST_TAGS,
    TRANSCRIBE_AUDIO,
    Compatibility,
    Feature,
    Tier,
    negotiate,
    require,
    resolve,
    switched_app,
    switched_user,
)
from retaia_core.errors import (
    ForbiddenScope,
    UnsupportedFeatureFlagsContractVersion,
    ValidationFailed,
)

ALL_ON = dict.fromkeys(OPTIONAL_KEYS, True)
Switches = Mapping[str, bool]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Feature, ...]:
    """Any table, cycles and unknown keys included."""
    keys = [f"f{n}" for n in range(draw(st.integers(1, 6)))]
    some = st.lists(st.sampled_from([*keys, "nobody"]), max_size=2, unique=True).map(tuple)
    core = draw(st.sets(st.sampled_from(keys)))
    return tuple(
        Feature(
            key=key,
            tier=Tier.CORE_V1_GLOBAL if key in core else Tier.OPTIONAL,
            user_can_disable=draw(st.booleans()),
            dependencies=draw(some),
            disable_escalation=draw(some),
        )
        for key in keys
    )


SWITCHES = st.dictionaries(st.sampled_from([f"f{n}" for n in range(6)]), st.booleans())
GATES = st.tuples(SWITCHES, SWITCHES, SWITCHES)


def on(table: tuple[Feature, ...], gates: tuple[Switches, Switches, Switches]) -> set[str]:
    """The features that are on."""
    server, app, user = gates
    effects = resolve(table, server=server, app=app, user=user)
    return {key for key, effect in effects.items() if effect.on}


class TestTable:
    """*Core keys … Known optional keys …*."""

    def test_the_keys_are_those_of_the_protocol(self) -> None:
        """Seven core keys, and the optional ones."""
        names = (
            "auth assets.lifecycle jobs.runtime search.query policy.runtime derived.access "
            "clients.bootstrap"
        )
        assert [f"features.core.{name}" for name in names.split()] == list(CORE_KEYS)
        assert set(OPTIONAL_KEYS) == {BULK_DECISIONS, AI, TRANSCRIBE_AUDIO, SUGGEST_TAGS}

    def test_it_names_only_what_it_has(self) -> None:
        """Dependencies and escalations are features of the table."""
        known = {f.key for f in FEATURES}
        named = {key for f in FEATURES for key in (*f.dependencies, *f.disable_escalation)}
        assert named <= known

    @pytest.mark.parametrize(
        ("server", "app", "user", "key", "closed_by"),
        [
            (ALL_ON, {}, {}, BULK_DECISIONS, "None"),
            ({}, {}, {}, BULK_DECISIONS, "server"),
            ({}, {BULK_DECISIONS: False}, {BULK_DECISIONS: False}, BULK_DECISIONS, "server"),
            (ALL_ON, {BULK_DECISIONS: False}, {BULK_DECISIONS: False}, BULK_DECISIONS, "app"),
            (ALL_ON, {}, {BULK_DECISIONS: False}, BULK_DECISIONS, "user"),
            (ALL_ON, {}, {AI: False}, BULK_DECISIONS, "None"),
            (ALL_ON, {}, {AI: False}, AI, "user"),
            (ALL_ON, {}, {AI: False}, SUGGEST_TAGS, f"dependency {AI}"),
            ({TRANSCRIBE_AUDIO: True}, {}, {}, TRANSCRIBE_AUDIO, f"dependency {AI}"),
            (ALL_ON, {TRANSCRIBE_AUDIO: False}, {AI: False}, TRANSCRIBE_AUDIO, "app"),
            (ALL_ON, {TRANSCRIBE_AUDIO: False}, {}, AI, "None"),
            (ALL_ON, {}, {}, "features.core.auth", "None"),
            ({"features.core.auth": False}, {"features.core.auth": False},
             {"features.core.auth": False}, "features.core.auth", "None"),
        ],
    )  # fmt: skip
    def test_the_first_closed_gate_is_named(
        self, server: Switches, app: Switches, user: Switches, key: str, closed_by: str
    ) -> None:
        """Server, administrator, person, dependency, escalation, in this order."""
        effect = resolve(server=server, app=app, user=user)[key]
        assert str(effect.closed_by) == closed_by
        assert bool(effect.reason) is not effect.on

    def test_a_parent_takes_its_escalation_along(self) -> None:
        """What a feature that is off lists goes off, and so on down the chain."""
        table = (
            Feature(key="c"),
            Feature(key="b", disable_escalation=("c",)),
            Feature(key="a", disable_escalation=("b",)),
        )
        server = {"a": True, "b": True, "c": True}
        assert on(table, (server, {}, {})) == {"a", "b", "c"}
        effects = resolve(table, server=server, app={"a": False})
        assert [str(effects[key].closed_by) for key in "abc"] == [
            "app", "escalation a", "escalation b",
        ]  # fmt: skip

    def test_a_person_cannot_close_what_is_not_theirs(self) -> None:
        """A person's switch of a feature that they cannot switch off is passed over."""
        table = (Feature(key="a", user_can_disable=False),)
        assert on(table, ({"a": True}, {}, {"a": False})) == {"a"}


class TestLaws:
    """*Deterministic, explainable*: laws over any table."""

    @given(tables(), GATES, st.integers(0, 2), st.sampled_from([f"f{n}" for n in range(6)]))
    def test_closing_a_gate_opens_nothing(
        self, table: tuple[Feature, ...], gates: tuple[Switches, Switches, Switches],
        which: int, key: str,
    ) -> None:  # fmt: skip
        """Whatever gate is closed, what is on afterwards was on before."""
        closed = list(gates)
        closed[which] = {**gates[which], key: False}
        assert on(table, (closed[0], closed[1], closed[2])) <= on(table, gates)

    @given(tables(), GATES, st.data())
    def test_the_order_of_the_table_does_not_matter(
        self, table: tuple[Feature, ...], gates: tuple[Switches, Switches, Switches],
        data: st.DataObject,
    ) -> None:  # fmt: skip
        """Equal inputs give equal answers with equal reasons, in whatever order the rows come."""
        server, app, user = gates
        shuffled = data.draw(st.permutations(table))
        assert resolve(shuffled, server=server, app=app, user=user) == resolve(
            table, server=server, app=app, user=user
        )

    @given(tables(), GATES)
    def test_core_is_on_and_what_is_on_stands_on_what_is_on(
        self, table: tuple[Feature, ...], gates: tuple[Switches, Switches, Switches]
    ) -> None:
        """Core is always on; an optional feature that is on has its dependencies on, and no parent off."""
        now = on(table, gates)
        for feature in table:
            if feature.tier is Tier.CORE_V1_GLOBAL:
                assert feature.key in now
            elif feature.key in now:
                assert set(feature.dependencies) <= now
                parents = {f.key for f in table if feature.key in f.disable_escalation}
                assert parents <= now

    @given(tables(), GATES)
    def test_what_is_off_has_a_true_reason(
        self, table: tuple[Feature, ...], gates: tuple[Switches, Switches, Switches]
    ) -> None:
        """The gate that is named is closed indeed."""
        server, app, user = gates
        effects = resolve(table, server=server, app=app, user=user)
        rows = {f.key: f for f in table}
        for key, effect in effects.items():
            gate = effect.closed_by
            if gate is None:
                continue
            other = effects.get(gate.key)
            assert {
                "server": not server.get(key, False),
                "app": app.get(key) is False,
                "user": user.get(key) is False and rows[key].user_can_disable,
                "dependency": gate.key in rows[key].dependencies and not (other and other.on),
                "escalation": other is not None and not other.on
                and key in rows[gate.key].disable_escalation,
            }[gate.kind]  # fmt: skip


class TestSwitching:
    """*Switching off a core key is 403*; a key that nobody knows is no switch."""

    def test_a_change_touches_what_it_names(self) -> None:
        """Other switches stay; a core key that is switched on is nothing to remember."""
        after = switched_app({AI: False}, {BULK_DECISIONS: False, "features.core.auth": True})
        assert after == {AI: False, BULK_DECISIONS: False}
        assert switched_user(after, {AI: True}) == {AI: True, BULK_DECISIONS: False}

    @pytest.mark.parametrize("key", CORE_KEYS)
    def test_core_cannot_be_switched_off(self, key: str) -> None:
        """Not by an administrator and not by a person; nothing of the request is applied."""
        for switched in (switched_app, switched_user):
            with pytest.raises(ForbiddenScope) as caught:
                switched({}, {key: False, AI: False})
            assert caught.value.details["features"] == [key]

    def test_what_is_not_known_is_refused_by_name(self) -> None:
        """Every unknown key is named."""
        with pytest.raises(ValidationFailed) as caught:
            switched_app({}, {"features.tea": True, AI: True})
        assert caught.value.details["fields"] == {"features.tea": "unknown feature"}

    def test_a_person_switches_only_what_is_theirs(self) -> None:
        """A feature that a person cannot disable is refused to them, and open to administrators."""
        table = (Feature(key="a", user_can_disable=False),)
        assert switched_app({}, {"a": False}, table) == {"a": False}
        with pytest.raises(ForbiddenScope):
            switched_user({}, {"a": False}, table)

    def test_a_feature_that_is_off_says_why(self) -> None:
        """The refusal names the feature and the gate."""
        require(resolve(server=ALL_ON), BULK_DECISIONS)
        with pytest.raises(ForbiddenScope) as caught:
            require(resolve(server=ALL_ON, app={BULK_DECISIONS: False}), BULK_DECISIONS)
        assert caught.value.details == {"feature": BULK_DECISIONS, "gate": "app"}


class TestContractVersion:
    """*SemVer; accepted but older: COMPAT; not accepted: 426*."""

    ACCEPTED = ("1.9.0", "1.10.0", "2.0.0")

    @pytest.mark.parametrize(
        ("asked", "effective", "mode"),
        [
            (None, "1.10.0", Compatibility.STRICT),
            ("1.10.0", "1.10.0", Compatibility.STRICT),
            ("1.9.0", "1.9.0", Compatibility.COMPAT),
        ],
    )
    def test_what_is_accepted(self, asked: str | None, effective: str, mode: Compatibility) -> None:
        """The present version is strict, an older one that is listed compatible."""
        agreed = negotiate(asked, version="1.10.0", accepted=self.ACCEPTED)
        assert (agreed.effective, agreed.mode) == (effective, mode)
        assert agreed.accepted == ("1.9.0", "1.10.0")

    @pytest.mark.parametrize("asked", ["2.0.0", "1.8.0", "1.9.1", "01.9.0", "1"])
    def test_what_is_not(self, asked: str) -> None:
        """Newer, dropped and unheard-of versions are refused with those that are accepted."""
        with pytest.raises(UnsupportedFeatureFlagsContractVersion) as caught:
            negotiate(asked, version="1.10.0", accepted=self.ACCEPTED)
        assert caught.value.details["accepted"] == ["1.9.0", "1.10.0"]
