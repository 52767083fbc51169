"""Tests of `tutorial_utils._support.downloads`: checked, whole or not at all, reasons in words."""

import pytest
from serving import serving, sha256

from tutorial_utils._support import downloads, files

CONTENT = b"content" * 9


@pytest.fixture(autouse=True)
def once(monkeypatch):
    """Each test tries a download once, directly."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "LIMITS", downloads.Limits(retries=0))


def get(url, folder, **settings):
    return downloads.download(url, folder, **({"sha256": sha256(CONTENT)} | settings))


def test_download(tmp_path, capsys):
    with serving(CONTENT) as (url, asked):
        path = get(url, tmp_path / "new", size_bytes=len(CONTENT))
    assert path == tmp_path / "new" / "images.zip"
    assert path.read_bytes() == CONTENT
    assert len(asked) == 1
    host = url.split("/")[2]
    assert capsys.readouterr() == (f"downloading 0 MB from {host}, once\n", "")
    with serving(CONTENT) as (url, _):
        get(url, tmp_path, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_download_of_unknown_size(tmp_path, capsys):
    with serving(CONTENT, headers={"Connection": "close"}) as (url, _):
        assert get(f"{url}?version=2", tmp_path).read_bytes() == CONTENT
    assert capsys.readouterr().out.startswith("downloading images.zip from 127.0.0.1:")


def test_a_prefix_of_the_checksum_is_enough(tmp_path):
    with serving(CONTENT) as (url, _):
        assert get(url, tmp_path, sha256=sha256(CONTENT)[:8].upper()).is_file()
        with pytest.raises(ConnectionError, match="not the expected one: SHA-256 .* expected 0000"):
            get(url, tmp_path, sha256="00000000")
        with pytest.raises(ValueError, match="sha256 must have 8 digits or more, not '1234567'"):
            get(url, tmp_path, sha256="1234567")


@pytest.mark.parametrize(("settings", "requests"), [({"size_bytes": 10**18}, 0), ({}, 1)])
def test_a_full_disk_is_noticed_before_the_file_arrives(tmp_path, settings, requests):
    with (
        serving(CONTENT, headers={"Content-Length": str(10**18)}) as (url, asked),
        pytest.raises(OSError, match=r"has \d+ MB free and 1000000000067 MB are needed") as caught,
    ):
        get(url, tmp_path, **settings)
    assert len(asked) == requests
    assert not isinstance(caught.value, ConnectionError)
    assert list(tmp_path.iterdir()) == []


def test_space_for_the_unpacked_files_is_needed_too(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(files, "check_space", lambda folder, size: sizes.append(size))
    with serving(CONTENT) as (url, _):
        get(url, tmp_path, size_bytes=len(CONTENT), unpacked_bytes=1000)
    assert sizes == [1063, 1063], "before the request, and when the size is known"


def test_a_bar_is_shown_at_a_terminal_only(monkeypatch):
    assert downloads.progress_bar(False).disable
    monkeypatch.setattr(downloads.sys.stderr, "isatty", lambda: True)
    assert not downloads.progress_bar(False).disable
    assert downloads.progress_bar(True).disable
