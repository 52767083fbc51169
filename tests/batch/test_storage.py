"""Tests of `batch.storage`: files are whole or not there, in a folder and in a store."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pandas
import pytest
from tiny_notebooks import write

from tutorial_utils.batch import storage, sweeps


def test_an_address_is_no_path(tmp_path):
    assert storage.is_address("s3://bucket/folder")
    assert not storage.is_address(tmp_path) and not storage.is_address("C:\\folder")


def test_a_notebook_that_is_not_there_or_was_cut_off_is_none(tmp_path):
    assert storage.file_names(str(tmp_path / "none")) == []
    assert storage.read_notebook(str(tmp_path / "none" / "a.ipynb")) is None
    path = write(tmp_path / "a.ipynb", "1")
    assert storage.read_notebook(str(path)).cells[0].source == "1"
    path.write_text(path.read_text()[:-20])
    assert storage.read_notebook(str(path)) is None


@pytest.mark.parametrize("content", ["new", b"new"])
def test_a_file_is_written_by_the_function_that_writes_whole_files(content, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(storage.files, "write_bytes", lambda *pair: written.append(pair))
    storage.write(str(tmp_path / "results.csv"), content)
    assert written == [(tmp_path / "results.csv", b"new")]


def test_a_sweep_writes_to_a_store(tiny, tmp_path, same_package, monkeypatch, capsys):
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    from papermill.s3 import S3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(S3, "s3_session", (None, None, None))
        store = boto3.client("s3")
        store.create_bucket(Bucket="bucket")
        grid = {"number": [0, 1, 2]}
        table = sweeps.sweep(tiny, grid, "s3://bucket/deep/out", executor=ThreadPoolExecutor(1))
        assert list(table["status"]) == ["error", "ok", "ok"]
        stored = {item["Key"]: item for item in store.list_objects_v2(Bucket="bucket")["Contents"]}
        assert sorted(stored) == sorted(
            [*(f"deep/out/{name}" for name in table["notebook"])]
            + ["deep/out/results.csv", "deep/out/results.parquet"]
        )
        for ending in ("csv", "parquet"):
            store.download_file("bucket", f"deep/out/results.{ending}", tmp_path / f"r.{ending}")
        assert list(pandas.read_csv(tmp_path / "r.csv")["key"]) == list(table["key"])
        pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "r.parquet"), table)
        capsys.readouterr()
        sweeps.sweep(tiny, grid, "s3://bucket/deep/out", executor=ThreadPoolExecutor(1))
        assert "3 runs: 2 finished before, 1 to do" in capsys.readouterr().out
        after = {item["Key"]: item for item in store.list_objects_v2(Bucket="bucket")["Contents"]}
        runs = [key for key in stored if "/runs/" in key]
        changed = [k for k in runs if after[k]["LastModified"] != stored[k]["LastModified"]]
        assert changed == [f"deep/out/{table['notebook'][0]}"]
