"""The one writer of whole files: regular files, links, devices and FIFOs; no other module writes one by hand."""

from __future__ import annotations

import ast
import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lakehouse import atomic_file
from tests.unit.test_layers import MODULES, ROOT, tree_of


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_has_the_new_content_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    for text in ("first", "é"):
        atomic_file.write(target, text)
        assert target.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("existed", [True, False])
def test_a_block_that_raises_changes_nothing(tmp_path: Path, existed: bool) -> None:
    target = tmp_path / "out.txt"
    if existed:
        target.write_text("before")
    with pytest.raises(RuntimeError), atomic_file.replacing(target) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"] * existed


def test_a_reader_sees_the_old_content_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("before")
    with atomic_file.replacing(target) as stream:
        stream.write(b"after")
        stream.flush()
        assert target.read_text() == "before"
    assert target.read_text() == "after"


def test_the_mode_is_the_one_wanted_the_old_files_or_the_umasks(tmp_path: Path) -> None:
    target, before = tmp_path / "out.txt", os.umask(0o027)
    try:
        atomic_file.write(target, "new")
        assert mode_of(target) == 0o640
        target.chmod(0o604)
        atomic_file.write(target, "replaced")
        assert mode_of(target) == 0o604
        atomic_file.write(target, "private", mode=0o600)
        assert mode_of(target) == 0o600
    finally:
        os.umask(before)


def test_a_link_keeps_its_target_which_is_written(tmp_path: Path) -> None:
    for name, there in (("kept", True), ("new", False)):
        folder = tmp_path / name
        (folder / "far").mkdir(parents=True)
        target, link, second = folder / "far" / "real.txt", folder / "link", folder / "second"
        if there:
            target.write_text("before")
        link.symlink_to("far/real.txt")
        second.symlink_to(link)
        atomic_file.write(second, "after")
        assert second.is_symlink() and link.is_symlink() and not target.is_symlink()
        assert target.read_text() == "after"
        assert sorted(path.name for path in folder.rglob("*")) == ["far", "link", "real.txt", "second"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError) as refused:
        atomic_file.write(tmp_path / "a", "x")
    assert refused.value.errno == errno.ELOOP
    assert all(path.is_symlink() for path in tmp_path.iterdir())


@pytest.mark.parametrize("through_a_link", [False, True])
@pytest.mark.parametrize(("device", "code"), [("null", None), ("full", errno.ENOSPC)])
def test_a_device_is_written_into_and_stays_one(
    tmp_path: Path, device: str, code: int | None, through_a_link: bool
) -> None:
    place = Path("/dev", device)
    path = tmp_path / "link" if through_a_link else place
    if through_a_link:
        path.symlink_to(place)
    if code is None:
        atomic_file.write(path, "x" * 100_000)
    else:
        with pytest.raises(OSError) as refused:
            atomic_file.write(path, "x")
        assert refused.value.errno == code
    assert stat.S_ISCHR(place.stat().st_mode)
    assert path.is_symlink() == through_a_link


def test_a_device_file_of_its_own_is_not_replaced(tmp_path: Path) -> None:
    """As root in a folder that may be written, where a rename would succeed."""
    device = tmp_path / "full"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("only root makes a device")
    with pytest.raises(OSError) as refused:
        atomic_file.write(device, "x")
    assert refused.value.errno in (errno.ENOSPC, errno.EACCES)  # the folder may be mounted without devices
    assert stat.S_ISCHR(device.stat().st_mode) and list(tmp_path.iterdir()) == [device]


def test_a_fifo_is_written_into(tmp_path: Path) -> None:
    fifo, heard = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: heard.append(fifo.read_bytes()))
    reader.start()
    atomic_file.write(fifo, "through")
    reader.join()
    assert heard == [b"through"] and stat.S_ISFIFO(fifo.stat().st_mode) and list(tmp_path.iterdir()) == [fifo]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_descriptor_is_written_into_not_the_place_of_its_file(tmp_path: Path, name: str) -> None:
    target = tmp_path / "out.txt"
    target.write_text("kept\n")
    code = f"from lakehouse import atomic_file; atomic_file.write({name!r}, 'added\\n')"
    with target.open("ab") as sink:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=sink, check=True)
    assert target.read_text() == "kept\nadded\n"
    piped = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"added\n" and list(tmp_path.iterdir()) == [target]


def test_names_as_long_as_a_file_system_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        atomic_file.write(tmp_path / name, name)
        assert (tmp_path / name).read_text(encoding="utf-8") == name


def test_what_cannot_be_written_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        atomic_file.write(tmp_path / "no" / "out.txt", "x")
    assert missing.value.filename == str(tmp_path / "no")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        atomic_file.write(tmp_path / "folder", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_content_is_on_the_disk_before_the_name_is_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, real_sync, real_replace = [], os.fsync, Path.replace

    def synced(file: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else f"{os.fstat(file).st_size} bytes")
        real_sync(file)

    def replaced(draft: Path, target: Path) -> Path:
        done.append("renamed")
        return real_replace(draft, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    atomic_file.write(tmp_path / "a", "12345")
    atomic_file.write(tmp_path / "b", "12345", durable=False)
    atomic_file.move(tmp_path / "a", tmp_path / "c")
    assert done == ["5 bytes", "renamed", "folder", "renamed", "5 bytes", "renamed", "folder"]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: int) -> None:
        raise OSError(errno.EINVAL if stat.S_ISDIR(os.fstat(file).st_mode) else errno.EIO, "refused")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="refused"):
        atomic_file.write(tmp_path / "a", "x")  # the file itself must be
    atomic_file.write(tmp_path / "a", "x", durable=False)
    atomic_file.sync(os.open(tmp_path, os.O_RDONLY))


BY_HAND = {"replace", "rename", "renames", "fsync", "fdatasync", "mkstemp", "NamedTemporaryFile"}
FOLDERS = {"lakehouse.operations.recovery.backup", "lakehouse.operations.recovery.restore"}
"""They rename folders, which are no files."""


def by_hand(tree: ast.AST) -> set[str]:
    """The calls by which a module would write a file's draft, sync it or rename it. ``str.replace`` has two arguments,
    those of dataclasses and datetimes are named."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in BY_HAND:
            of_os = ast.unparse(node.func.value) == "os"
            if node.func.attr != "replace" or of_os or (len(node.args) == 1 and not node.keywords):
                found.add(node.func.attr)
    return found


def test_no_other_module_writes_a_draft_and_renames_it() -> None:
    benchmarks = {f"benchmarks.{path.stem}": path for path in (ROOT / "benchmarks").glob("*.py")}
    scripts = {path.stem: path for path in ROOT.glob("*.py")}
    everything = {**MODULES, **benchmarks, **scripts}
    found = {name: by_hand(tree_of(path)) for name, path in everything.items() if name != "lakehouse.atomic_file"}
    assert {name: calls for name, calls in found.items() if calls} == {name: {"rename"} for name in FOLDERS}


def test_the_rule_tells_paths_from_texts() -> None:
    broken = "a.replace(b); os.replace(a, b); os.fsync(f); c.rename(d)"
    assert by_hand(ast.parse(broken)) == {"replace", "fsync", "rename"}
    assert by_hand(ast.parse("a.replace('x', 'y'); dataclasses.replace(a, b=1); t.replace(tzinfo=None)")) == set()
