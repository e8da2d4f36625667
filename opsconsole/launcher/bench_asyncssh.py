"""The peer that a person writes in an afternoon: asyncssh, one gather, a semaphore. A racer of ``bench fanout``.

``python -m opsconsole.launcher.bench_asyncssh HOSTS_FILE PORT USER KEY KNOWN_HOSTS SLOTS COMMAND`` prints a line of
output for each host.
"""

import asyncio
import sys
from pathlib import Path

import asyncssh


async def main(arguments: list[str]) -> None:
    """Runs the command on all hosts, at most SLOTS at once."""
    hosts_file, port, user, key, known_hosts, slots, command = arguments
    hosts = Path(hosts_file).read_text().split()  # noqa: ASYNC240  Before anything runs that could wait for it.
    client_keys = [asyncssh.read_private_key(key)]
    trusted = asyncssh.read_known_hosts(known_hosts)
    gate = asyncio.Semaphore(int(slots))

    async def run(host: str) -> None:
        async with (
            gate,
            asyncssh.connect(
                host,
                int(port),
                username=user,
                client_keys=client_keys,
                known_hosts=trusted,
                config=None,
                agent_path=None,
                kex_algs=["curve25519-sha256"],
                encryption_algs=["aes128-gcm@openssh.com"],
            ) as connection,
        ):
            done = await connection.run(command)
            sys.stdout.write(str(done.stdout))

    await asyncio.gather(*(run(host) for host in hosts))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
