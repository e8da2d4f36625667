# ruff: noqa: E501  Examples, many a line.
"""What counts as a command that nobody means on several hosts, and what does not."""

import time

import pytest

from opsconsole.jobs.danger import found_in
from opsconsole.jobs.what import What

_DANGEROUS = {
    "deletes the root or a folder of the system": (
        "rm -rf /", "rm -rf /*", "sudo rm -r -f / ; true", "rm -fr --no-preserve-root /", "rm / -rf", 'rm -rf "/"',
        "rm -rf /nope", "rm -rf /var", "rm -rf /etc/", "rm -rf /usr/*", "rm -rf /usr/lib", "rm -rf /tmp/x /home",
        "rm --recursive --force /boot", 'rm -rf "$X"/*', "rm -rf $DIR/", "rm -rf ${DIR}/*", "rm -rf ~", "rm -rf $HOME/*",
        "rm -r \\\n /", "cd / && rm -rf *", "find / -delete", "find /etc -type f -delete", "find / -exec rm {} +",
        'python3 -c \'import shutil; shutil.rmtree("/")\'', "shutil.rmtree('/etc')", 'os.system("rm -rf /")',
        'subprocess.run(["rm", "-rf", "/"])', "use File::Path; remove_tree('/usr');", "FileUtils.rm_rf('/')",
        "perl -e 'system(\"rm -rf /var\")'", "echo rm -rf /",
    ),
    "moves files into nowhere": ("mv /* /dev/null", "mv / /dev/null"),
    "changes the rights of a whole folder of the system": (
        "chmod -R 777 /", "chown -R x /", "sudo chown -R www:www /var", "chmod 777 -R /usr/lib", "chgrp --recursive x /etc",
    ),
    "formats a file system": (
        "mkfs.ext4 /dev/sda1", "sudo mkfs -t xfs /dev/sdb", "true; /sbin/mkfs.xfs /dev/sdb", "wipefs -a /dev/sda",
        "lvremove -f vg/data", "cryptsetup -q luksFormat /dev/sdb", "os.system('mkfs.ext4 /dev/sda')",
    ),
    "writes to a device": (
        "dd if=/dev/zero of=/dev/sda", "cat image > /dev/nvme0n1", "shred /dev/sdb", "dd of='/dev/vda' bs=1M",
    ),
    "overwrites a file that logins need": ("> /etc/passwd", "echo x >/etc/shadow", "rm -f /etc/passwd", ": >| /etc/sudoers"),
    "stops or restarts the host": (
        "reboot", "shutdown -h now", "sudo -n reboot", "true && /sbin/poweroff", "init 0", "telinit 6",
        "systemctl poweroff", "systemctl -i isolate rescue.target", 'os.system("reboot")', "sh -c 'halt'",
        "echo b > /proc/sysrq-trigger", "if x; then reboot; fi", "(sleep 5; reboot) &", "nohup reboot",
    ),
    "ends all processes": ("kill -9 -1", "kill -KILL -1", "kill -s TERM -- -1", "kill -- -1", "os.kill(-1, 9)"),
    "multiplies until the host is full": (":(){ :|:& };:", "bomb() { bomb | bomb & }; bomb"),
    "flushes the firewall": ("iptables -F", "iptables -t nat -F", "ip6tables --flush", "nft flush ruleset", "ufw disable"),
    "stops the SSH service": ("systemctl stop sshd", "service ssh stop", "systemctl disable --now ssh.socket", "pkill -9 sshd"),
    "takes the network down": ("ip link set eth0 down", "systemctl stop NetworkManager", "ifdown eth0"),
    "deletes accounts": ("userdel -r bob", "sudo deluser bob"),
    "deletes a crontab": ("crontab -r", "crontab -u bob -r"),
}  # fmt: skip
_ORDINARY = (
    "uptime", "rm -rf /tmp/x", "rm -rf /tmp/*", "rm -rf /opt/app/releases/41", "rm -rf /var/cache/app", "rm -rf build",
    "rm -f /root.txt", "rm -rf ./x", "rm -rf $DIR/build", "echo mkfsx", "man mkfs", "dd if=/dev/sda of=disk.img",
    "dd if=/dev/zero of=/dev/null count=1", "journalctl -u sshd", "grep reboot /var/log/syslog", "last reboot | head",
    "grep 'shutdown' app.log", "cat /var/run/reboot-required", "ls /sbin/reboot", "needs-restarting -r", "who -b",
    "kill -1 4711", "kill -9 4711", "kill -HUP 1", "find / -name core", "find /tmp -mtime +3 -delete", "rm -rf /tmp",
    "find /var/cache/app -delete", "chmod -R 755 /srv/www/app", "chmod 755 /etc", "chown root /etc/motd",
    "echo x >> /etc/passwd", "cat /etc/passwd > /tmp/p", "getent passwd", "diff /etc/passwd /tmp/p", "iptables -L -n",
    "iptables-save", "nft list ruleset", "systemctl stop nginx", "systemctl status ssh", "systemctl restart sshd",
    "systemctl isolated", "init-app 0", "ip link show", "ip link set eth0 up", "id userdel", "crontab -l", "lsblk",
    "shutil.rmtree('/tmp/x')", "wipefs /dev/sda", "echo hello > /dev/null", "ls 2>/dev/null", "reboot-notifier --check",
    "mv a b", "ufw status", "f() { echo a | cat & }",
)  # fmt: skip


@pytest.mark.parametrize(("what", "command"), [(what, text) for what, texts in _DANGEROUS.items() for text in texts])
def test_what_nobody_means_on_several_hosts_is_found(what: str, command: str) -> None:
    assert what in found_in(command)
    assert what in found_in(f"set -e\n{command}\ntrue")


@pytest.mark.parametrize("command", _ORDINARY)
def test_ordinary_commands_are_left_alone(command: str) -> None:
    assert found_in(command) == ()
    assert found_in(f"set -e\n{command}\ntrue") == ()


@pytest.mark.parametrize(
    ("what", "command"),
    [
        (What(interpreter="rm -rf"), "/"),
        (What(args=("rm", "-rf", "/nope")), '"$@"'),
        (What(args=("/",)), "rm -rf"),
        (What(stdin="rm -rf /\n"), "sh"),
        (What(interpreter="python3"), 'import shutil\nshutil.rmtree("/")'),
        (What(verify="reboot"), "true"),
    ],
)
def test_every_text_of_an_order_is_looked_through(what: What, command: str) -> None:
    assert found_in(what.readable(command))


def test_each_danger_is_told_once() -> None:
    assert found_in("rm -rf /; find / -delete; reboot") == (
        "deletes the root or a folder of the system",
        "stops or restarts the host",
    )


@pytest.mark.parametrize(
    "unit", ["rm -", "rm -r ", "a", "dd ", "sudo -a b ", "kill -", "find / ", " ", ";", "(", "x(){", "mv x", "ip link set ",
             "chmod -R ", "> ", "systemctl -a ", "$", "/", "'", "iptables ", "cd /;", "x.reboot ", "x reboot", "systemctl reboo "],
)  # fmt: skip
def test_a_hostile_text_is_looked_at_quickly(unit: str) -> None:
    began = time.process_time()
    found_in(unit * (300_000 // len(unit)))
    assert time.process_time() - began < 6
