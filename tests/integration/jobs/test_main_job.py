"""The main job through real workers: from an order to a row for each host."""

from opsconsole.jobs import queries, results
from tests.support.console import Console

KEY = {"credential": "key:test"}


def test_three_hosts_say_who_they_are(console: Console) -> None:
    body, runs = console.run("127.0.0.[1-3]", "echo out; echo err >&2; echo more", **KEY)
    assert body["state"] == "succeeded"
    assert body["counts"]["o"] == 3
    assert [run.exit_status for run in runs] == [0, 0, 0]
    with console.database.read() as session:
        for run in runs:
            lines = results.output(session, run)["lines"]
            assert [line[3] for line in lines if line[2] == 1] == ["out", "more"]
            assert [line[3] for line in lines if line[2] == 2] == ["err"]
        job = queries.get_job(session, body["id"], console.actor)
        (group,) = results.groups(session, job)["groups"]
    assert group["count"] == 3
