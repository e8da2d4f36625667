"""From a claim whose credentials are elsewhere to one that can log in. Holds no transaction."""

from dataclasses import replace

from opsconsole.credentials.external import Fetched, Fetcher
from opsconsole.errors import Unavailable
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ports import Auth, PrivateKey, Target, Unreached
from opsconsole.jobs.states import Reason


def fetched(claim: Claim, sources: Fetcher | None) -> Claim:
    """Returns ``claim`` with its external credentials fetched, those of its jump hosts too, or with the problem why one
    is not. Never raises."""
    if claim.problem is not None:
        return claim
    target, auth, problem = usable(claim.target, claim.auth, sources)
    return replace(claim, target=target, auth=auth, problem=problem)


def usable(target: Target, auth: Auth, sources: Fetcher | None) -> tuple[Target, Auth, Unreached | None]:
    """Returns both with their external credentials fetched, and why one could not be if so. Never raises."""
    hops = []
    for hop in target.via:
        try:
            hops.append(replace(hop, auth=_login(hop.auth, hop.user, sources)))
        except Unavailable as error:
            return target, auth, _missing(Reason.JUMP, f"Jump host {hop.host}: {error.detail}")
    try:
        mine = _login(auth, target.user, sources)
    except Unavailable as error:
        return target, auth, _missing(Reason.CREDENTIAL, f"{auth.identity}: {error.detail}")
    return replace(target, via=tuple(hops)), mine, None


def _missing(reason: Reason, sentence: str) -> Unreached:
    # Who holds it may be back at the next try.
    return Unreached(reason, sentence, retryable=True)


def _login(auth: Auth, user: str, sources: Fetcher | None) -> Auth:
    if auth.external is None:
        return auth
    if sources is None:
        raise Unavailable("This process fetches no credentials.")
    return _with(auth, sources.fetch(auth.external, user))


def _with(auth: Auth, found: Fetched) -> Auth:
    if found.private_key is None:
        return replace(auth, external=None, password=found.password)
    key = PrivateKey(auth.identity, found.private_key, found.passphrase, found.certificate)
    return replace(auth, external=None, private_keys=(key,))
