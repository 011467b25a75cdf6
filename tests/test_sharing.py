"""A database over HTTP: a real server, real clients, and all that they can get wrong."""

from __future__ import annotations

import http.server
import json
import math
import resource
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import anyio
import httpx
import pytest
import trustme
from kill_sharing import pump
from serving import Served, free_port, served
from test_interchange import contents, fill, run_of
from test_tuning_logs import TASK, WORKLOAD, make_record

import autotune
from autotune.cli.entry import run
from autotune.errors import UsageError
from autotune.tuning_logs import Accept, Database, DatabaseError, DeviceInfo, TuningDatabase, interchange
from autotune.tuning_logs.checking import check
from autotune.tuning_logs.interchange import export_lines, import_lines
from autotune.tuning_logs.sharing import server as server_module
from autotune.tuning_logs.sharing.client import SharedDatabase, SharingWarning
from autotune.tuning_logs.sharing.outbox import Outbox
from autotune.tuning_logs.sharing.protocol import HEADER, MOST_BYTES, QUESTIONS
from autotune.tuning_logs.sharing.server import Server
from autotune.tuning_logs.sharing.tokens import create_token

OURS = {HEADER: "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharing")


@pytest.fixture(scope="module")
def tokens(folder: Path) -> dict[str, str]:
    return {name: create_token(folder / "tokens", name, scope) for name, scope in (("bob", "read"), ("ci", "append"))}


@pytest.fixture(scope="module")
def server(folder: Path, tokens: dict[str, str]) -> Iterator[Served]:
    """With two tokens and a full database."""
    with Database.open(folder / "server.db") as database:
        fill(database)
        database.add_round("run", 0, {"recall": 0.5, "regret": None, "proposed": 64})
    with served(folder / "server.db", "--token-file", folder / "tokens") as found:
        yield found
    assert "Traceback" not in found.log.read_text()


Ask = Callable[..., httpx.Response]


@pytest.fixture
def post(server: Served, tokens: dict[str, str]) -> Ask:
    """Sends what no client of ours would."""

    def call(path: str, content: bytes | str, **headers: str) -> httpx.Response:
        known = OURS | {"Authorization": f"Bearer {tokens['ci']}"}
        return httpx.post(f"{server.url}{path}", content=content, headers=known | headers)

    return call


def open_shared(url: str, folder: Path, token: str | None = None, **more: object) -> SharedDatabase:
    return SharedDatabase.open(url, folder / "client", token, **more)  # type: ignore[arg-type]


@pytest.fixture
def shared(server: Served, tokens: dict[str, str], tmp_path: Path) -> Iterator[SharedDatabase]:
    with open_shared(server.url, tmp_path, tokens["ci"]) as database:
        yield database


def lines_of(tmp_path: Path, name: str = "other", records: int = 6) -> list[str]:
    """An exported log of another database."""
    with Database.open(tmp_path / f"{name}.db") as database:
        fill(database, name, records)
        return [*export_lines(database)]


def direct(server: Server, method: str, path: str, content: str = "", **headers: str) -> httpx.Response:
    """The application's answer, without a network."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(server.application())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, content=content, headers={**OURS, **headers})

    return anyio.run(send)


class TestQuestions:
    def test_it_is_the_same_interface(self, shared: SharedDatabase) -> None:
        assert isinstance(shared, TuningDatabase) and isinstance(shared.local, TuningDatabase)
        assert all(callable(getattr(TuningDatabase, name)) for name in QUESTIONS)

    @pytest.mark.parametrize(
        "ask",
        [
            lambda d: d.best(WORKLOAD.key),
            lambda d: d.best(WORKLOAD.key, TASK.target.key, TASK.device.key, 1, Accept(False, "2020-01-01")),
            lambda d: d.best("0" * 64),
            lambda d: d.top(5, WORKLOAD.key),
            lambda d: d.near(WORKLOAD, device=DeviceInfo("x", "x", {"cores": 2, "features": ["avx2"]}), within=3),
            lambda d: d.count(),
            lambda d: d.count(TASK, "trial", "ok"),
            lambda d: d.tasks(),
            lambda d: d.tasks(WORKLOAD.key),
            lambda d: d.records(TASK, "trial"),
            lambda d: d.records(TASK, until=d.last_trial()),
            lambda d: d.find("run-3"),
            lambda d: d.find("none"),
            lambda d: d.run("run"),
            lambda d: d.rounds("run"),
        ],
    )  # fmt: skip
    def test_answers_are_the_files(
        self, server: Served, shared: SharedDatabase, ask: Callable[[TuningDatabase], object]
    ) -> None:
        with Database.open(server.path, readonly=True) as database:
            expected = ask(database)
        found = ask(shared)
        assert found == expected and repr(found) == repr(expected)  # which shows parameters and facts, too

    def test_a_reader_may_ask(self, server: Served, tokens: dict[str, str], tmp_path: Path) -> None:
        with open_shared(server.url, tmp_path, tokens["bob"], readonly=True) as database:
            assert database.count() >= 30


class TestAppending:
    def test_records_arrive_once_and_are_audited(
        self, server: Served, shared: SharedDatabase, tokens: dict[str, str], tmp_path: Path
    ) -> None:
        run = run_of("mine")
        shared.start_run(run, TASK)
        shared.add(make_record("mine-1", run_id="mine", max_error=math.inf), TASK)
        shared.add(make_record("mine-1", run_id="mine"), TASK)
        assert shared.add_all([(make_record(f"mine-{n}", run_id="mine"), TASK) for n in range(1200)]) == 1199
        assert shared.find("mine-1199") is not None
        assert shared.pushed.new == 1200 and not shared.outbox.waiting
        shared.add_round("mine", 3, {"recall": 1.0})
        assert shared.rounds("mine") == [{"batch": 3, "recall": 1.0}] and shared.outbox.next_rounds() is None
        with Database.open(server.path, readonly=True) as database:
            found = database.find("mine-1")
            assert found is not None and found[0].max_error == math.inf and database.run("mine") == run
            audit = database.query("SELECT * FROM audit WHERE run = 'mine'")
        assert {(row["who"], row["address"]) for row in audit} == {("ci", "127.0.0.1")}
        assert sum(row["new"] for row in audit) == 1200 and all(row["records"] <= 500 for row in audit)
        with open_shared(server.url, tmp_path / "again", tokens["ci"]) as other:
            other.start_run(run_of("mine"), TASK)
            other.add(make_record("mine-7", run_id="mine"), TASK)
            other.push()
            assert (other.pushed.new, other.pushed.already) == (0, 1)
        assert check(server.path).problems == []

    def test_a_run_that_was_not_started(self, shared: SharedDatabase) -> None:
        with pytest.raises(UsageError, match="'other', which was not started"):
            shared.add(make_record("t", run_id="other"), TASK)

    def test_what_the_server_refuses_waits_alone(
        self, server: Served, shared: SharedDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shared._send_at = math.inf
        shared.start_run(run_of("huge"), TASK)
        for number in range(9):
            message = "x" * (MOST_BYTES + 1) if number == 5 else "x"
            shared.add(make_record(f"huge-{number}", run_id="huge", message=message), TASK)
        with pytest.warns(SharingWarning, match="huge-5 stays in .*larger than 32 MiB"):
            assert shared.find("huge-8") is not None
        assert shared.outbox.waiting == 0 and list(shared.outbox.refused()) == ["huge-5"]
        assert shared.pushed.new == 8 and shared.find("huge-5") is None
        monkeypatch.setattr(Outbox, "next_batch", lambda *_: None)  # or closing would send it once more
        shared.outbox.retry_refused()
        assert shared.outbox.waiting == 1


class TestRefusals:
    def test_tokens(self, server: Served, tokens: dict[str, str], tmp_path: Path) -> None:
        with pytest.raises(DatabaseError, match="this server asks for a token"):
            open_shared(server.url, tmp_path)
        with pytest.raises(DatabaseError, match="the token is not one of this server's"):
            open_shared(server.url, tmp_path, "guess")
        with pytest.raises(DatabaseError, match="may only read"):
            open_shared(server.url, tmp_path, tokens["bob"])
        for secret in tokens.values():
            assert secret not in server.log.read_text() + (server.path.parent / "tokens").read_text()

    @pytest.mark.parametrize(
        ("path", "content", "headers", "status", "sentence"),
        [
            ("/v1/records", "", {HEADER: "2"}, 400, "speaks version 1"),
            ("/v1/records", "", {"Authorization": "Bearer x"}, 401, "not one of this server's"),
            ("/v1/records", "", {"Authorization": "Basic x"}, 401, "not one of this server's"),
            ("/v2/records", "", {}, 404, "Not Found"),
            ("/v1", "", {}, 405, "Method Not Allowed"),
            ("/v1/records", b"\xff", {}, 400, "line 1: it is no JSON"),
            ("/v1/records", "[]", {}, 400, "line 1: it is no JSON object with one member"),
            ("/v1/records", "[" * 100_000, {}, 400, "line 1"),
            ("/v1/records", '{"autotune tuning log": 9}', {}, 400, "format is version 9"),
            ("/v1/records", '{"record": {}}', {}, 400, "does not begin with"),
            ("/v1/ask/drop", "", {}, 400, "unknown question 'drop'"),
            ("/v1/ask/best", "", {}, 400, "cannot be answered"),
            ("/v1/ask/best", '{"question": {"members": {}}}', {}, 400, "cannot be answered"),
            ("/v1/ask/best", '{"question": {"members": {"workload_key": 7}}}', {}, 400, "workload_key=7"),
            ("/v1/ask/tasks", '{"question": {"members": {"other": 7}}}', {}, 400, "other=7"),
            ("/v1/ask/top", '{"question": {"members": {"count": -1, "workload_key": ""}}}', {}, 400, "count is -1"),
            ("/v1/ask/count", '{"question": {"members": {"task": {"task": "x"}}}}', {}, 400, "refers to task 'x'"),
            ("/v1/ask/tasks", '{"question": {"members": {"workload_key": "\\ud800"}}}', {}, 400, "cannot be answered"),
        ],
    )  # fmt: skip
    def test_requests(
        self, post: Ask, path: str, content: bytes, headers: dict[str, str], status: int, sentence: str
    ) -> None:
        answer = post(path, content, **headers)
        assert answer.status_code == status and answer.headers[HEADER] == "1"
        assert sentence in answer.json()["error"] and "\n" not in answer.json()["error"]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"seconds":', '"seconds":-1,"ignored":'),
            ('"build_seconds":0.0', '"build_seconds":NaN'),
            ('"build_seconds":0.0', '"build_seconds":-1.0'),
            ('"build_seconds":0.0', '"build_seconds":1e999'),
            ('"trial":"other-5"', '"trial":null'),
            ('"trial":"other-5"', '"trial":7'),
            ('"seed":3', '"seed":99999999999999999999'),
            ('"status":"ok"', '"status":null'),
            ('"run":"other"', '"run":"nobody"'),
            ('"knobs":{', '"knobs":[{'),
        ],
    )
    def test_garbage_records(self, post: Ask, server: Served, tmp_path: Path, old: str, new: str) -> None:
        *lines, last = lines_of(tmp_path)
        assert old in last
        answer = post("/v1/records", "".join([*lines, last.replace(old, new)]))
        assert answer.status_code == 400 and f"nothing was stored: line {len(lines) + 1}: " in answer.json()["error"]
        with Database.open(server.path, readonly=True) as database:
            assert database.find("other-1") is None

    def test_the_audits_address_cannot_be_claimed(self, post: Ask, server: Served, tmp_path: Path) -> None:
        forged = {"X-Forwarded-For": "10.1.2.3", "Forwarded": "for=10.1.2.3"}
        assert post("/v1/records", "".join(lines_of(tmp_path, "forged", 3)), **forged).json() == {
            "new": 3,
            "already": 0,
        }
        with Database.open(server.path, readonly=True) as database:
            assert database.query("SELECT DISTINCT address FROM audit") == [{"address": "127.0.0.1"}]

    def test_too_large(self, post: Ask) -> None:
        answer = post("/v1/records", b" " * (MOST_BYTES + 1))
        assert answer.status_code == 413 and "larger than 32 MiB" in answer.json()["error"]

    def test_without_tokens_only_this_machines_own_names_are_answered(self, folder: Path) -> None:
        server = Server(folder / "server.db", None)
        assert direct(server, "GET", "/v1").json()["name"] == "anybody"
        assert direct(server, "GET", "/v1", Host="evil.example").status_code == 403

    def test_a_database_that_cannot_be_written_now(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "busy.db"
        Database.open(path).close()
        monkeypatch.setattr(server_module, "BUSY_SECONDS", 0.01)
        server, content = Server(path, None), "".join(lines_of(tmp_path))
        with Database.open(path) as other, other.writing():
            answer = direct(server, "POST", "/v1/records", content)
        assert answer.status_code == 503
        assert answer.json() == {"error": "the server's database is locked by another program"}
        assert direct(server, "POST", "/v1/records", content).json() == {"new": 6, "already": 0}
        assert direct(server, "POST", "/v1/records", content).json() == {"new": 0, "already": 6}

    def test_tokens_that_cannot_be_read(self, folder: Path, tmp_path: Path) -> None:
        server = Server(folder / "server.db", tmp_path / "none")
        answer = direct(server, "GET", "/v1", Authorization="Bearer x")
        assert answer.status_code == 503 and answer.json() == {"error": "the server cannot read its tokens"}

    @pytest.mark.parametrize(
        ("url", "sentence"),
        [
            ("http://example.com:8417", "would be spoken to unencrypted"),
            ("ftp://localhost", "a shared database is at https://HOST:PORT"),
            ("https://", "a shared database is at https://HOST:PORT"),
            ("https://me:secret@localhost", "has no user, password"),
            ("http://localhost:99999999", "a shared database is at https://HOST:PORT"),
            ("https:/localhost:8417", "a shared database is at https://HOST:PORT"),
            ("HTTP:localhost", "a shared database is at https://HOST:PORT"),
        ],
    )
    def test_urls(self, url: str, sentence: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=sentence) as refused:
            open_shared(url, tmp_path)
        assert "secret" not in str(refused.value)
        with pytest.raises(DatabaseError, match=r"autotune\.connect"):
            Database.open(url)

    @pytest.mark.parametrize("token", ["secret\n2", "s\xfccret", "secret\x00", "two secrets"])
    def test_a_token_that_is_none_is_not_told_to_anybody(self, token: str, server: Served, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="the token is none") as refused:
            open_shared(server.url, tmp_path, token)
        assert token not in str(refused.value) and token.encode() not in repr(refused.value.__context__).encode()

    def test_space_around_a_token(self, server: Served, tokens: dict[str, str], tmp_path: Path) -> None:
        open_shared(server.url, tmp_path, f" {tokens['ci']}\r\n").close()

    @pytest.mark.parametrize("proxy", ["socks9://proxy:1", "socks5://[proxy"])
    def test_a_proxy_that_is_none(self, proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(UsageError, match="the proxy that the environment names cannot be used"):
            open_shared("https://tuning.example.invalid", tmp_path)

    @pytest.mark.parametrize(
        ("protocol", "status", "sentence"),
        [(None, 200, "is no tuning database"), (None, 302, "another program"), ("2", 200, "version 2 of the protocol")],
    )
    def test_other_servers(self, protocol: str | None, status: int, sentence: str, tmp_path: Path) -> None:
        class Other(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                if protocol:
                    self.send_header(HEADER, protocol)
                self.end_headers()
                self.wfile.write(b"<html>")

            def log_message(self, *words: object) -> None:
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{other.server_port}"
            with pytest.raises(DatabaseError, match=sentence):
                open_shared(url, tmp_path)
            with pytest.raises(DatabaseError, match="cannot be spoken to with TLS"):
                open_shared(url.replace("http", "https"), tmp_path)
            other.shutdown()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestTls:
    def certificate(self, authority: trustme.CA, folder: Path, until: datetime | None = None) -> list[object]:
        issued = authority.issue_cert("127.0.0.1", not_after=until)
        issued.private_key_pem.write_to_path(folder / "key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        return ["--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem"]

    def test_trusted_and_not(self, authority: trustme.CA, tmp_path: Path) -> None:
        with served(tmp_path / "s.db", *self.certificate(authority, tmp_path)) as server:
            assert server.url.startswith("https://")
            with open_shared(server.url, tmp_path, ca_file=tmp_path / "ca.pem") as database:
                assert database.count() == 0
            with pytest.raises(DatabaseError, match=r"cannot be trusted: .*; AUTOTUNE_CA_FILE names"):
                open_shared(server.url, tmp_path)
            with pytest.raises(UsageError, match="holds no certificates"):
                open_shared(server.url, tmp_path, ca_file=tmp_path / "key.pem")
            unencrypted = server.url.replace("https", "http")
            with pytest.warns(SharingWarning, match="cannot be reached"), open_shared(unencrypted, tmp_path) as away:
                assert away.count() == 0
            assert ssl.get_server_certificate(("127.0.0.1", int(server.url.rpartition(":")[2])))

    def test_expired(self, authority: trustme.CA, tmp_path: Path) -> None:
        options = self.certificate(authority, tmp_path, datetime(2020, 1, 1, tzinfo=timezone.utc))
        with (
            served(tmp_path / "s.db", *options) as server,
            pytest.raises(DatabaseError, match="certificate has expired"),
        ):
            open_shared(server.url, tmp_path, ca_file=tmp_path / "ca.pem")

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["--host", "0.0.0.0"], "takes --tls-cert, --tls-key and --token-file"),
            (["--host", "::", "--token-file", "tokens"], "takes --tls-cert, --tls-key and --token-file"),
            (["--tls-cert", "cert.pem"], "both --tls-cert and --tls-key"),
            (["--tls-cert", "cert.pem", "--tls-key", "tokens"], "no certificate and its key"),
            (["--token-file", "none"], "cannot be read: No such file"),
            (["--token-file", "cert.pem"], "line 1: this is no NAME:SCOPE:SHA256"),
            (["--host", "no.such.host.invalid"], "no name or address"),
        ],
    )
    def test_what_is_not_served(
        self, options: list[str], sentence: str, authority: trustme.CA, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        self.certificate(authority, tmp_path)
        create_token(tmp_path / "tokens", "ci", "append")
        monkeypatch.chdir(tmp_path)
        assert run(["db", "serve", "new.db", "--port", "0", *options]) == 2
        out, err = capfd.readouterr()
        assert sentence in err and err.count("\n") == 1 and not out and not Path("new.db").exists()


class TestAway:
    def test_records_queue_and_arrive(self, tmp_path: Path) -> None:
        path, port = tmp_path / "s.db", free_port()
        url = f"http://127.0.0.1:{port}"
        with pytest.warns(SharingWarning) as told, open_shared(url, tmp_path) as database:
            fill(database)  # type: ignore[arg-type]
            best = database.best(WORKLOAD.key)
            assert best is not None and database.count() == 30 and database.outbox.waiting == 30
            assert len(database.records(TASK, until="a trial of the server's")) == 15
            database.add_round("run", 0, {"recall": None})
            assert database.rounds("run") == [{"batch": 0, "recall": None}]
            where = database.local.path
        assert [str(one.message).partition(" ")[0] for one in told] == [url, "30"]
        assert "Connection refused" in str(told[0].message) and f"wait in {where}" in str(told[1].message)
        with served(path, "--port", port) as server:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                open_shared(url, tmp_path).close()
            with Database.open(server.path, readonly=True) as stored, Database.open(where, readonly=True) as local:
                assert contents(stored) == contents(local)
                assert stored.query("SELECT sum(new) AS n FROM audit") == [{"n": 30}]
                assert stored.rounds("run") == [{"batch": 0, "recall": None}]

    def test_on_the_command_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        url = f"http://127.0.0.1:{free_port()}"
        for action, code in (("always", 0), ("error", 1)):
            with warnings.catch_warnings():
                warnings.simplefilter(action, SharingWarning)  # type: ignore[arg-type]
                assert run(["db", "list", "--db", url]) == code
            out, err = capfd.readouterr()
            assert f"{url} cannot be reached" in err and err.count("\n") == 1 and ("has no tasks" in out) == (not code)
        for words in (["push", url], ["export", "--db", url], ["merge", url, "--db", str(tmp_path / "m.db")]):
            assert run(["db", *words]) == 1
            out, err = capfd.readouterr()
            assert out in ("", '{"autotune tuning log":1}\n') and f"{url} cannot be reached" in err, err
            assert err.count("\n") == 1

    def test_a_full_disk_is_being_away(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        Database.open(path).close()
        limit = path.stat().st_size + 50_000

        def fill_disk() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        port = free_port()
        with served(path, "--port", port, before=fill_disk) as server, pytest.warns(SharingWarning) as told:
            database = open_shared(server.url, tmp_path)
            fill(database, records=400)  # type: ignore[arg-type]
            database.close()
        assert "the server's database c" in str(told[0].message) and "disk" in str(told[0].message)
        with served(path, "--port", port) as server, open_shared(server.url, tmp_path) as database:
            assert database.count() == 400 and not database.outbox.waiting
        assert check(path).problems == []

    def test_an_answer_that_is_lost(self, tmp_path: Path) -> None:
        """The server has stored the records, and the client cannot know."""
        with served(tmp_path / "s.db") as server, socket.create_server(("127.0.0.1", 0)) as listening:
            to = int(server.url.rpartition(":")[2])

            def forward() -> None:
                for answers in (2, -1):  # the first connection is cut instead of what answers the records
                    near, _ = listening.accept()
                    with near:
                        pump(near, to, answers)

            threading.Thread(target=forward, daemon=True).start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with open_shared(url, tmp_path) as database, Database.open(server.path, readonly=True) as stored:
                database.start_run(run_of("run"), TASK)
                database._send_at = 0.0
                with pytest.warns(SharingWarning, match="disconnected"):
                    database.add_all([(make_record(f"run-{number}"), TASK) for number in range(5)])
                assert (stored.count(), database.outbox.waiting) == (5, 5)
                database._rest_until = 0.0
                database.push()
                assert (stored.count(), database.outbox.waiting) == (5, 0)
                assert (database.pushed.new, database.pushed.already) == (0, 5)
                assert stored.query("SELECT records, new FROM audit") == [
                    {"records": 5, "new": 5}, {"records": 5, "new": 0}
                ]  # fmt: skip

    def test_kills_and_cut_answers_lose_and_double_nothing(self, tmp_path: Path) -> None:
        words = [sys.executable, str(Path(__file__).with_name("kill_sharing.py")), str(tmp_path), "6", "3"]
        counts = json.loads(subprocess.run(words, check=True, capture_output=True, timeout=120).stdout)
        assert counts["lost"] == counts["doubled"] == 0 < counts["acknowledged"] <= counts["stored"]
        assert counts["audited"] == counts["stored"]
        assert check(tmp_path / "server.db").problems == []

    def test_what_was_sent_can_be_sent_again(self, tmp_path: Path) -> None:
        with served(tmp_path / "s.db") as server, open_shared(server.url, tmp_path) as database:
            fill(database)  # type: ignore[arg-type]
            database.push()
            database.outbox.queue_everything()
            assert database.outbox.waiting == 30
            database.push()
            assert (database.pushed.new, database.pushed.already) == (30, 30)


@pytest.mark.parametrize(("library", "extra"), [("httpx", "client"), ("starlette", "server"), ("uvicorn", "server")])
def test_what_lacks_its_extra_says_so(
    library: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("autotune.tuning_logs.sharing.", f"{library}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    words = ["list", "--db", "http://localhost:1"] if extra == "client" else ["serve", str(tmp_path / "t.db")]
    assert run(["db", *words]) == 1
    expected = f"Error: this needs {library}, which is not installed: pip install 'autotune[{extra}]'\n"
    assert capfd.readouterr().err == expected


def test_the_face_and_the_command_line(
    server: Served, tokens: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(interchange, "_PAGE", 400)
    monkeypatch.setenv("AUTOTUNE_TOKEN", tokens["ci"])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    small = {"m": 16, "n": 16, "k": 16}
    result = autotune.tune("matmul", trials=2, database=server.url, **small)
    assert result.trials == 2
    assert autotune.find("matmul", database=server.url, **small).source == "exact"
    assert autotune.tune("matmul", trials=2, database=server.url, **small).new_trials == 0
    sizes = [word for name, size in small.items() for word in (f"--{name}", str(size))]
    assert run(["best", "matmul", *sizes, "--db", server.url, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["database"] == server.url
    assert run(["db", "push", server.url]) == 0
    assert capfd.readouterr().out == f"0 new records sent to {server.url}, 0 it had already, 0 refused\n"
    assert run(["db", "push", server.url, "--all"]) == 0
    assert ", 6 it had already" in capfd.readouterr().out  # two trials, and two finals of each of the runs
    assert run(["db", "audit", "--db", str(server.path), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[-1]["who"] == "ci"
    for words in (["list"], ["list", "--runs"], ["best", WORKLOAD.key[:8]], ["show", "run-4"], ["stats"]):
        outputs = []
        for where in (server.url, str(server.path)):
            assert run(["db", *words, "--json", "--db", where]) == 0
            outputs.append(json.loads(capfd.readouterr().out.replace(where, "")))
        assert outputs[0] == outputs[1] != []
    assert run(["db", "export", "--db", server.url]) == 0
    exported = capfd.readouterr().out
    with Database.open(server.path, readonly=True) as database, Database.open(tmp_path / "copy.db") as copy:
        assert import_lines(copy, exported.splitlines()).new == database.count()
        assert contents(copy) == contents(database) and copy.rounds("run") == database.rounds("run") != []
    assert run(["db", "merge", server.url, server.url, "--db", str(tmp_path / "merged.db")]) == 0
    assert " 0 new records" in capfd.readouterr().out.splitlines()[1]
    assert run(["db", "best", "nothing", "--db", server.url]) == 1
    assert "the server's database has no workload 'nothing'" in capfd.readouterr().err
    assert run(["db", "check", "--db", server.url]) == 2
    assert "is a URL, and this needs a file" in capfd.readouterr().err
    assert run(["db", "token", "ci", "--token-file", str(tmp_path / "tokens")]) == 0
    assert len(capfd.readouterr().out.strip()) > 40
    assert run(["db", "token", "ci", "--token-file", str(tmp_path / "tokens")]) == 2
    assert "has a token 'ci' already" in capfd.readouterr().err
    monkeypatch.setenv("AUTOTUNE_TOKEN", "wrong")
    assert run(["best", "matmul", "--db", server.url]) == 1
    assert capfd.readouterr().err.count("\n") == 1
