"""What the reasons behind a state are called on pages. The page's scripts call them the same (hosts.js)."""

from flask_babel import gettext


def N_(name: str) -> str:
    """Returns ``name`` as it is: what is given to this is found for the catalogues."""
    return name


NAMES = (
    *(N_("dns"), N_("denied network"), N_("refused"), N_("connect timeout"), N_("banner timeout"), N_("protocol")),
    *(N_("auth"), N_("host key unknown"), N_("host key changed"), N_("host key revoked"), N_("host certificate")),
    *(N_("credential"), N_("jump"), N_("exec refused"), N_("device fault"), N_("run as"), N_("check"), N_("verify")),
    *(N_("nothing to do"), N_("between steps"), N_("exit status"), N_("exit signal"), N_("command timeout")),
    *(N_("idle timeout"), N_("connection lost"), N_("vanished"), N_("worker lost"), N_("before start"), N_("killed")),
    *(N_("kill unconfirmed"), N_("worker shutdown"), N_("not permitted"), N_("frozen"), N_("threshold")),
    *(N_("canary"), N_("job timeout"), N_("internal")),
)


def reason_name(code: str) -> str:
    """Returns what the reason ``code`` (``opsconsole.jobs.states.Reason``) is called in the reader's language."""
    return str(gettext(code.replace("_", " ")))
