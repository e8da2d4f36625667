"""External credentials are fetched after the claim, for the host and for each jump host, or the run says why not."""

from dataclasses import replace

from opsconsole.credentials.external import Fetched
from opsconsole.credentials.places import Holds, Place, Source
from opsconsole.errors import Unavailable
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.fetching import fetched
from opsconsole.jobs.ports import Auth, Hop, Limits, PrivateKey, Secret, Target, Unreached
from opsconsole.jobs.starting import Start
from opsconsole.jobs.states import Reason

_PLACE = Place(Source.FILE, "ops", Holds.PASSWORD)
_ELSEWHERE = Auth("credential ops", external=_PLACE)


class Sources:
    """Answers with what was set, and keeps for whom it was asked."""

    def __init__(self, answer: Fetched | Unavailable) -> None:
        self.answer = answer
        self.users: list[str] = []

    def fetch(self, place: Place, user: str) -> Fetched:
        assert place == _PLACE
        self.users.append(user)
        if isinstance(self.answer, Unavailable):
            raise self.answer
        return self.answer


def claim(auth: Auth, via: tuple[Hop, ...] = ()) -> Claim:
    target = Target("web1", "10.0.0.1", 22, "root", via=via)
    return Claim(1, 1, 0, 1, 1, target, auth, Limits(), Start(b"true"), "1-1.ab")


def test_what_is_here_is_left_as_it_is() -> None:
    here = claim(Auth("own keys", ambient=True))
    assert fetched(here, None) == here


def test_a_password_or_a_key_is_put_in_its_place() -> None:
    done = fetched(claim(_ELSEWHERE), Sources(Fetched(password=Secret("hunter2"))))
    assert done.auth == Auth("credential ops", password=Secret("hunter2"))
    key = Fetched(private_key=Secret("PEM"), passphrase=Secret("open sesame"), certificate="ssh-...")
    done = fetched(claim(_ELSEWHERE), Sources(key))
    made = PrivateKey("credential ops", Secret("PEM"), Secret("open sesame"), "ssh-...")
    assert done.auth == Auth("credential ops", private_keys=(made,))
    assert set(done.secrets) == {Secret("PEM"), Secret("open sesame")}


def test_jump_hosts_are_seen_to_as_well() -> None:
    hop = Hop("gate", "10.0.0.9", 22, "jump", _ELSEWHERE)
    sources = Sources(Fetched(password=Secret("hunter2")))
    done = fetched(claim(_ELSEWHERE, (hop, replace(hop, auth=Auth("own keys", ambient=True)))), sources)
    assert sources.users == ["jump", "root"]
    assert [hop.auth.password for hop in done.target.via] == [Secret("hunter2"), None]
    assert done.secrets == (Secret("hunter2"), Secret("hunter2"))
    gone = fetched(claim(Auth("x"), (hop,)), Sources(Unavailable("Vault is sealed.")))
    sentence = "Jump host gate: Vault is sealed."
    assert gone.problem == Unreached(Reason.JUMP, sentence, retryable=True)


def test_what_cannot_be_fetched_may_come_back() -> None:
    done = fetched(claim(_ELSEWHERE), Sources(Unavailable("Vault is sealed.")))
    assert done.problem == Unreached(Reason.CREDENTIAL, "credential ops: Vault is sealed.", retryable=True)
    assert fetched(done, None) == done
    assert fetched(claim(_ELSEWHERE), None).problem is not None
