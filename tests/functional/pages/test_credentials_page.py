"""The pages of credentials without script: added, used, changed, removed; what was typed is never shown again."""

import re

from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.rotation import Rotation
from opsconsole.inventory import groups, service
from opsconsole.runtime import Runtime
from tests.functional.pages.people import Person
from tests.support.clock import START
from tests.support.factories import actor_for, make_host

CANARY = "canary-91aa-password"


def fleet(runtime: Runtime, admin: Person) -> None:
    with runtime.database.transaction() as session:
        for name in ("web1", "web2", "db1"):
            make_host(session, name, user="admin")
        groups.set_group(session, "web", ["web1", "web2"])
        service.add_host(session, "lone", {}, actor=actor_for(admin.user), now=START)


def add(admin: Person, **fields: str) -> str:
    form = {"kind": "password", "name": "shop", "scope": "@web\n\ndb1", "password": CANARY, **fields}
    answer = admin.send("/credentials/new", form)
    return str(answer.headers.get("Location", answer.get_data(as_text=True)))


def test_a_credential_lives_its_life_on_the_page(admin: Person, operator: Person, runtime: Runtime) -> None:
    fleet(runtime, admin)
    assert "No credentials yet" in admin.text("/credentials")
    assert add(admin, user="deploy", notes="of the shop") == "/credentials/shop?saved=1"
    page = admin.text("/credentials/shop?saved=1")
    for words in ("Saved.", "cred:shop", "@web, db1", "3 hosts of the inventory now", "deploy", "never"):
        assert words in page
    assert CANARY not in page
    # A group names it, and its hosts say so.
    answer = admin.send("/groups/web", {"name": "web", "hosts": "web1,web2", "credential": "cred:shop"})
    assert answer.status_code == 303
    assert re.search(r'credential shop</a>\s*<span class="sub">as @web says', admin.text("/hosts/web1"))
    assert ">@web<" in admin.text("/credentials/shop")
    run = operator.text("/run?credential=cred:shop&targets=web1&command=id")
    assert '<option value="cred:shop" selected>credential shop</option>' in run
    # The scope, held against targets.
    tried = operator.text("/credentials/shop?try=web1,lone")
    assert "1 host in scope:" in tried
    assert '1 host not in scope:</b> <span class="mono">lone' in tried
    assert 'class="err" role="alert"' in operator.text("/credentials/shop?try=web[")
    # A change that leaves the password empty keeps it; operators cannot change anything.
    assert "Change it" not in operator.text("/credentials/shop")
    changed = {"name": "shop2", "scope": "*", "user": "", "notes": "", "password": "", "version": "1"}
    assert admin.send("/credentials/shop", changed).headers["Location"] == "/credentials/shop2?saved=1"
    late = admin.send("/credentials/shop2", changed)
    assert late.status_code == 409
    assert "Somebody changed shop2 meanwhile" in late.get_data(as_text=True)
    # Removal wants to be meant.
    assert admin.send("/credentials/shop2", {"action": "remove"}).status_code == 422
    gone = admin.send("/credentials/shop2", {"action": "remove", "sure": "1", "version": "2"})
    assert "shop2 was removed for good." in admin.text(gone.headers["Location"])
    admin.text("/credentials/shop2", 404)
    assert "There is no credential" in admin.text("/hosts/web1")


def test_a_faulty_form_comes_back_without_its_secret(admin: Person, runtime: Runtime) -> None:
    fleet(runtime, admin)
    page = add(admin, scope="@nosuch", name="ops")
    assert "There is no group" in page
    assert 'value="ops"' in page
    assert CANARY not in page
    key = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}"
    page = add(admin, kind="private_key", name="ops", private_key=key, passphrase=CANARY, password="")
    assert "does not open with this passphrase" in page
    assert CANARY not in page
    assert add(admin, name="<script>")[:5] == "<!doc"
    form = admin.text("/credentials/new?kind=private_key")
    assert 'name="private_key"' in form
    assert 'name="password"' not in form
    assert 'name="password"' in admin.text("/credentials/new?kind=pigeon")


def test_who_may_see_what(admin: Person, operator: Person, runtime: Runtime) -> None:
    fleet(runtime, admin)
    add(admin)
    keys = admin.text("/credentials")
    assert "Keys that seal the secrets" in keys
    assert "in use" in keys
    assert "Keys that seal" not in operator.text("/credentials")
    assert "Add credential" not in operator.text("/credentials")
    operator.text("/credentials/new", 403)
    cipher = Cipher(runtime.settings.secret())
    Rotation(runtime.database, cipher, now=runtime.clock.now).rotate(Cipher("the secret key that comes next"))
    assert "opened by 2 secret keys: the exchange is not ended" in admin.text("/credentials")


def test_every_kind_has_its_form(admin: Person, runtime: Runtime) -> None:
    fleet(runtime, admin)
    wanted = {"kind": "external", "name": "kept", "scope": "*", "source": "vault", "path": "secret/ops/web"}
    assert add(admin, **wanted, password="") == "/credentials/kept?saved=1"
    page = admin.text("/credentials/kept")
    assert '<option value="vault" selected>' in page
    assert 'value="secret/ops/web"' in page
    changed = {"name": "kept", "scope": "*", "source": "vault", "path": "secret/ops/db", "holds": "password"}
    assert admin.send("/credentials/kept", changed).status_code == 303
    assert "secret/ops/db" in admin.text("/credentials/kept")
    assert add(admin, kind="agent", name="held", password="") == "/credentials/held?saved=1"
    assert "agent of the worker" in admin.text("/credentials")
    assert 'name="answers"' in admin.text("/credentials/new?kind=keyboard_interactive")
    faulty = add(admin, kind="certificate", name="c", certificate="ssh-rsa x", password="")
    assert "not an OpenSSH user certificate" in faulty
