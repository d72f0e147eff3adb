"""Everything about people's accounts, put together."""

from __future__ import annotations

from attrs import frozen

from ..ports.clock import Clock, Ids
from ..ports.notifier import Notifier
from ..ports.secrets import Secrets
from ..ports.security_log import SecurityLog
from ..ports.store import Store
from ..usecases.accounts import Accounts
from ..usecases.passwords import Passwords
from ..usecases.second_factors import SecondFactors
from ..usecases.sessions import Sessions
from ..usecases.sign_in import SignIn
from ..usecases.verification import Verification


@frozen(kw_only=True)
class People:
    """The use cases of accounts, and the way their messages go."""

    accounts: Accounts
    sign_in: SignIn
    second_factors: SecondFactors
    passwords: Passwords
    verification: Verification
    notifier: Notifier


def people_of(
    *,
    store: Store,
    clock: Clock,
    ids: Ids,
    secrets: Secrets,
    sessions: Sessions,
    security: SecurityLog,
    notifier: Notifier,
) -> People:
    """Build the use cases over one store."""
    return People(
        accounts=Accounts(store=store, clock=clock, ids=ids, secrets=secrets),
        sign_in=SignIn(
            store=store,
            clock=clock,
            ids=ids,
            secrets=secrets,
            sessions=sessions,
            security=security,
        ),
        second_factors=SecondFactors(
            store=store, clock=clock, ids=ids, secrets=secrets, security=security
        ),
        passwords=Passwords(store=store, clock=clock, ids=ids, secrets=secrets),
        verification=Verification(store=store, clock=clock, ids=ids),
        notifier=notifier,
    )
