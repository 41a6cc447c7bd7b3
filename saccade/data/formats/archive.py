"""A data set in a .zip file: its members are looked over, then unpacked once into the user's cache, from where it opens as a folder."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path

from platformdirs import user_cache_path

from saccade.data.image import content_hash
from saccade.errors import DataError, displayable
from saccade.storage import disk_errors

MEMBERS = 200_000
"""Files of an archive."""
TOTAL = 64 << 30
"""Bytes that an archive may unpack to."""
RATIO = 200
"""Times its own size that an archive may unpack to, when that is more than FREE."""
FREE = 256 << 20
_PIECE = 1 << 20


def unpacked(path: Path) -> Path:
    """The folder that a .zip unpacks to: `archives/<hash of its content>/<its name>` in the user's cache, made when it is not there.

    Raises DataError ANN-ARCHIVE, before anything is written, for an archive that cannot be read, with members that lie outside of it, are links,
    encrypted or listed twice, or that unpacks to too much; ResourceError RUN-DISK when the cache cannot be written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = checked(archive, path)
            folder = user_cache_path("saccade") / "archives" / content_hash(path)[:32] / (path.stem or "archive")
            if not folder.is_dir():
                with disk_errors(folder):
                    _unpack(archive, members, folder, path)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise DataError("ANN-ARCHIVE", displayable(str(error))[:200], where=str(path)) from error
    return folder


def checked(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The members that are files, in the order of the archive. Raises DataError ANN-ARCHIVE (see `unpacked`)."""

    def refused(got: str) -> DataError:
        return DataError("ANN-ARCHIVE", displayable(got)[:300], where=str(path))

    listed = archive.infolist()
    if len(listed) > MEMBERS:
        raise refused(f"{len(listed):,} members, at most {MEMBERS:,} are unpacked")
    members, seen = [], set()
    for member in listed:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        parts = name.replace("\\", "/").split("/")
        if not name or name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
            raise refused(f"{name} lies outside of the archive")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refused(f"{name} is a link or no regular file")
        if member.flag_bits & 1:
            raise refused(f"{name} is encrypted")
        if member.is_dir() or parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts):
            continue
        if name.lower() in seen:
            raise refused(f"{name} is there twice")
        seen.add(name.lower())
        members.append(member)
    total = sum(member.file_size for member in members)
    if total > TOTAL or total > max(FREE, RATIO * path.stat().st_size):
        raise refused(f"it unpacks to {total:,} bytes from {path.stat().st_size:,}")
    return members


def _unpack(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, path: Path) -> None:
    """Unpacks beside the folder and renames; another process that was faster has done the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    need, left = sum(member.file_size for member in members), shutil.disk_usage(folder.parent).free
    if need > left:
        raise OSError(28, f"{need:,} bytes are needed and {left:,} are left")
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        for member in members:
            target = partial / member.filename.replace("\\", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as packed, open(target, "xb") as plain:
                shutil.copyfileobj(packed, plain, _PIECE)
        try:
            os.rename(partial, folder)
        except OSError:
            if not folder.is_dir():
                raise
    except (zipfile.BadZipFile, zlib.error, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError("ANN-ARCHIVE", displayable(str(error))[:200], where=str(path)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
