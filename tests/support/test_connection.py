"""Tests of `tutorial_utils._support.connection`: tried once, remembered, never slow."""

import time

import pytest
import requests

from tutorial_utils._support import cache, connection


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """Each test has a cache of its own and remembers nothing."""
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TUTORIAL_OFFLINE", raising=False)
    monkeypatch.setattr(connection, "_failures", [])


class Network(list):
    """A network that can be switched off, and lists the addresses that were tried."""

    up = True

    def head(self, url, timeout):
        self.append(url)
        if not self.up:
            raise requests.ConnectionError("no route")
        return requests.Response()


@pytest.fixture
def network(monkeypatch):
    network = Network()
    monkeypatch.setattr(connection.requests, "head", network.head)
    return network


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_online(network, monkeypatch, value):
    monkeypatch.setenv("TUTORIAL_OFFLINE", value)
    assert connection.online()
    assert network == ["https://download.pytorch.org/"]
    assert not cache.cache_path().exists()


@pytest.mark.parametrize("value", ["1", "true", "YES", " on "])
def test_switched_off_tries_nothing(network, monkeypatch, value):
    monkeypatch.setenv("TUTORIAL_OFFLINE", value)
    assert not connection.online()
    assert not connection.online(force=True)
    assert network == []
    assert connection.offline_reason() == f"TUTORIAL_OFFLINE={value}"


def test_no_network_is_remembered_in_the_cache(network, monkeypatch):
    network.up = False
    assert not connection.online()
    assert connection.offline_reason() == "no answer from download.pytorch.org"
    monkeypatch.setattr(connection, "_failures", [])  # as another process would see it
    network.up = True
    assert not connection.online()
    assert len(network) == 1
    assert connection.online(force=True)
    assert connection.online()  # what was remembered is forgotten
    assert len(network) == 3


def test_no_network_is_remembered_without_a_cache(network, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    network.up = False
    assert not connection.online()
    assert not connection.online()
    assert len(network) == 1


@pytest.mark.parametrize("later_s", [connection.REMEMBER_S + 1, -3600])  # the clock was set back
def test_no_network_is_forgotten_after_a_while(network, monkeypatch, later_s):
    network.up = False
    connection.online()
    now = time.time()
    monkeypatch.setattr(connection.time, "time", lambda: now + later_s)
    network.up = True
    assert connection.online()


def test_a_lookup_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(connection, "GIVE_UP_S", 0.2)
    monkeypatch.setattr(connection.requests, "head", lambda *_, **__: time.sleep(2))
    start = time.monotonic()
    assert not connection.online()
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "nonsense://[", "http://"])
def test_a_broken_proxy_means_no_network(monkeypatch, proxy):
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    assert not connection.online()
