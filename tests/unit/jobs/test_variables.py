"""Variables in the texts of an order: what is one, what is not, and that a value is never read as a command."""

import shutil
import subprocess
from pathlib import Path

import pytest

from opsconsole.errors import Invalid
from opsconsole.jobs.compose import compose
from opsconsole.jobs.variables import needs_quotes, quoted_already, render, touches, used
from opsconsole.jobs.what import What

SHELLS = [words for words in (["dash"], ["bash"], ["busybox", "ash"]) if shutil.which(words[0])]
_HOSTILE = (
    "$(touch hit)",
    "`touch hit`",
    "'; touch hit; '",
    '"; touch hit; "',
    "a b; touch hit",
    "x\ntouch hit\n",
    "*",
)


@pytest.mark.parametrize(
    "text",
    [
        "awk '{print $1}'", "docker ps --format '{{.Names}}'", "echo ${n} ${host.name}", "echo {1..5} {a,b}", "{ n; }",
        "find . -exec echo {} +", "{{ host.name }}", "{host}", "{tag.}", "{ n }", "$" + "{tag.a}",
    ],
)  # fmt: skip
def test_other_braces_are_the_shells_own(text: str) -> None:
    assert not touches(text, What())
    assert used(text, What()) == frozenset()


def test_every_text_but_a_script_and_the_input_has_variables() -> None:
    what = What(args=("{n}",), cwd="/srv/{tag.app}", env={"H": "{host.name}"}, stdin="{host.name}")
    assert used("echo {host.address}", what) == {"host.address", "n", "tag.app", "host.name"}
    values = {"host.address": "10.0.0.1", "n": "2", "tag.app": "my app", "host.name": "web1"}
    command, filled = render("echo {host.address}", what, values)
    assert command == "echo 10.0.0.1"
    assert (filled.args, filled.cwd, filled.env, filled.stdin) == (
        ("2",), "/srv/my app", {"H": "web1"}, "{host.name}",
    )  # fmt: skip
    script = What(interpreter="python3", args=("{n}",))
    assert used("print(f'{n} {host.name}')", script) == {"n"}
    assert render("f'{n}'", script, {"n": "1"})[0] == "f'{n}'"


def test_doubled_braces_are_braces() -> None:
    assert render("echo {{n}} {{host.what}} {n}", What(), {"n": "1"})[0] == "echo {n} {host.what} 1"
    assert used("{{host.what}}", What()) == frozenset()
    assert touches("{{n}}", What())


@pytest.mark.parametrize("field", ["command", "args", "cwd", "env"])
def test_one_that_there_is_not_is_named_where_it_stands(field: str) -> None:
    bad = "{host.rack}"
    what = {"args": What(args=(bad,)), "cwd": What(cwd=bad), "env": What(env={"A": bad})}.get(field, What())
    with pytest.raises(Invalid) as raised:
        used(bad if field == "command" else "x", what)
    assert (raised.value.errors[0].field, raised.value.errors[0].code) == (field, "unknown_variable")


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_a_value_is_never_read_as_a_command(shell: list[str], tmp_path: Path) -> None:
    contexts = [
        "printf '<%s>' {tag.a}", "printf '<%s>' \"{tag.a}\"", "printf '<%s>' '{tag.a}'", "printf '<%s>' x # {tag.a}",
        "printf '<%s>' \"`echo {tag.a}`\"", "cat <<E\n{tag.a}\nE", "printf '<%s>' \"$(echo {tag.a})\"",
        "printf '<%s>' \\{tag.a}", "x=${y:-{tag.a}}; printf '<%s>' x", "printf '<%s>' a{tag.a}'b'",
        "echo $((1 + {tag.a}))",
        "printf '<%s>' \"a\\\"{tag.a}\"", "printf '<%s>' $(printf %s {tag.a})", "echo 'it'\\''s {tag.a}'",
    ]  # fmt: skip
    ran = 0
    for context in contexts:
        for value in _HOSTILE:
            assert needs_quotes(value)
            if quoted_already(context, What()):
                continue
            text, _ = render(context, What(), {"tag.a": value})
            done = subprocess.run([*shell, "-c", text], capture_output=True, cwd=tmp_path, timeout=20, check=False)
            assert not (tmp_path / "hit").exists(), (context, value)
            if context.endswith(" {tag.a}"):
                assert done.stdout.decode() == f"<{value}>"
                ran += 1
    assert ran == len(_HOSTILE)
    assert not quoted_already(contexts[0], What())
    assert quoted_already(contexts[1], What()) == {"tag.a": "command"}


def test_everywhere_else_values_are_words_whatever_they_hold(tmp_path: Path) -> None:
    for value in _HOSTILE:
        what = What(args=("{tag.a}",), env={"A": "{tag.a}"})
        text = compose(*render('printf "<%s|%s>" "$1" "$A"', what, {"tag.a": value}))
        done = subprocess.run(["sh"], input=text, capture_output=True, cwd=tmp_path, timeout=20, check=False)
        assert done.stdout.decode() == f"<{value}|{value}>"
    assert list(tmp_path.iterdir()) == []
