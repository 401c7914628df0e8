"""Files in a folder are checked, because they may come from someone else."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from opticalrag.ingest.core.errors import StoreDamaged, StoreLocked, StoreUnavailable
from opticalrag.ingest.store.edge.folder import check_room, read_aliases
from opticalrag.ingest.store.store import QdrantStore

from ....contract.stores import MODELS, make_points


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's folder with a collection of three points and an alias."""
    folder = tmp_path_factory.mktemp("made") / "store"
    with QdrantStore(folder) as store:
        store.ensure(*MODELS)
        store.upsert(make_points(3))
        store.switch_alias("live")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of that store, to damage."""
    copy(made, tmp_path / "store")
    return tmp_path / "store"


def copy(folder: Path, target: Path) -> None:
    """Copy a closed store as its owner would; holes in the engine's files stay holes."""
    subprocess.run(["cp", "-R", "-p", folder, target], check=True)  # noqa: S607


def spec_file(folder: Path) -> Path:
    return folder / "edge" / "opticalrag" / "about.json"


def test_only_the_owner_may_read_the_files(made: Path) -> None:
    """Folders have mode 0700 and files 0600, including the engine's."""
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [made, *made.rglob("*")]}

    assert len(modes) > 30
    assert {m for p, m in modes.items() if p.is_dir()} == {0o700}
    assert {m for p, m in modes.items() if p.is_file()} == {0o600}


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"vectors": []},
        {"vectors": {"dense": {"size": "many", "distance": "Cosine"}}},
        {"vectors": {"dense": {"size": 4, "distance": "Warped"}}},
        {"sparse_vectors": {"sparse": {"modifier": 7}}},
        {"metadata": "none"},
    ],
)
def test_an_invalid_spec_is_refused(folder: Path, change: dict[str, Any]) -> None:
    """The error names the file."""
    values = json.loads(spec_file(folder).read_text())
    spec_file(folder).write_text(json.dumps({**values, **change}))
    with QdrantStore(folder) as store, pytest.raises(StoreDamaged, match=r"about\.json"):
        store.verify(*MODELS)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b" " * 2_000_000]
)
@pytest.mark.parametrize("name", ["opticalrag/about.json", "aliases.json"])
def test_garbage_is_refused(folder: Path, name: str, content: bytes) -> None:
    """Broken, deeply nested and large files raise our error."""
    (folder / "edge" / name).write_bytes(content)
    asked = QdrantStore.aliases if "aliases" in name else QdrantStore.count
    with QdrantStore(folder) as store, pytest.raises(StoreDamaged, match="is damaged"):
        asked(store)


def test_an_alias_cannot_lead_out_of_the_store(folder: Path, made: Path) -> None:
    """A path to another store is refused before anything in it is opened."""
    victim = folder.parent / "victim"
    copy(made, victim)
    (victim / "edge" / "opticalrag").chmod(0o755)
    (folder / "edge" / "aliases.json").write_text('{"live": "../../victim/edge/opticalrag"}')
    with QdrantStore(folder, collection="live") as store, pytest.raises(StoreDamaged, match="name"):
        store.delete_ids([make_points(1)[0].id])
    assert stat.S_IMODE((victim / "edge" / "opticalrag").stat().st_mode) == 0o755
    with QdrantStore(victim) as store:
        assert store.count() == 3


@pytest.mark.parametrize(
    "name", ["/edge/x", "../x", "..", "", "x" * 300, "~x", "a\0", "aliases.json"]
)
def test_an_alias_file_with_invalid_names_is_refused(tmp_path: Path, name: str) -> None:
    """Both the alias and the collection are checked."""
    for aliases in ({"live": name}, {name: "live"}):
        (tmp_path / "aliases.json").write_text(json.dumps(aliases))
        with pytest.raises(StoreDamaged, match="invalid collection name"):
            read_aliases(tmp_path)


@pytest.mark.parametrize("name", ["opticalrag", "opticalrag/shard", "opticalrag/about.json"])
def test_a_symbolic_link_is_refused(folder: Path, name: str) -> None:
    """It may lead out of the store."""
    linked = folder / "edge" / name
    linked.rename(folder.parent / "elsewhere")
    linked.symlink_to(folder.parent / "elsewhere")
    with QdrantStore(folder) as store, pytest.raises(StoreDamaged, match=name):
        store.count()


@pytest.mark.parametrize("name", ["edge/opticalrag/about.json", "edge/aliases.json", ".lock"])
def test_a_pipe_is_refused(folder: Path, name: str) -> None:
    """Reading it would block forever."""
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with (
        pytest.raises(StoreDamaged, match=Path(name).name),
        QdrantStore(folder, collection="live" if "alias" in name else "opticalrag") as store,
    ):
        store.verify(*MODELS)


@pytest.mark.parametrize("name", ["edge_config.json", "segment.json", "status.dat"])
def test_damaged_engine_files_raise_our_error(folder: Path, name: str) -> None:
    """The engine raises plain exceptions and Rust panics."""
    for path in (folder / "edge" / "opticalrag").rglob(name):
        path.write_bytes(b"")
    with QdrantStore(folder) as store, pytest.raises(StoreDamaged, match="opticalrag"):
        store.count()


def test_a_collection_without_its_shard_is_damaged(folder: Path) -> None:
    """It is not opened as an empty one."""
    shard = folder / "edge" / "opticalrag" / "shard"
    shard.rename(folder / "elsewhere")
    with QdrantStore(folder) as store, pytest.raises(StoreDamaged, match="shard"):
        store.count()


def test_leftovers_of_a_crash_are_removed(folder: Path) -> None:
    """An unfinished or partly deleted collection does not exist, and can be created."""
    for left in ("~made~half", "~doomed~half"):
        (folder / "edge" / left).mkdir()
        (folder / "edge" / left / "rubbish").touch()
    with QdrantStore(folder, collection="half") as store:
        assert not list((folder / "edge").glob("~*"))
        assert not store.exists()
        store.ensure(*MODELS)
        assert store.count() == 0


def test_a_full_disk_raises_our_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating, opening and writing check first: a mapped file would kill the process."""
    full = shutil.disk_usage(folder)._replace(free=1024**2)
    needs = pytest.raises(StoreUnavailable, match=r"1,048,576 bytes free.* may need \d+,\d+")
    with QdrantStore(folder) as store:
        assert store.count() == 3
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "disk_usage", lambda _: full)
            with needs:
                store.upsert(make_points(1))
            assert store.count() == 3
        store.upsert(make_points(5))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with QdrantStore(folder) as store, needs:
        store.count()
    with QdrantStore(folder, collection="another") as store, needs:
        store.ensure(*MODELS)


def test_the_free_space_of_the_disk_is_checked(tmp_path: Path) -> None:
    """No disk has 4 EiB free."""
    check_room(tmp_path, 0)
    with pytest.raises(StoreUnavailable, match="make room"):
        check_room(tmp_path, 2**62)


def test_a_store_may_be_closed_twice(folder: Path) -> None:
    """Later calls say that it was closed."""
    with QdrantStore(folder) as store:
        assert store.count() == 3
        store.close()
    with pytest.raises(StoreUnavailable, match="was closed"):
        store.count()


def test_a_log_in_use_means_a_folder_in_use(folder: Path) -> None:
    """If the folder's lock file is lost, the engine's own lock still holds."""
    with QdrantStore(folder) as store:
        assert store.count() == 3
        (folder / ".lock").unlink()
        with QdrantStore(folder) as second, pytest.raises(StoreLocked, match="in use"):
            second.count()
