"""``/etc/hosts``: an address and its names on each line."""

import ipaddress

from opsconsole.inventory.draft import Draft, shown
from opsconsole.sentences import Sentence

_OWN_NAMES = frozenset({"localhost", "localhost.localdomain", "broadcasthost"})


def read_etc_hosts(text: str, draft: Draft) -> None:
    """Reads the text into ``draft``: the first name of a line is the host's, its other names are left out.

    The machine's own lines (loopback, multicast) are passed over.
    """
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            address = ipaddress.ip_address(words[0])
        except ValueError:
            draft.fault(number, Sentence("{words} is no address.", words=shown(words[0])))
            continue
        if len(words) < 2:
            draft.fault(number, "No name stands after the address.")
        elif words[1].lower() in _OWN_NAMES or words[1].lower().startswith("ip6-"):
            continue
        elif address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
            draft.notice("Names for the machine itself (loopback, link-local and the like) are passed over.")
        else:
            _host(words, number, draft)


def _host(words: list[str], line: int, draft: Draft) -> None:
    known = draft.hosts.get(words[1].lower())
    if known is not None:
        draft.notice("A second address of a name is left out.")
        return
    host = draft.host(words[1], line)
    if host is not None:
        draft.put(host, "address", words[0], line)
        if len(words) > 2:
            draft.notice("Further names of a line are left out.")
