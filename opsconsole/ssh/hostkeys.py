"""Host keys: what a server showed against what is trusted."""

from opsconsole.inventory.known_hosts import KnownKey, fingerprint
from opsconsole.jobs.ports import HostKeyPolicy, Target, Unreached
from opsconsole.jobs.states import Reason


def check(target: Target, shown: KnownKey) -> Unreached | None:
    """Returns why the server that showed ``shown`` must not be spoken to, or ``None`` when it may.

    Where any key is known for the host, only a known one will do, under either policy: a server that shows another
    type instead of the known one is not told apart from an impostor that can show no other.
    """
    if shown in target.known_keys:
        return None
    words = f"{shown.algorithm} {fingerprint(shown)}"
    if target.known_keys:
        known = ", ".join(f"{key.algorithm} {fingerprint(key)}" for key in target.known_keys)
        detail = f"The host key changed: trusted is {known}, the server shows {words}. Nothing was sent to it."
        return Unreached(Reason.HOST_KEY_CHANGED, detail, offered=shown)
    if target.host_key_policy is HostKeyPolicy.ACCEPT_NEW:
        return None
    detail = f"The host key is not known yet: {words}. Compare it with the host's own, trust it, and run again."
    return Unreached(Reason.HOST_KEY_UNKNOWN, detail, offered=shown)
