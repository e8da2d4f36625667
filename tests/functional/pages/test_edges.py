"""What pages say when there is nothing to show or something went wrong: the situation, and the way out of it."""

from collections.abc import Callable

import pytest

from opsconsole.db.database import Database
from opsconsole.inventory import hostkeys
from opsconsole.jobs.states import Reason, RunState
from opsconsole.runtime import Runtime
from tests.functional.api.play import Play
from tests.functional.pages.people import Person
from tests.support.factories import make_key

Players = Callable[[int], Play]


def test_a_console_without_hosts_says_how_to_get_some(admin: Person) -> None:
    page = admin.text("/hosts")
    wanted = "No hosts yet. Paste a list, import your ssh config, or try a demo fleet of 20 SSH hosts on this machine."
    assert wanted in page
    assert 'href="/hosts/import"' in page
    assert "opsconsole up --demo 20" in page


def test_a_console_without_jobs_leads_to_the_first_one(admin: Person) -> None:
    page = admin.text("/jobs")
    assert "Nothing has run." in page
    assert '<a href="/run">Run a command</a>' in page


def test_nothing_in_the_filter_is_said_once_and_is_good_news_at_the_end_only(operator: Person, play: Players) -> None:
    job = operator.job("web[1-2]")
    workers = play(job)
    workers.start(0, 1)
    page = operator.text(f"/jobs/{job}?view=hosts&state=f")
    before, _, after = page.partition('id="nobody"')
    strip = before.rpartition("<p")[2] + after.partition("</p>")[0]
    assert "No failed hosts." in strip
    assert f'<a href="/jobs/{job}?view=hosts" data-state="">Clear the filter</a>' in strip
    assert "good" not in strip
    assert "No host fits" not in page
    workers.end(0, 1)
    page = operator.text(f"/jobs/{job}?state=f")
    assert 'class="strip note good" id="nobody" role="status">' in page
    assert 'class="strip note good" id="nobody" role="status" hidden' in operator.text(f"/jobs/{job}?state=o")
    assert "No host fits this filter." in operator.text(f"/jobs/{job}?state=f,k")
    assert "没有失败的主机。" in operator.text(f"/jobs/{job}?state=f&lang=zh")


def test_a_host_that_printed_nothing_says_so(operator: Person, play: Players) -> None:
    job = operator.job("web[1-2]")
    workers = play(job)
    workers.start(0, 1)
    workers.end(0)
    workers.end(1, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    assert "Finished with exit 0 and printed nothing." in operator.text(f"/jobs/{job}/h/web1")
    assert "There is no output." in operator.text(f"/jobs/{job}/h/web2")


def test_without_a_worker_the_line_that_starts_one_can_be_pasted(operator: Person, runtime: Runtime) -> None:
    line = f"<code>OPSCONSOLE_DATA_DIR={runtime.settings.data_dir} opsconsole worker</code>"
    run = operator.text("/run")
    assert "No worker is connected, the job will wait." in run
    assert '<button class="btn pri big" id="go"' in run
    assert line in run
    assert line in operator.text("/workers")
    waiting = operator.text(f"/jobs/{operator.job('web1')}")
    assert "No worker is connected, so the job waits. Start one:" in waiting
    assert line in waiting


def test_a_login_that_many_refused_alike_is_told_once(operator: Person, play: Players) -> None:
    job = operator.job("web[1-4]")
    workers = play(job)
    detail = "key deploy was refused (publickey). The server offers: password."
    for place in range(3):
        workers.refuse(place, reason=Reason.AUTH.value, detail=detail)
    workers.refuse(3, reason=Reason.AUTH.value, detail="key deploy was refused (publickey). The server offers: <b>.")
    for path in (f"/jobs/{job}", f"/jobs/{job}/keys/notice"):
        page = operator.text(path)
        assert page.count("Refused by") == 1
        assert f'Refused by 3 hosts: <span class="mono">{detail}</span> <a href="/jobs/{job}?view=hosts' in page
    page = operator.text(f"/jobs/{job}?lang=zh")
    assert '<span class="mono">key deploy 被拒绝（publickey）。服务器提供：password。</span>' in page


def test_the_details_of_a_job_say_in_words_how_it_was_launched(admin: Person) -> None:
    job = admin.job("web[1-2]")
    english, chinese = (admin.text(f"/jobs/{job}?view=details&lang={language}") for language in ("en", "zh"))
    assert "<dt>Signed in with</dt><dd>automatic" in english
    assert "(by the page)" in english
    assert "<dt>登录凭据</dt><dd>自动" in chinese
    assert "(通过页面)" in chinese


def test_a_changed_host_key_is_shown_beside_the_one_seen_before(
    admin: Person, database: Database, runtime: Runtime, play: Players
) -> None:
    old, new = make_key(), make_key()
    job = admin.job("web1")
    with database.transaction() as session:
        hostkeys.remember(session, "web1", 22, old, source="known_hosts", now=runtime.clock.now())
        hostkeys.offer(session, "web1", 22, new, now=runtime.clock.now())
    play(job).refuse(0, reason=Reason.HOST_KEY_CHANGED.value, host_key=hostkeys.fingerprint(new))
    page = admin.text(f"/jobs/{job}/h/web1")
    day = runtime.clock.now().strftime("%Y-%m-%d %H:%M UTC</time>.")
    assert "The host key of web1 is not the one seen on <time" in page
    assert day in page
    shown = page[page.index("Old:") :]
    assert shown.index(hostkeys.fingerprint(old)) < shown.index("New:") < shown.index(hostkeys.fingerprint(new))
    assert "Trust the new key and rerun" in shown


def test_a_fault_of_the_console_names_its_request_and_keeps_the_form(
    operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(order: object) -> int:
        raise RuntimeError("a fault")

    monkeypatch.setattr("opsconsole.web.pages.run.launch", broken)
    answer = operator.run("web1", "uptime")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 500
    assert "Something went wrong here. It was logged under the request" in page
    assert f'<span class="mono">{answer.headers["X-Request-ID"]}</span>' in page
    assert "Your form is kept" in page
    assert "a fault" not in page


def test_an_address_that_is_none_is_told_in_the_language_of_the_reader(operator: Person) -> None:
    page = operator.client.get("/nowhere?lang=zh").get_data(as_text=True)
    assert "<h1>未找到</h1>" in page
    assert "此地址没有内容。" in page
    api = operator.client.get("/api/v1/nowhere", headers={"Accept-Language": "zh"})
    assert api.json is not None
    assert (api.json["title"], api.json["detail"]) == ("Not Found", "此地址没有内容。")
    api = operator.client.application.test_client().get("/api/v1/nowhere", headers={"Accept-Language": "zh"})
    assert api.json is not None
    assert (api.json["title"], api.json["detail"]) == ("Not Found", "There is nothing at this address.")


def test_a_chinese_reader_is_told_in_chinese_what_happened_and_why_it_waits(operator: Person, play: Players) -> None:
    job = operator.job("web[1-9]", canary="1", canary_gate="manual", waves="4")
    play(job).start(0)
    operator.send(f"/jobs/{job}", {"wave": "1"}, to=f"/jobs/{job}/pause")
    told = operator.text(f"/jobs/{job}/timeline?lang=zh")
    assert f"由 {operator.user.name} 启动。" in told
    assert "第 2 批 (4 台主机)" in told
    assert "Launched" not in told
    assert "已暂停" not in operator.text("/queue?lang=zh")
