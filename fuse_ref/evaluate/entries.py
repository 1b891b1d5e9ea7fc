"""Files of a cache folder: each says what it is, and one that is damaged, foreign or another user's counts as absent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from fuse_ref.ir.json import Json
from fuse_ref.records import dataclass

__all__ = ["Entries", "Kept", "Kind", "state_of"]

_T = TypeVar("_T")
_ABANDONED: Final = 3600.0  # seconds after which a file that nobody finished writing is removed
_log = logging.getLogger("fuse.cache")


@dataclass(frozen=True, slots=True)
class Kind:
    """What one subfolder holds.

    Attributes:
        folder: its name; in messages, one entry is `noun`.
        format: what every file begins with: another number for another form of the content.
        most: bytes that all entries together may take; beyond, those unused for longest go.
    """

    folder: str
    noun: str
    format: str
    most: int


class Entries:
    """The entries of one kind: one file each, named by the key of all that decides its content."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder = folder / kind.folder
        self._kind = kind

    def key(self, *parts: Json) -> str:
        """The key of an entry that `parts` decide."""
        text = json.dumps([self._kind.format, *parts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, key: str, decode: Callable[[bytes], _T]) -> _T | None:
        """What `decode` makes of the entry `key`; None, with a line in the log that says why, if it cannot be used.

        Args:
            decode: raises ValueError for what it does not take.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                _check_owner(os.fstat(file.fileno()))
                head, _, body = file.read().partition(b"\n")
            if head != self._head(key, body):
                raise ValueError("its first line does not fit the rest")
            found = decode(body)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("%s %s is made anew: %s", self._kind.noun, path, error)
            return None
        _log.info("%s %s read from %s", self._kind.noun, key[:12], self._folder)
        with contextlib.suppress(OSError):  # a folder that is only read cannot say what was used last
            os.utime(path)
        return found

    def write(self, key: str, body: bytes) -> None:
        """Keep `body`. A folder that cannot be written costs the next process time, and this one a line in the log.

        It is written beside its place and renamed: whoever reads sees a whole file, and the last of two writers wins.
        """
        path = self._path(key)
        temporary = path.with_name(f".{key[:16]}-{uuid.uuid4().hex}")
        try:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            try:
                with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(self._head(key, body) + b"\n" + body)
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
            self._tidy(path)
        except OSError as error:
            self.leave(key, str(error))

    def leave(self, key: str, reason: str) -> None:
        """Say that the entry is not kept, and why."""
        _log.warning("%s %s is not kept: %s", self._kind.noun, self._path(key), reason)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.entry"

    def _head(self, key: str, body: bytes) -> bytes:
        return f"{self._kind.format} {key} {hashlib.sha256(body).hexdigest()}".encode()

    def _tidy(self, newest: Path) -> None:
        """Remove what was used longest ago while there is too much, and what a writer left behind."""
        found: list[tuple[float, int, str]] = []
        now = time.time()
        with os.scandir(self._folder) as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):  # another process tidies too
                    state = file.stat(follow_symlinks=False)
                    if not file.name.startswith("."):
                        found.append((state.st_mtime, state.st_size, file.path))
                    elif now - state.st_mtime > _ABANDONED:
                        os.unlink(file.path)
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._kind.most:
                return
            if path != str(newest):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                total -= size


class Kept:
    """Where an engine keeps what it makes of one plan.

    Attributes:
        plan: the key of all that decides the plan.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        self._folder = folder
        self.plan = plan

    def entries(self, kind: Kind) -> Entries:
        """The entries of one kind in the folder."""
        return Entries(self._folder, kind)


def _check_owner(state: os.stat_result) -> None:
    """What an entry says is executed, so that nobody else may have written it."""
    if hasattr(os, "getuid"):
        if state.st_uid != os.getuid():
            raise ValueError("another user wrote it")
        if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError("other users may write it")


def state_of(*packages: Path) -> list[str]:
    """The state of the files of `packages`, folders: who changes the code that makes entries gets new ones."""
    found: list[str] = []
    for package in packages:
        for file in sorted(package.rglob("*.py")):
            state = file.stat()
            found.append(f"{file.name} {state.st_size} {state.st_mtime_ns}")
    return found
