"""Compiled libraries are run only from where nobody but the user can put them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch

from twins.device import native
from twins.goku.compiled import library as compiled_library
from twins.goku.compiled.library import NoLibrary, load
from twins.library_folder import is_kept, keep, library_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX only")
SOURCE = "int answer(void) { return 42; }\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "labctl"


@pytest.fixture
def compiler() -> None:
    try:
        compiled_library._compiler()
    except NoLibrary as error:
        pytest.skip(str(error))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_what_is_kept_in_it_are_the_user_s_alone_whatever_the_umask(cache: Path) -> None:
    before = os.umask(0)
    try:
        assert library_folder() == cache
        made = cache / "made"
        made.write_bytes(b"")
        keep(made, cache / "kept.so")
    finally:
        os.umask(before)
    assert mode(cache) == mode(cache / "kept.so") == 0o700
    assert is_kept(cache / "kept.so") and not is_kept(cache / "other.so")


def test_a_folder_or_a_library_that_others_may_write_into_is_refused(cache: Path) -> None:
    library = library_folder() / "kept.so"
    library.touch(mode=0o600)
    library.chmod(0o620)
    with pytest.raises(PermissionError, match="others may write"):
        is_kept(library)
    cache.chmod(0o777)
    with pytest.raises(PermissionError, match="chmod go-w"):
        library_folder()


def test_what_belongs_to_somebody_else_or_is_a_link_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = library_folder() / "kept.so"
    library.touch(mode=0o600)
    link = cache / "link.so"
    link.symlink_to(library)
    with pytest.raises(PermissionError):
        is_kept(link)
    someone_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: someone_else)
    with pytest.raises(PermissionError, match="belongs to user"):
        is_kept(library)
    with pytest.raises(PermissionError, match="belongs to user"):
        library_folder()


def test_both_kernels_refuse_to_run_from_such_a_folder(
    cache: Path, compiler: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(SOURCE).answer() == 42
    cache.chmod(0o777)
    with pytest.raises(NoLibrary, match="others may write"):
        load(SOURCE)
    native._found.cache_clear()
    try:
        assert not native.usable(torch.zeros(1)) and "others may write" in native.why_not()
    finally:
        native._found.cache_clear()


def test_the_libraries_used_longest_ago_make_room(cache: Path, compiler: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_library, "_MOST_KEPT", 2)
    texts = [SOURCE.replace("42", str(number)) for number in range(3)]
    for age, text in enumerate(texts[:2]):
        known = set(cache.glob("*.so")) if cache.exists() else set()
        load(text)
        (new,) = set(cache.glob("*.so")) - known
        os.utime(new, (1e9 + age, 1e9 + age))
    load(texts[0])  # used again
    load(texts[2])
    assert len(list(cache.glob("*.so"))) == 2
    before = set(cache.glob("*.so"))
    assert load(texts[0]).answer() == 0
    assert set(cache.glob("*.so")) == before
