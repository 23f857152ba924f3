"""Print every file of a lab host as JSON, path: properties.

Arguments: nanoseconds since 1970, then paths that are left out with what is below them. Only what was changed since
then is hashed, by the time of change, which nobody can set: all else is in layers of the file system that are never
written. Once a file of theirs is written it has a hash, be it to the same bytes.
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator

TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


def entries(directory: str, left_out: set[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a directory; what ends meanwhile is left out."""
    with os.scandir(directory) as found:
        for entry in found:
            if entry.path in left_out:
                continue
            try:
                yield entry.path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield from entries(entry.path, left_out)
            except FileNotFoundError:
                continue


def properties(path: str, status: os.stat_result, since: int) -> dict[str, str]:
    """What there is to know of one file. ``since`` is in nanoseconds."""
    kind = stat.S_IFMT(status.st_mode)
    known = {"type": TYPES[kind], "mode": f"{stat.S_IMODE(status.st_mode):04o}"}
    known["owner"] = f"{status.st_uid}:{status.st_gid}"
    if kind == stat.S_IFREG:
        known["size"] = str(status.st_size)
        if status.st_ctime_ns >= since:
            with open(path, "rb") as content:  # noqa: PTH123  names need not be UTF-8
                known["content"] = hashlib.file_digest(content, "sha256").hexdigest()
    elif kind == stat.S_IFLNK:
        known["target"] = printable(os.readlink(path))  # noqa: PTH115
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        known["device"] = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return known


def printable(path: str) -> str:
    """A path with bytes that are no UTF-8 escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def main(since: int, left_out: list[str]) -> None:
    """List the whole file system."""
    found = {}
    for path, status in entries("/", set(left_out)):
        try:
            found[printable(path)] = properties(path, status, since)
        except FileNotFoundError:
            continue
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
