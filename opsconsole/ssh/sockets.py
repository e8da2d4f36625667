"""TCP to a host: resolve once, refuse forbidden networks, dial the very address that was checked."""

import errno
import socket
from ipaddress import ip_address

from opsconsole.jobs.ports import Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence
from opsconsole.ssh.deadline import Deadline, within
from opsconsole.ssh.networks import Address, NetworkPolicy

# How long sent bytes may stay unacknowledged, and a silent peer unheard, before the kernel ends the connection.
_USER_TIMEOUT_MS = 30_000
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def dial(target: Target, policy: NetworkPolicy, deadline: Deadline) -> tuple[socket.socket, Address] | Unreached:
    """Returns a connected socket and the address it leads to, or why there is none."""
    found = resolve(target, deadline)
    allowed = found if isinstance(found, Unreached) else permitted(found, policy)
    return allowed if isinstance(allowed, Unreached) else reach(allowed, target.port, deadline)


def reach(allowed: list[Address], port: int, deadline: Deadline) -> tuple[socket.socket, Address] | Unreached:
    """Returns a socket connected to the first of ``allowed`` that answers and its address, or why none does."""
    problem: Unreached | None = None
    for place, address in enumerate(allowed):
        # Each address gets a fair part of the time that is left, the last one all of it.
        result = _connect(address, port, deadline.left / (len(allowed) - place), deadline.seconds)
        if isinstance(result, socket.socket):
            return result, address
        problem = result
    return problem or Unreached(Reason.DNS, "The name has no address.")


def hung_up(port: int) -> Unreached:
    """Returns the answer for a server that ends the connection without a word, as one does that has too many."""
    detail = Sentence(
        "The server on port {port} closed the connection before its SSH greeting; it may be overloaded.", port=port
    )
    return Unreached(Reason.PROTOCOL, detail, retryable=True)


def permitted(found: list[Address], policy: NetworkPolicy) -> list[Address] | Unreached:
    """Returns those addresses of a host that may be dialled, or why none may."""
    refusals = [(address, policy.refusal(address)) for address in found]
    allowed = [address for address, refusal in refusals if refusal is None]
    if allowed:
        return allowed
    address, refusal = refusals[0]
    return Unreached(Reason.DENIED_NETWORK, Sentence("{address} {refusal}.", address=address, refusal=refusal))


def resolve(target: Target, deadline: Deadline) -> list[Address] | Unreached:
    """Returns the addresses of a host, or why there is none; one that is given as an address is not looked up."""
    try:
        return [ip_address(target.address.strip("[]"))]
    except ValueError:
        pass
    try:
        infos = within(deadline, lambda: socket.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM))
    except TimeoutError:
        return Unreached(
            Reason.DNS, Sentence("The name was not resolved within {seconds:g} s.", seconds=deadline.seconds)
        )
    except socket.gaierror as error:
        temporary = error.errno == socket.EAI_AGAIN
        detail = "The name could not be resolved now." if temporary else "The name is not known to the resolver."
        return Unreached(Reason.DNS, detail, retryable=temporary)
    except (OSError, UnicodeError):
        return Unreached(Reason.DNS, "The name could not be resolved.")
    return list(dict.fromkeys(ip_address(str(info[4][0])) for info in infos))


def _connect(address: Address, port: int, seconds: float, whole: float) -> socket.socket | Unreached:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _tune(sock)
        # Zero would mean non-blocking.
        sock.settimeout(max(seconds, 0.001))
        sock.connect((str(address), port))
    except TimeoutError:
        sock.close()
        detail = Sentence(
            "{address} port {port} did not answer within {whole:g} s.", address=address, port=port, whole=whole
        )
        return Unreached(Reason.CONNECT_TIMEOUT, detail, retryable=True)
    except OSError as error:
        sock.close()
        return _refused(error, address, port)
    except BaseException:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (*_KEEPALIVE, ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS)):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _refused(error: OSError, address: Address, port: int) -> Unreached:
    if error.errno == errno.ETIMEDOUT:
        return Unreached(
            Reason.CONNECT_TIMEOUT,
            Sentence("{address} port {port} did not answer.", address=address, port=port),
            retryable=True,
        )
    if error.errno in _NO_ROUTE:
        return Unreached(Reason.REFUSED, Sentence("There is no route to {address}.", address=address), retryable=True)
    if error.errno in {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}:
        return hung_up(port)
    if error.errno == errno.ECONNREFUSED:
        detail = Sentence(
            "{address} port {port} refused the connection: nothing listens there.", address=address, port=port
        )
        return Unreached(Reason.REFUSED, detail, retryable=True)
    if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL}:
        full = "This worker has no file descriptor or local port left for another connection."
        return Unreached(Reason.REFUSED, full, retryable=True)
    detail = Sentence(
        "{address} port {port} could not be reached (error {errno}).", address=address, port=port, errno=error.errno
    )
    return Unreached(Reason.REFUSED, detail, retryable=True)
