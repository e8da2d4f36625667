"""Tests of connections and a host's health, on the pages without script."""

from sqlalchemy import update

from opsconsole.db.database import Database
from opsconsole.jobs.models import ConnectionTest
from tests.functional.pages.people import Person
from tests.support.clock import START


def test_connections_are_asked_to_be_tested_and_the_page_tells_each_step(operator: Person) -> None:
    answer = operator.send("/tests", {"targets": "web[1-2]"})
    assert answer.status_code == 303
    where = answer.headers["Location"]
    assert "0 of 2 hosts were tried." in operator.text(where)
    wrong = operator.send("/tests", {"targets": "web[", "run_as": "root"})
    assert wrong.status_code == 422
    assert 'value="root"' in wrong.get_data(as_text=True)
    assert operator.get("/tests/none").status_code == 404


def test_a_finished_test_tells_the_failed_hosts_first(operator: Person, database: Database) -> None:
    where = operator.send("/tests", {"targets": "web[1-2]"}).headers["Location"]
    step = {"stage": "tcp", "verdict": "failed", "ms": 3, "detail": "Nothing listens <b>there</b>."}
    with database.transaction() as session:
        session.execute(update(ConnectionTest).values(done_at=START, ok=True, findings=[step | {"verdict": "ok"}]))
        session.execute(update(ConnectionTest).where(ConnectionTest.host == "web2").values(ok=False, findings=[step]))
    page = operator.text(where)
    assert "1 host cannot be used." in page
    assert page.index(">web2<") < page.index(">web1<")
    assert "Nothing listens &lt;b&gt;there" in page
    detail = "10.0.0.7 port 22 refused the connection: nothing listens there. Is sshd running there, and on this port?"
    with database.transaction() as session:
        session.execute(update(ConnectionTest).values(findings=[step | {"detail": detail}]))
    assert detail in operator.text(where)
    told = "10.0.0.7 端口 22 拒绝连接：没有程序在那里监听。那里是否在运行 sshd，端口是否正确？"
    assert told in operator.text(f"{where}?lang=zh")
