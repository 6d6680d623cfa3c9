"""Proves who gets in: whoever knows the token, under a name of the server, and only to look."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from mbo_search.errors import UserError
from mbo_search.serve.access import Access, access_for, is_loopback
from mbo_search.serve.server import LiveServer
from mbo_search.serve.shelf import RunShelf, address_name
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> RunShelf:
    root = tmp_path_factory.mktemp("reports")
    build_run(root / "my run", num_trials=12)
    build_run(root / "group" / "other", num_trials=12, confirm_seeds=2)
    (root / "secret.txt").write_text("nobody's business")
    (root / "folder").mkdir()
    return RunShelf([root])


@pytest.fixture(scope="module")
def server(shelf) -> Iterator[LiveServer]:
    with LiveServer(shelf) as running:
        running.start()
        yield running
        running.shutdown()


class Client:
    """Asks one server, with any method, path and headers."""

    def __init__(self, server: LiveServer) -> None:
        self._address = server.server_address[:2]
        self.token = server.access.token

    def ask(self, path: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=host is not None)
            if host is not None:
                connection.putheader("Host", host)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()


@pytest.fixture
def client(server) -> Client:
    return Client(server)


def test_it_listens_on_this_machine_only_and_on_a_free_port(server):
    host, port = server.server_address[:2]
    assert host == "127.0.0.1"
    assert port > 0
    assert server.url == f"http://127.0.0.1:{port}/{server.access.token}/"
    assert len(server.access.token) >= 32


def test_the_list_names_every_run_and_nothing_else(client, shelf):
    status, body, _ = client.ask(f"/{client.token}/")
    assert status == 200
    assert body.count("data-run=") == 2
    assert all(f'data-run="{name}"' in body for name in shelf.runs())
    assert "secret" not in body


@pytest.mark.parametrize("path", ["/", "/x/", "/{token}x/", "/{short}/", "/runs/", "/favicon.ico", "/%2e"])
def test_without_the_token_nobody_gets_in(client, path):
    asked = path.format(token=client.token, short=client.token[:-1])
    status, body, _ = client.ask(asked)
    assert status == 403
    assert client.token not in body


def test_the_token_with_letters_of_other_scripts_is_only_wrong(client):
    assert client.ask("/t%C3%B6ken/")[0] == 403
    assert Access(token="abc").has_token("\u00e4\u00f6") is False


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(client, method):
    status, _, headers = client.ask(f"/{client.token}/", method=method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


def test_an_unknown_method_is_refused(client):
    assert client.ask(f"/{client.token}/", method="PROPFIND")[0] == 501


def test_head_sends_no_content(client):
    status, body, headers = client.ask(f"/{client.token}/", method="HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_a_name_that_is_not_ours_is_refused(client, host):
    status, body, _ = client.ask(f"/{client.token}/", host=host)
    assert status == 403
    assert "token" not in body


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:8080", "LOCALHOST", "[::1]:80"])
def test_names_of_this_machine_are_ours(client, host):
    assert client.ask(f"/{client.token}/", host=host)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "runs/../secret.txt",
        "runs/%2e%2e/%2e%2e/secret.txt",
        "../secret.txt",
        "secret.txt",
        "runs/folder/",
        "runs/my run/",
        "runs//page",
        "runs/{name}/trials/0000.json",
        "runs/{name}/../../secret.txt",
        "runs/{name}/page/",
        "runs/{name}/study.yaml",
        "runs/{name}/%00",
        "rows/",
    ],
)
def test_there_is_nothing_but_the_pages(client, shelf, path):
    name = next(iter(shelf.runs()))
    status, body, _ = client.ask(f"/{client.token}/" + path.format(name=name).replace(" ", "%20"))
    assert status == 404
    assert "nobody's business" not in body


def test_answers_forbid_other_pages_to_use_them(client, shelf):
    name = next(iter(shelf.runs()))
    for path in ("", "rows", f"runs/{name}/", f"runs/{name}/state.json"):
        status, _, headers = client.ask(f"/{client.token}/{path}")
        assert status == 200
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] == "mbo-search"


def test_one_run_alone_is_shown_at_once(shelf):
    path = next(iter(shelf.runs().values()))
    with LiveServer(RunShelf([path])) as server:
        server.start()
        status, _, headers = Client(server).ask(urlsplit(server.url).path)
        server.shutdown()
    assert status == 302
    assert headers["Location"] == f"runs/{address_name(path)}/"


def test_an_address_without_its_slash_finds_the_list(client):
    status, _, headers = client.ask(f"/{client.token}")
    assert (status, headers["Location"]) == (302, f"/{client.token}/")


def test_a_port_that_is_taken_is_a_problem_of_the_user(shelf):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="--port"):
        LiveServer(shelf, port=taken.getsockname()[1])


def test_a_server_for_others_is_known_by_its_addresses_and_names():
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    access = access_for("0.0.0.0")
    assert access.allows_host("192.0.2.7:8000")
    assert access.allows_host(f"{socket.gethostname()}:8000")
    assert not access.allows_host("evil.example")
