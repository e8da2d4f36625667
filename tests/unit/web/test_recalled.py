"""What the database keeps in English is recognised by its template, and what is not known stays as it is."""

import time

import pytest
from flask import Flask

from opsconsole.web import languages, recalled

CHINESE = {"Accept-Language": "zh-CN"}


@pytest.fixture(scope="module")
def app() -> Flask:
    app = Flask(__name__)
    languages.register(app)
    recalled.register(app)
    return app


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (
            "key deploy was refused (publickey, 3 keys). The server offers: nothing that is supported.",
            "key deploy 被拒绝（publickey，3 个密钥）。服务器提供：没有受支持的方式。",
        ),
        (
            (
                "127.0.0.1 is a loopback address, which this console does not dial. "
                "The setting allowed_networks decides what may be dialled."
            ),
            "127.0.0.1 是回环地址，本控制台不连接。可以连接哪些地址由设置 allowed_networks 决定。",
        ),
        (
            "Jump host b1: 10.0.0.1 port 22 did not answer within 5 s.",
            "跳板机 b1：10.0.0.1 端口 22 在 5 s 内没有应答。",
        ),
        ("web1 is 10.0.0.7, fe80::1.", "web1 的地址是 10.0.0.7, fe80::1。"),
        (
            (
                "The host key changed: trusted is ssh-rsa SHA256:a, the server shows ssh-rsa SHA256:b. "
                "Its certificate expired on 2026-01-01. Nothing was sent to it."
            ),
            (
                "主机密钥已改变：已信任的是 ssh-rsa SHA256:a，服务器出示的是 ssh-rsa SHA256:b。"
                "它的证书无效：已于 2026-01-01 过期。没有向它发送任何内容。"
            ),
        ),
        (
            (
                "/root/.ssh/id_rsa is protected by a passphrase; load it into the ssh-agent with ssh-add. "
                "The credential has a certificate that expired on 2026-01-01 00:00 UTC."
            ),
            (
                "/root/.ssh/id_rsa 有口令保护；请用 ssh-add 把它加载到 ssh-agent。"
                "该凭据的证书已于 2026-01-01 00:00 UTC 过期。"
            ),
        ),
        ("The answer cannot be used: This is not JSON.", "无法使用返回的内容：这不是 JSON。"),
        ("<b>{0} %s {login} was refused (password).", "<b>{0} %s {login} 被拒绝（password）。"),
        (
            "Stopped after 2.5 s. The remote end confirmed that the command ended.",
            "2.5 秒后已停止。远端已确认命令结束。",
        ),
        (
            "Cancelled. 3 processes of it are alive on the host: 12 sleep 1, 13 cp a b, 14 sh and others.",
            "已取消。主机上仍有它的 3 个进程在运行：12 sleep 1, 13 cp a b, 14 sh 等。",
        ),
        (
            "sudo did not accept the password of the login. It was given once and is not tried again.",
            "sudo 不接受密码（登录账号）。密码只提供一次，不再重试。",
        ),
        (
            "2 processes of it were ended. Nothing of the command is alive on the host.",
            "已终止它的 2 个进程。主机上没有该命令的进程仍在运行。",
        ),
    ],
)
def test_a_kept_sentence_is_told_in_the_readers_language(app: Flask, kept: str, told: str) -> None:
    with app.test_request_context("/jobs/1", headers=CHINESE):
        assert recalled.recalled(kept) == told
    with app.test_request_context("/jobs/1"):
        assert recalled.recalled(kept) == kept


@pytest.mark.parametrize(
    "kept", ["", "A B is C.", "Permission denied {0} <b>.", "/home/k is protected by a passphrase."]
)
def test_what_is_not_known_stays_as_it_is(app: Flask, kept: str) -> None:
    with app.test_request_context("/jobs/1", headers=CHINESE):
        assert recalled.recalled(kept) == kept
        assert recalled.recalled(None) == ""


@pytest.mark.parametrize("kept", ["a. " * 170, "x was refused (" * 33, "1 port 2 " * 55, "? ." * 170])
def test_a_hostile_text_takes_no_long_time(app: Flask, kept: str) -> None:
    with app.test_request_context("/jobs/1", headers=CHINESE):
        recalled.recalled("warm")
        begin = time.process_time()
        recalled.recalled(kept)
        assert time.process_time() - begin < 2
