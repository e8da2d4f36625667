"""The preview names the hosts that the claim would refuse for a changed host key."""

from typing import Any

from sqlalchemy import event

from opsconsole.inventory import hostkeys
from opsconsole.jobs.launch import Order
from tests.support.desk import Desk
from tests.support.factories import make_host, make_key


def _alarm(desk: Desk, address: str, port: int = 22) -> None:
    with desk.database.transaction() as session:
        now = desk.clock.now()
        hostkeys.remember(session, address, port, make_key(), source=hostkeys.Source.IMPORT, now=now)
        hostkeys.offer(session, address, port, make_key(), now=now)


def _resolve(desk: Desk, order: Order) -> dict[str, Any]:
    with desk.database.read() as session:
        return desk.launcher.resolve(session, order, desk.actor)


def _told(answer: dict[str, Any]) -> tuple[list[str], int, str]:
    return answer["key_changed"], answer["key_changed_count"], answer["key_changed_folded"]


def test_hosts_whose_key_changed_are_named_by_preview_and_dry_run(desk: Desk) -> None:
    with desk.database.transaction() as session:
        make_host(session, "db1", address="DB1.example.com", port=2201)
    order = Order("web1,web2,db1,web3:2222", "uptime")
    assert _told(_resolve(desk, order)) == ([], 0, "")
    _alarm(desk, "web2")
    _alarm(desk, "db1.example.com", 2201)
    _alarm(desk, "web3")
    assert _told(_resolve(desk, order)) == (["web2", "db1"], 2, "db1,web2")
    with desk.database.read() as session:
        plan = desk.launcher.plan(session, order, desk.actor)
    assert _told(plan) == (["web2", "db1"], 2, "db1,web2")
    assert "Nothing connects until an administrator decides" in " ".join(plan["policy"]["reasons"])
    assert plan["policy"]["allowed"]


def test_so_are_those_behind_a_jump_host_whose_key_changed(desk: Desk) -> None:
    _alarm(desk, "bastion", 2022)
    assert _told(_resolve(desk, Order("web[1-2]", "uptime", jump="ops@bastion:2022")))[1:] == (2, "web[1-2]")
    assert _told(_resolve(desk, Order("web[1-2]", "uptime", jump="bastion")))[1:] == (0, "")


def test_it_costs_one_query_however_many_hosts_there_are(desk: Desk) -> None:
    asked: list[str] = []
    with desk.database.read() as session:
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        desk.launcher.resolve(session, Order("web[1-3]", "uptime"), desk.actor)
    assert sum("host_keys" in statement for statement in asked) == 1
