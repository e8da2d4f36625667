"""Raw paramiko under gevent, without queue, database or guard: the yardstick that the product's cost is held against.

``python -m opsconsole.ssh.yardstick HOSTS_FILE PORT USER KEY KNOWN_HOSTS SLOTS COMMAND`` prints a line of output for
each host. It is a script of its own because gevent has to patch before anything else is imported.
"""

import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Runs the command on all hosts, at most SLOTS at once, each on a connection of its own."""
    from gevent import monkey

    monkey.patch_all()

    import socket

    from gevent.pool import Pool
    from paramiko import PKey, Transport

    hosts_file, port, user, key, known_hosts, slots, command = arguments
    private_key = PKey.from_path(key)
    trusted = Path(known_hosts).read_text().split()[2]

    def run(host: str) -> None:
        sock = socket.create_connection((host, int(port)), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = Transport(sock)
        options = transport.get_security_options()
        options.kex = ("curve25519-sha256@libssh.org",)
        options.key_types = ("ssh-ed25519",)
        try:
            transport.start_client(timeout=30)
            if transport.get_remote_server_key().get_base64() != trusted:
                raise SystemExit(f"{host} shows another host key")
            transport.auth_publickey(user, private_key)
            channel = transport.open_session(timeout=30)
            channel.exec_command(command)
            text = b"".join(iter(lambda: channel.recv(32768), b""))
            channel.recv_exit_status()
            sys.stdout.write(text.decode())
        finally:
            transport.close()

    Pool(int(slots)).map(run, Path(hosts_file).read_text().split())


if __name__ == "__main__":
    main(sys.argv[1:])
