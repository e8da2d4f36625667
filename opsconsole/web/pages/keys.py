"""Host keys that a job's hosts showed and nobody has decided on: look, trust, run again there."""

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Invalid
from opsconsole.inventory import hostkey_desk, hostkeys
from opsconsole.jobs import queries
from opsconsole.jobs.states import Reason
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.jobs import start_again
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, transaction
from opsconsole.web.view_models import key_news


@pages.get("/jobs/<int:job_id>/keys")
@requires(Permission.VIEW)
def host_keys(job_id: int) -> str:
    """Lists the offered keys with their fingerprints."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        offered = queries.offered_keys(database, found)
        changed = {(key["address"], key["port"]) for key in offered if key["reason"] == Reason.HOST_KEY_CHANGED.value}
        trusted = hostkeys.trusted_keys(database, changed)
    return render_template(
        "hosts/keys.html",
        job_id=job_id,
        offered=sorted(offered, key=lambda key: key["reason"]),
        news=key_news(offered),
        trusted={place: [hostkeys.fingerprint(key) for key in known] for place, known in trusted.items()},
        may_trust=actor().may(Permission.TRUST_HOST_KEYS),
    )


@pages.get("/jobs/<int:job_id>/keys/notice")
@requires(Permission.VIEW)
def keys_notice(job_id: int) -> str:
    """Returns the strip that tells of keys to decide on and of refused logins, for the script of the job page."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        news = key_news(queries.offered_keys(database, found))
        logins = queries.refused_logins(database, found)
    return render_template("jobs/_keys_notice.html", job_id=job_id, news=news, logins=logins)


@pages.post("/jobs/<int:job_id>/keys")
@requires(Permission.TRUST_HOST_KEYS)
def trust_keys(job_id: int) -> Response:
    """Trusts the ticked keys, each ``<place in the roster>|<fingerprint>``, and runs the command again there."""
    chosen = [value.partition("|") for value in request.form.getlist("key")]
    if not chosen:
        return redirect(url_for("pages.host_keys", job_id=job_id), 303)
    hosts, wanted = [], []
    with transaction() as database:
        found = queries.get_job(database, job_id, actor())
        places = {
            (key["i"], key["fingerprint"]): (key["address"], key["port"])
            for key in queries.offered_keys(database, found)
        }
        for place, _, fingerprint in chosen:
            if not place.isdigit():
                raise Invalid("The form names no host.")
            run = queries.get_run(database, found, int(place[:7]))
            address, port = places.get((run.i, fingerprint), (run.address, run.port))
            wanted.append(hostkey_desk.KeyRef(address, port, fingerprint))
            hosts += queries.refused_by_key(database, run)
        hostkey_desk.trust(database, wanted, actor=actor(), now=now())
    return start_again(job_id, "u", list(dict.fromkeys(hosts)))
