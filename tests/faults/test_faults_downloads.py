"""Faults while files are downloaded: broken answers, slow servers, cuts, kills, full disks.

After each, no file has appeared or changed, and one line gives the reason; what could go on did.
"""

import multiprocessing
import os
import time

import pytest
import requests
from serving import serving, sha256

from tutorial_utils._support import connection, downloads, files

CONTENT = bytes(range(250)) * 4
PART = ".images.zip.part"
ONCE = downloads.Limits(retries=0)


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """No proxy, and nobody waits between two tries."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def get(url, folder, **settings):
    settings = {"sha256": sha256(CONTENT), "limits": ONCE, "quiet": True} | settings
    return downloads.download(url, folder, **settings)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


NOT_HTTP = "the server's answer is not valid HTTP"
CUT = "no connection was made, or it was cut"
OTHER = r"the file that arrived is not the expected one: SHA-256 \w{12}\.\.\., expected "
SLOW = "it was too slow, "
SILENT = "the server was silent for 0 s"
QUICK = downloads.Limits(silence_s=0.3, window_s=0.4, retries=0)
OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "cut": ({"cut": 20}, CUT),
    "another content": ({"content": b"other"}, OTHER),
    "a login page": ({"content": b"<html>log in</html>"}, OTHER),
    "an empty file": ({"content": b""}, OTHER),
    "forbidden": ({"status": 403}, "the server answered HTTP 403"),
    "not found": ({"status": 404}, "the server answered HTTP 404"),
    "gone": ({"status": 410}, "the server answered HTTP 410"),
    "too many requests": ({"status": 429}, "the server answered HTTP 429"),
    "broken": ({"status": 500}, "the server answered HTTP 500"),
    "unavailable": ({"status": 503}, "the server answered HTTP 503"),
    "no answer": ({"wait_s": 1.0}, SILENT),
    "silent in the middle": ({"pause_s": 1.0}, SILENT),
    "byte by byte": ({"drip_s": 0.05}, SLOW + r"\d+ bytes in 0 s"),
    "head byte by byte": ({"raw": OK + b"A: b\r\n" * 20, "drip_s": 0.05}, SLOW + "no answer"),
    "chunks byte by byte": (
        {"raw": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50, "drip_s": 0.01},
        SLOW,
    ),
    "closed": ({"raw": b""}, CUT),
    "no HTTP": ({"raw": b"no such thing\r\n\r\n"}, CUT),
    "bytes": ({"raw": bytes(range(256))}, CUT),
    "a half status line": ({"raw": b"HTTP/1.1 2"}, CUT),
    "a bad status": ({"raw": b"HTTP/1.1 abc OK\r\n\r\n"}, CUT),
    "a bad version": ({"raw": b"HTTP/9.9 200 OK\r\n\r\n"}, f"{CUT}|{NOT_HTTP}"),
    "a long head": ({"raw": OK + b"A: " + b"b" * 70_000 + b"\r\n\r\n"}, f"{CUT}|{NOT_HTTP}"),
    "many heads": ({"raw": OK + b"A: b\r\n" * 200 + b"\r\n"}, f"{CUT}|{NOT_HTTP}"),
    "a length in words": ({"raw": OK + b"Content-Length: many\r\n\r\nx"}, OTHER),
    "a negative length": ({"raw": OK + b"Content-Length: -5\r\n\r\nx"}, OTHER),
    "two lengths": ({"raw": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"}, NOT_HTTP),
    "bad chunks": ({"raw": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"}, CUT),
    "cut chunks": ({"raw": OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\nab"}, CUT),
    "compressed": ({"headers": {"Content-Encoding": "gzip"}, "content": b"no gzip"}, OTHER),
    "redirects without end": (
        {"status": 302, "headers": {"Location": "/again"}},
        "the server redirects without end",
    ),
    "a redirect to nowhere": ({"status": 302, "headers": {"Location": "http://[::1/"}}, NOT_HTTP),
    "a redirect to a file": ({"status": 302, "headers": {"Location": "file:///x"}}, NOT_HTTP),
    "a redirect to a closed port": (
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
        CUT,
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_bad_answer_is_named_and_changes_no_file(kind, tmp_path):
    server, reason = ANSWERS[kind]
    (tmp_path / "images.zip").write_bytes(b"earlier")
    with (
        serving(**({"content": CONTENT} | server)) as (url, _),
        pytest.raises(ConnectionError, match=f"^({reason})"),
    ):
        get(url, tmp_path, limits=QUICK)
    assert set(names(tmp_path)) <= {"images.zip", PART}
    assert (tmp_path / "images.zip").read_bytes() == b"earlier"


def test_a_server_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST_BYTES", 500)
    with (
        serving(CONTENT, headers={"Connection": "close"}) as (url, asked),
        pytest.raises(ConnectionError, match="^the server sent more than 500 bytes"),
    ):
        get(url, tmp_path, limits=downloads.Limits(pause_s=0))
    assert len(asked) == 1


def test_a_download_has_a_limit_for_the_whole(tmp_path):
    limits = downloads.Limits(whole_s=0.2, retries=0)
    with (
        serving(CONTENT, drip_s=0.05) as (url, _),
        pytest.raises(ConnectionError, match="^it was not complete after 0 minutes"),
    ):
        get(url, tmp_path, limits=limits)


def test_no_server(tmp_path):
    with serving() as (url, _):
        pass
    with pytest.raises(ConnectionError, match=CUT):
        get(url, tmp_path)


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid/a", "http:///a", "htp://x/a", "http://x:y/a"]
)
def test_a_bad_address(url, tmp_path, monkeypatch):
    def lookup(*_, **__):
        raise requests.ConnectionError("no such host")

    if "invalid" in url:
        monkeypatch.setattr(requests, "get", lookup)
    with pytest.raises(ConnectionError, match=f"{CUT}|{NOT_HTTP}"):
        get(url, tmp_path)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "nonsense://[", "http://"])
def test_a_broken_proxy(proxy, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    with (
        serving(CONTENT) as (url, _),
        pytest.raises(ConnectionError, match=f"{CUT}|{NOT_HTTP}"),
    ):
        get(url, tmp_path)


def test_a_lookup_that_hangs_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(requests, "get", lambda *_, **__: time.sleep(3))
    with pytest.raises(ConnectionError, match="too slow, no answer within 0 s"):
        get("http://127.0.0.1/a", tmp_path, limits=QUICK)


# Going on


@pytest.mark.parametrize("cut", [1, 500, len(CONTENT) - 1])
def test_a_download_that_was_cut_goes_on_later(cut, tmp_path, capsys):
    with serving(CONTENT, cut=cut) as (url, _), pytest.raises(ConnectionError, match=CUT):
        get(url, tmp_path)
    assert names(tmp_path) == [PART]
    with serving(CONTENT, ranges=True) as (url, asked):
        path = get(url, tmp_path, quiet=False)
    assert asked == [f"/tutorial/images.zip bytes={cut}-"]
    assert "once, 0 MB of it are here" in capsys.readouterr().out
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["images.zip"]


PARTS = {
    "ranges ignored": (CONTENT[:300], {}),
    "another file": (b"x" * 300, {"ranges": True}),
    "an older version": (CONTENT[1:301], {"ranges": True}),
    "too long": (CONTENT + b"x", {"ranges": True}),
    "as long, but another": (b"x" * len(CONTENT), {"ranges": True}),
    "empty": (b"", {"ranges": True}),
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_that_does_not_fit_is_replaced(kind, tmp_path):
    part, server = PARTS[kind]
    (tmp_path / PART).write_bytes(part)
    with serving(CONTENT, **server) as (url, asked):
        path = get(url, tmp_path, limits=downloads.Limits(pause_s=0))
    assert path.read_bytes() == CONTENT
    assert len(asked) <= 2
    assert names(tmp_path) == ["images.zip"]


def test_another_part_than_the_missing_one_is_not_taken(tmp_path):
    (tmp_path / PART).write_bytes(CONTENT[:300])
    head = {"Content-Range": "bytes 0-999/1000", "Content-Length": str(len(CONTENT))}
    with (
        serving(CONTENT, status=206, headers=head) as (url, _),
        pytest.raises(ConnectionError, match="another part of the file"),
    ):
        get(url, tmp_path)
    assert names(tmp_path) == []


def test_a_whole_part_of_a_process_that_was_killed_is_taken(tmp_path):
    (tmp_path / PART).write_bytes(CONTENT)
    with serving(CONTENT) as (url, asked):
        assert get(url, tmp_path).read_bytes() == CONTENT
    assert asked == []


def test_a_download_is_tried_again_as_long_as_bytes_arrive(tmp_path):
    headers = {"Connection": "close"}
    with serving(CONTENT, ranges=True, cut=300) as (url, asked):  # 300 bytes more each time
        get(url, tmp_path, limits=downloads.Limits(pause_s=0, retries=1))
    assert len(asked) == 4
    with serving(raw=b"", headers=headers) as (url, asked), pytest.raises(ConnectionError):
        get(url, tmp_path / "new", limits=downloads.Limits(pause_s=0))
    assert len(asked) == 3


def test_a_final_answer_is_not_tried_again(tmp_path):
    with serving(status=404) as (url, asked), pytest.raises(ConnectionError, match="HTTP 404"):
        get(url, tmp_path, limits=downloads.Limits(pause_s=0))
    assert len(asked) == 1


def interrupted(*_):
    yield CONTENT[:20]
    raise KeyboardInterrupt


def test_an_interrupt_leaves_a_part_from_which_it_goes_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_chunks", interrupted)
        with serving(CONTENT) as (url, _), pytest.raises(KeyboardInterrupt):
            get(url, tmp_path)
    assert names(tmp_path) == [PART]
    with serving(CONTENT, ranges=True) as (url, asked):
        assert get(url, tmp_path).read_bytes() == CONTENT
    assert asked == ["/tutorial/images.zip bytes=20-"]


@pytest.mark.long
def test_a_process_that_is_killed_leaves_a_part_from_which_it_goes_on(tmp_path):
    with serving(CONTENT, drip_s=0.05) as (url, _):
        process = multiprocessing.get_context("spawn").Process(target=get, args=(url, tmp_path))
        process.start()
        end = time.monotonic() + 60
        while not (tmp_path / PART).exists() and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()
        process.join()
    with serving(CONTENT, ranges=True) as (url, _):
        assert get(url, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["images.zip"]


def test_two_at_a_time_download_once(tmp_path, capsys):
    with serving(CONTENT) as (url, asked):
        get(url, tmp_path)
        get(url, tmp_path, quiet=False)  # as a process does that has waited for the first
    assert len(asked) == 1
    assert capsys.readouterr().out == ""


# The disk


LEFT = (".a.zip.part", f"vgg16.pth.{'0f' * 16}.partial")


@pytest.mark.parametrize("name", [*LEFT, "my.part", "a.partial"])
def test_left_overs_are_deleted_by_age(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"x")
    for age_s in (files.LEFT_OVER_S / 2, files.LEFT_OVER_S * 2):
        os.utime(path, (time.time() - age_s,) * 2)
        with serving(CONTENT) as (url, _):
            get(url, tmp_path)
        assert path.exists() == (age_s < files.LEFT_OVER_S or name not in LEFT)


@pytest.mark.parametrize("settings", [{"size_bytes": 10**18}, {}, {"unpacked_bytes": 10**18}])
def test_a_disk_with_too_little_space_is_noticed_before_the_file_arrives(settings, tmp_path):
    length = {} if settings else {"headers": {"Content-Length": str(10**18)}}
    with (
        serving(CONTENT, **length) as (url, _),
        pytest.raises(OSError, match=f"the disk of {tmp_path} has .* MB are needed") as caught,
    ):
        get(url, tmp_path, **settings)
    assert not isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize(
    ("number", "reason"), [(28, "the disk is full"), (5, "input/output error")]
)
def test_a_disk_that_fails_leaves_no_part(number, reason, tmp_path, monkeypatch):
    def full(*_):
        yield CONTENT[:20]
        raise OSError(number, "as the disk reports it")

    monkeypatch.setattr(downloads, "_chunks", full)
    with (
        serving(CONTENT) as (url, _),
        pytest.raises(OSError, match=f"images.zip.part cannot be written: .*{reason}"),
    ):
        get(url, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["a file in the path", "a folder of that name"])
def test_a_path_that_cannot_be_written(kind, tmp_path):
    folder = tmp_path
    if kind == "a file in the path":
        (tmp_path / "file").write_text("in the way")
        folder = tmp_path / "file" / "folder"
    else:
        (tmp_path / "images.zip").mkdir()
    with serving(CONTENT) as (url, _), pytest.raises(OSError, match="cannot be written: "):
        get(url, folder)


def test_a_name_that_is_too_long(tmp_path):
    with serving(CONTENT) as (url, _), pytest.raises(OSError, match="its name is too long"):
        get(f"{url}{'x' * 300}", tmp_path)


@pytest.mark.parametrize(
    "error", [RuntimeError("no threads"), requests.ConnectionError(), ValueError()]
)
def test_any_error_of_the_probe_means_no_network(error, monkeypatch):
    def head(*_, **__):
        raise error

    monkeypatch.delenv("TUTORIAL_OFFLINE")
    monkeypatch.setattr(connection, "_failures", [])
    monkeypatch.setattr(connection.requests, "head", head)
    assert not connection.online()
