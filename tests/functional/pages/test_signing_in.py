"""The way in and out."""

from collections.abc import Callable

import pytest
from flask import Flask

from opsconsole.accounts.permissions import Role
from opsconsole.accounts.service import find_user, issue_login_link, set_password
from opsconsole.runtime import Runtime
from opsconsole.secret import Secret
from tests.functional.pages.people import Person, form_token
from tests.support.clock import FakeClock
from tests.support.factories import make_token, make_user

PASSWORD = "correct horse battery"


@pytest.fixture
def anna(runtime: Runtime) -> None:
    with runtime.database.transaction() as session:
        user = make_user(session, "anna", Role.OPERATOR)
        set_password(session, user, Secret(PASSWORD), now=runtime.clock.now(), current=None)


def link(runtime: Runtime, name: str = "anna") -> str:
    with runtime.database.transaction() as session:
        user = find_user(session, name)
        assert user is not None
        return issue_login_link(session, user, now=runtime.clock.now())


def stranger(app: Flask) -> Person:
    return Person(app.test_client(), user=None)  # type: ignore[arg-type]


def test_a_stranger_is_asked_to_sign_in_and_comes_back_to_the_page(app: Flask, anna: None) -> None:
    guest = stranger(app)
    sent_on = guest.get("/jobs?state=failed")
    assert (sent_on.status_code, sent_on.headers["Location"]) == (303, "/login?next=/jobs?state%3Dfailed")
    answer = guest.send(
        sent_on.headers["Location"],
        {"name": "Anna", "password": PASSWORD, "next": "/jobs?state=failed"},
        to="/login",
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs?state=failed")
    assert guest.get("/jobs").status_code == 200


def test_a_form_that_comes_after_the_session_leads_back_to_itself(app: Flask, anna: None) -> None:
    guest = stranger(app)
    token = form_token(guest.text("/login"))
    for came, back in (
        ("http://localhost/run?from=3", "/run?from=3"),
        ("http://localhost/jobs/1", "/jobs/1"),
        ("http://elsewhere.example/run", ""),
    ):
        sent = {"csrf_token": token, "targets": "web1", "command": "uptime"}
        answer = guest.client.post("/run", data=sent, headers={"Referer": came})
        page = answer.get_data(as_text=True)
        assert answer.status_code == 401
        assert "nothing of what you sent was done" in page
        assert f'name="next" value="{back}"' in page


def test_looking_at_a_one_time_link_does_not_use_it_up(app: Flask, runtime: Runtime, anna: None) -> None:
    code, guest = link(runtime), stranger(app)
    for _ in range(2):
        assert code in guest.text(f"/login?once={code}")
    assert guest.send(f"/login?once={code}", {"once": code}, to="/login").status_code == 303
    assert guest.get("/jobs").status_code == 200
    again = stranger(app).send("/login", {"once": code})
    assert again.status_code == 401
    assert "used already" in again.get_data(as_text=True)


def test_an_old_link_says_so(app: Flask, runtime: Runtime, clock: FakeClock, anna: None) -> None:
    code = link(runtime)
    clock.advance(601)
    assert "expired" in stranger(app).send("/login", {"once": code}).get_data(as_text=True)


@pytest.mark.parametrize("name", ["anna", "nobody", "' OR 1=1 --", ""])
def test_a_wrong_password_is_refused_with_one_text(app: Flask, anna: None, name: str) -> None:
    answer = stranger(app).send("/login", {"name": name, "password": "not the one"})
    assert answer.status_code == 401
    page = answer.get_data(as_text=True)
    assert "Name or password is wrong." in page
    assert "not the one" not in page


def test_guessing_is_slowed_down(app: Flask, anna: None) -> None:
    answers = [stranger(app).send("/login", {"name": "anna", "password": "guess"}) for _ in range(12)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    "target", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/login", ""]
)
def test_signing_in_never_leads_elsewhere(app: Flask, anna: None, target: str) -> None:
    answer = stranger(app).send("/login", {"name": "anna", "password": PASSWORD, "next": target})
    assert answer.headers["Location"] == "/"


def test_signing_out_ends_the_session(operator: Person) -> None:
    cookie = operator.client.get_cookie("opsconsole_80")
    assert cookie is not None
    assert operator.send("/jobs", to="/logout").headers["Location"] == "/login"
    operator.client.set_cookie("opsconsole_80", cookie.value)
    assert operator.get("/jobs").status_code == 303


def test_no_form_works_without_its_token(app: Flask, operator: Person) -> None:
    for path in ("/run", "/logout", "/me/password", "/me/tokens", "/jobs/1/cancel", "/jobs/1/rerun", "/jobs/1/keys"):
        assert operator.client.post(path, data={"csrf_token": "x"}).status_code == 403, path
    assert stranger(app).client.post("/login", data={"name": "a", "password": "b"}).status_code == 403


def test_another_site_cannot_send_our_forms(operator: Person) -> None:
    token = form_token(operator.text("/run"))
    answer = operator.client.post("/run", data={"csrf_token": token}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_an_api_token_opens_no_page(app: Flask, runtime: Runtime, operator: Person) -> None:
    with runtime.database.transaction() as session:
        token = make_token(session, operator.user)
    for path in ("/jobs", "/run", "/me"):
        answer = app.test_client().get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 403, path


@pytest.mark.parametrize("path", ["/jobs", "/run", "/me", "/workers", "/login", "/jobs/7"])
def test_pages_carry_the_strict_policy(operator: Person, path: str) -> None:
    headers = operator.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_first_page_is_run_until_something_has_run(person: Callable[..., Person]) -> None:
    somebody = person(Role.OPERATOR)
    assert somebody.get("/").headers["Location"] == "/run"
    somebody.job()
    assert somebody.get("/").headers["Location"] == "/jobs"
    assert person(Role.VIEWER).get("/").headers["Location"] == "/jobs"


def test_the_language_of_the_way_in_stays(app: Flask, anna: None) -> None:
    guest = stranger(app)
    page = guest.text("/login")
    assert 'href="/login?lang=zh&amp;next=/"' in page
    page = guest.text("/login?lang=zh")
    assert "登录" in page
    assert 'action="/login?lang=zh"' in page
    answer = guest.send("/login?lang=zh", {"name": "anna", "password": PASSWORD})
    assert answer.status_code == 303
    assert "退出登录" in guest.text("/jobs")
