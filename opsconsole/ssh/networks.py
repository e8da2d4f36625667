"""Which addresses may be dialled. Pure: the question is asked after name resolution, with the address itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from opsconsole.sentences import Sentence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_BROADCAST = IPv4Address("255.255.255.255")
# Cloud metadata services outside the link-local range.
_METADATA = frozenset({IPv4Address("100.100.100.200"), IPv6Address("fd00:ec2::254"), IPv6Address("fd20:ce::254")})


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Loopback only when allowed; when ``allowed`` names networks, nothing outside them; some addresses never."""

    allow_loopback: bool
    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, allow_loopback: bool, networks: Sequence[str | Network]) -> "NetworkPolicy":
        """Returns a policy for networks written as ``10.0.0.0/8``; a wrong one is a ``ValueError``."""
        return cls(allow_loopback, tuple(ip_network(network) for network in networks))

    def refusal(self, address: Address) -> str | None:
        """Returns why ``address`` must not be dialled, as the end of a sentence, or ``None`` when it may."""
        for candidate in {address, _embedded(address)}:
            reason = self._refusal(candidate)
            if reason:
                return reason
        return None

    def _refusal(self, address: Address) -> str | None:
        never = _never(address)
        if never:
            return never
        if address.is_loopback and not self.allow_loopback:
            return Sentence("is a loopback address, which this console does not dial")
        if self.allowed and not any(address in network for network in self.allowed):
            return Sentence("is outside the networks this console may reach")
        return None


def _never(address: Address) -> str | None:
    if address.is_link_local or address in _METADATA:
        return Sentence("is a link-local or metadata address, which is never dialled")
    if address.is_multicast or address == _BROADCAST:
        return Sentence("is a multicast or broadcast address, which is never dialled")
    if address.is_unspecified or (isinstance(address, IPv4Address) and address in _THIS_NETWORK):
        return Sentence("is the unspecified address, which is never dialled")
    return None


def _embedded(address: Address) -> Address:
    """Returns the IPv4 address that an IPv6 one leads to, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
