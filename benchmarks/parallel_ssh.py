"""parallel-ssh (libssh2) as a racer. It is no dependency of ours: install it into a virtual environment of its own.

    python3 -m venv /tmp/pssh && /tmp/pssh/bin/pip install parallel-ssh
    opsconsole bench fanout --peer 'parallel-ssh x64=/tmp/pssh/bin/python benchmarks/parallel_ssh.py
        {hosts_file} {port} {user} {key} 64 {command}'

It prints a line of output for each host. libssh2 does not look at known_hosts unless told, so this peer is spared the
check of host keys that all others do.
"""

import sys
from pathlib import Path

from pssh.clients import ParallelSSHClient

hosts_file, port, user, key, slots, command = sys.argv[1:]
client = ParallelSSHClient(
    Path(hosts_file).read_text().split(), user=user, port=int(port), pkey=key, pool_size=int(slots), allow_agent=False
)
for answer in client.run_command(command, stop_on_errors=False):
    for line in answer.stdout or ():
        print(line)
