"""Host keys: what a server showed against what is trusted."""

from opsconsole.clock import SystemClock
from opsconsole.inventory.known_hosts import KnownKey, fingerprint
from opsconsole.jobs.ports import HostKeyPolicy, Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence, joined
from opsconsole.ssh.certificates import HostCertificate, is_certificate, read_certificate


def check(target: Target, shown: KnownKey) -> Unreached | None:
    """Returns why the server that showed ``shown`` must not be spoken to, or ``None`` when it may.

    Where any key is known for the host, only a known one will do, under each policy: a server that shows another
    type instead of the known one is not told apart from an impostor that can show no other. A certificate counts when
    an authority that speaks for the host signed it; one that proves nothing is worth what its plain key is worth.
    """
    certificate = read_certificate(shown) if is_certificate(shown) else None
    plain = certificate.key if certificate is not None else shown
    signer = certificate.signer if certificate is not None else None
    if plain in target.revoked_keys or signer in target.revoked_keys:
        return _revoked(target, plain, signer)
    flaw = _flaw(target, certificate) if certificate is not None else None
    if certificate is not None and flaw is None:
        return None
    if plain in target.known_keys:
        return None
    remark = [Sentence("Its certificate {flaw}.", flaw=flaw)] if flaw is not None else []
    words = f"{plain.algorithm} {fingerprint(plain)}"
    if certificate is not None and _vouched(target, certificate):
        detail = Sentence(
            "The host's certificate {flaw}, and its key {words} is not trusted by itself. Nothing was sent to it.",
            flaw=flaw,
            words=words,
        )
        return Unreached(Reason.HOST_CERTIFICATE, detail)
    if target.known_keys:
        known = ", ".join(f"{key.algorithm} {fingerprint(key)}" for key in target.known_keys)
        changed = Sentence(
            "The host key changed: trusted is {known}, the server shows {words}.", known=known, words=words
        )
        detail = joined(" ", [changed, *remark, Sentence("Nothing was sent to it.")])
        return Unreached(Reason.HOST_KEY_CHANGED, detail, offered=plain)
    if target.host_key_policy is HostKeyPolicy.ACCEPT_NEW:
        return None
    if target.host_key_policy is HostKeyPolicy.PINNED:
        unpinned = Sentence("Nobody has pinned this host key: {words}.", words=words)
        way_out = Sentence("Compare it with the host's own, trust it, run again.")
        detail = joined(" ", [unpinned, *remark, way_out])
        return Unreached(Reason.HOST_KEY_UNKNOWN, detail, offered=plain)
    unknown = Sentence("The host key is not known yet: {words}.", words=words)
    way_out = Sentence("Compare it with the host's own, trust it, and run again.")
    detail = joined(" ", [unknown, *remark, way_out])
    return Unreached(Reason.HOST_KEY_UNKNOWN, detail, offered=plain)


def plain_key(shown: KnownKey) -> KnownKey:
    """Returns the key itself of what a server showed, without the certificate around it."""
    certificate = read_certificate(shown) if is_certificate(shown) else None
    return certificate.key if certificate is not None else shown


def is_new(target: Target, shown: KnownKey) -> bool:
    """Returns whether what passed ``check`` passed only because the policy accepts a first key."""
    if plain_key(shown) in target.known_keys:
        return False
    certificate = read_certificate(shown) if is_certificate(shown) else None
    return certificate is None or _flaw(target, certificate) is not None


def _flaw(target: Target, certificate: HostCertificate) -> str | None:
    """Returns what is wrong with a certificate for this host, as the end of a sentence, or ``None``."""
    names = [name for item in target.authorities if item.key == certificate.signer for name in item.names]
    if not names:
        signer = fingerprint(certificate.signer)
        return Sentence("is signed by {signer}, which is no authority for this host", signer=signer)
    return certificate.problem(names, SystemClock().now())


def _vouched(target: Target, certificate: HostCertificate) -> bool:
    """Returns whether an authority did sign it, so that it is no impostor's, though it does not count here or now."""
    return any(item.key == certificate.signer for item in target.authorities) and certificate.signed


def _revoked(target: Target, plain: KnownKey, signer: KnownKey | None) -> Unreached:
    if signer is not None and signer in target.revoked_keys:
        detail = Sentence(
            "The server shows a certificate of the authority {signer}, which is revoked. Nothing was sent to it.",
            signer=fingerprint(signer),
        )
    else:
        detail = Sentence(
            "The server shows the key {algorithm} {key}, which is revoked. Nothing was sent to it.",
            algorithm=plain.algorithm,
            key=fingerprint(plain),
        )
    return Unreached(Reason.HOST_KEY_REVOKED, detail)
