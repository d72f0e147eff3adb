"""Features: the administrators' switches, a person's own, and why one is off."""

from __future__ import annotations

from collections.abc import Mapping

from retaia_core.domain.features import CORE_KEYS, FEATURES, Effect

from ..call import Call, Handler
from ..views import View

Switches = Mapping[str, bool]


def _all(switches: Switches) -> dict[str, bool]:
    """Every feature's switch; one that nobody touched is on."""
    return {feature.key: switches.get(feature.key, True) for feature in FEATURES}


def _governance() -> View:
    rules = [
        {
            "key": feature.key,
            "tier": feature.tier,
            "user_can_disable": feature.user_can_disable,
            "dependencies": feature.dependencies,
            "disable_escalation": feature.disable_escalation,
        }
        for feature in FEATURES
    ]
    return {"feature_governance": rules, "core_v1_global_features": CORE_KEYS}


def _app_view(switches: Switches) -> View:
    return {"app_feature_enabled": _all(switches), **_governance()}


async def get_app_features(call: Call) -> object:
    """The administrators' switches."""
    return _app_view(await call.services.features.app())


async def switch_app_features(call: Call) -> object:
    """Change the administrators' switches that are named."""
    wanted: Switches = call.body["app_feature_enabled"]
    return _app_view(await call.services.features.switch_app(call.actor, wanted))


async def get_my_features(call: Call) -> object:
    """The caller's own switches, and what is on for them."""
    features = call.services.features
    effects = await features.effects(call.account)
    return {
        "user_feature_enabled": _all(await features.user(call.account)),
        "effective_feature_enabled": {key: effect.on for key, effect in effects.items()},
        **_governance(),
    }


async def switch_my_features(call: Call) -> object:
    """Change the caller's own switches that are named."""
    await call.services.features.switch_user(call.account, call.body["user_feature_enabled"])
    return await get_my_features(call)


def _gate(effect: Effect) -> View:
    gate = effect.closed_by
    if gate is None:
        return {"key": effect.key, "enabled": True}
    other = {"gate_key": gate.key} if gate.key else {}
    closed = {"gate": gate.kind, **other, "reason": effect.reason}
    return {"key": effect.key, "enabled": False, **closed}


async def explain_my_features(call: Call) -> object:
    """Every feature, and which gate closed what is off for the caller."""
    effects = await call.services.features.effects(call.account)
    return {"items": [_gate(effect) for effect in effects.values()]}


HANDLERS: Mapping[str, Handler] = {
    "getAppFeatures": get_app_features,
    "switchAppFeatures": switch_app_features,
    "getMyFeatures": get_my_features,
    "switchMyFeatures": switch_my_features,
    "explainMyFeatures": explain_my_features,
}
