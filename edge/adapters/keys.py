"""Epoch seeds: drawn at random, kept in one locked page of memory, destroyed on time.

1. A seed is fresh randomness and nothing else. What can be derived again cannot be forgotten.
2. Seeds live in a memfd: RAM without a path, locked against swap, left out of core dumps. systemd keeps the
   descriptor while the service restarts; a stop or a power cut ends it.
3. A key is destroyed when its epoch is over and no visit needs it, and at the latest `keep_s` after that.
4. To destroy is to overwrite in place: every holder of the memfd sees the same page.
5. A seed dies on time even if the daemon cannot start, or no longer has the camera group it was drawn for.

The page: a header (magic, next epoch), then SLOTS slots of (epoch, born_s, seed); a slot of epoch 0 is free.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import re
import resource
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge.ports import AdapterError

NAME = "edged-keys"
PAGE = 4096
MAGIC = b"edgedk01"
HEADER = struct.Struct("<8sq")
SLOT = struct.Struct("<qd")  # the seed follows
SEED_BYTES = 32
SLOT_BYTES = SLOT.size + SEED_BYTES
SLOTS = 4
PLACES = range(HEADER.size, HEADER.size + SLOTS * SLOT_BYTES, SLOT_BYTES)
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
PR_SET_DUMPABLE = 4
FIRST_PASSED_FD = 3
CIPHERS = ("CRYPT-LUKS", "CRYPT-PLAIN")  # CRYPT-VERITY and CRYPT-INTEGRITY do not encrypt

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a step of the key ring did: the epoch that was born, if any, and those whose seeds are gone."""

    born: int | None
    destroyed: tuple[int, ...]


class KeyRing:
    """The live epochs' seeds. `epoch_s` and `keep_s` bound the life of each: at most their sum."""

    def __init__(self, fd: int, epoch_s: float = 3600.0, keep_s: float = 7200.0) -> None:
        if keep_s > (SLOTS - 2) * epoch_s:
            raise ValueError(f"more than {SLOTS} keys would live at once")
        self.epoch_s, self.keep_s = epoch_s, keep_s
        self._fd = fd
        self._page = mmap.mmap(fd, PAGE)
        self._page.madvise(mmap.MADV_DONTDUMP)
        self._page.madvise(mmap.MADV_DONTFORK)
        with memoryview(self._page) as view:
            _lock(view)
        if self._page[: len(MAGIC)] != MAGIC:
            HEADER.pack_into(self._page, 0, MAGIC, 1)

    def live(self) -> tuple[int, ...]:
        """The epochs whose seeds exist, the newest first; the first is the one that hashes entries."""
        return tuple(sorted((epoch for _, epoch, _ in self._slots()), reverse=True))

    def seed(self, epoch: int) -> memoryview:
        """The seed itself, not a copy: released by the caller before the ring is closed."""
        (at,) = [at for at, found, _ in self._slots() if found == epoch]
        return memoryview(self._page)[at + SLOT.size : at + SLOT_BYTES]

    def rotate(self, now_s: float, needed: frozenset[int]) -> Rotation:
        """Destroy what is due, and begin a new epoch when the last one is over.

        `needed` are the epochs that open visits still belong to.
        """
        slots = list(self._slots())
        over = [(epoch, born_s) for _, epoch, born_s in slots if not 0 <= now_s - born_s < self.epoch_s]
        due = {epoch for epoch, born_s in over if epoch not in needed or self._outlived(born_s, now_s)}
        self._destroy(due)
        born = self._begin(now_s) if len(over) == len(slots) else None
        return Rotation(born, tuple(sorted(due)))

    def expire(self, now_s: float) -> None:
        """Destroy what has outlived its time, whoever needs it."""
        self._destroy({epoch for _, epoch, born_s in self._slots() if self._outlived(born_s, now_s)})

    def destroy_all(self) -> int:
        """Forget everyone, now. Returns how many keys there were."""
        epochs = set(self.live())
        self._destroy(epochs)
        return len(epochs)

    def close(self) -> None:
        """Let go of the page; if systemd does not hold it, it is gone."""
        self._page.close()
        os.close(self._fd)

    def __repr__(self) -> str:
        return f"KeyRing({len(self.live())} live)"

    def _slots(self) -> Iterator[tuple[int, int, float]]:
        """(offset, epoch, born_s) of every slot in use."""
        for at in PLACES:
            epoch, born_s = SLOT.unpack_from(self._page, at)
            if epoch:
                yield at, epoch, born_s

    def _outlived(self, born_s: float, now_s: float) -> bool:
        """Or born on another clock than this one, so that its age is unknown."""
        return not 0 <= now_s - born_s < self.epoch_s + self.keep_s

    def _begin(self, now_s: float) -> int:
        used = {at for at, _, _ in self._slots()}
        at = next(at for at in PLACES if at not in used)
        _, epoch = HEADER.unpack_from(self._page, 0)
        with memoryview(self._page)[at + SLOT.size : at + SLOT_BYTES] as seed:
            _fill_with_randomness(seed)
        HEADER.pack_into(self._page, 0, MAGIC, epoch + 1)
        SLOT.pack_into(self._page, at, epoch, now_s)
        return int(epoch)

    def _destroy(self, epochs: set[int]) -> None:
        for at, epoch, _ in list(self._slots()):
            if epoch in epochs:
                self._page[at : at + SLOT_BYTES] = bytes(SLOT_BYTES)


def open_ring(
    environ: Mapping[str, str], group: str, keep: Callable[[str, int], None], keep_s: float = 7200.0
) -> KeyRing:
    """The camera group's ring that systemd kept for us, else a new one that `keep(name, fd)` hands to it."""
    name = f"{NAME}-{group}"
    for passed, fd in _passed(environ):
        if passed != name:
            continue
        if _is_ours(fd):
            return KeyRing(fd, keep_s=keep_s)
        os.close(fd)
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, PAGE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    keep(name, fd)
    return KeyRing(fd, keep_s=keep_s)


def expire_kept(environ: Mapping[str, str], now_s: float) -> None:
    """Destroy those keys in systemd's keeping that have outlived their time.

    It comes first of all: a daemon that cannot start, such as for a wrong config, is started again and again,
    and must not keep its keys alive by that.
    """
    for _, fd in _passed(environ):
        if _is_ours(fd):
            with closing(KeyRing(os.dup(fd))) as ring:
                ring.expire(now_s)


def abandon_kept(
    environ: Mapping[str, str], groups: Collection[str], give_back: Callable[[str], None]
) -> int:
    """Destroy all keys of the camera groups that are no longer there, and `give_back(name)` their place in
    systemd's store. Returns how many keys there were."""
    destroyed = 0
    for name, fd in _passed(environ):
        if name.removeprefix(f"{NAME}-") not in groups and _is_ours(fd):
            with closing(KeyRing(fd)) as ring:
                destroyed += ring.destroy_all()
            give_back(name)
    return destroyed


def refuse_core_dumps() -> None:
    """No core file, no attaching by the same user: memory may hold codes and keys."""
    with contextlib.suppress(OSError, ValueError):  # in the sandbox LimitCORE= has done it already
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise AdapterError("refuse core dumps of", "this process", os.strerror(ctypes.get_errno()))


def refuse_plain_swap(root: Path = Path("/")) -> None:
    """AdapterError if memory can be written to a swap that is neither zram nor encrypted.

    The unit's MemorySwapMax=0 keeps this process out of any swap.
    """
    plain = [name for name in _swaps(root) if not _swap_forgets(name, root)]
    if plain and not _kept_out_of_swap(root):
        raise AdapterError(
            "keep face hashes out of",
            f"the swap on {', '.join(plain)}",
            "it is neither zram nor encrypted",
            "swapoff it, use zram, or set privacy.visits.plain_swap: true if you accept the risk",
        )


def _passed(environ: Mapping[str, str]) -> list[tuple[str, int]]:
    """The rings that systemd passed to this process, by their names (sd_listen_fds(3))."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    fds = range(FIRST_PASSED_FD, FIRST_PASSED_FD + int(environ.get("LISTEN_FDS", "0")))
    return [(name, fd) for fd, name in zip(fds, names, strict=False) if name.startswith(f"{NAME}-")]


def _is_ours(fd: int) -> bool:
    """A sealed memfd with our header; anything else under our name is not trusted."""
    os.set_inheritable(fd, False)
    try:
        sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:
        return False
    return sealed and os.fstat(fd).st_size == PAGE and os.pread(fd, len(MAGIC), 0) == MAGIC


def _lock(view: memoryview) -> None:
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    if libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(view))):
        cause = os.strerror(ctypes.get_errno())
        raise AdapterError("lock", "the keys in memory", cause, "raise LimitMEMLOCK= to 64K or more")


def _fill_with_randomness(view: memoryview) -> None:
    """getrandom(2) straight into the page: os.urandom would leave a copy on the heap."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    if libc.getrandom(ctypes.c_void_p(address), ctypes.c_size_t(len(view)), 0) != len(view):
        raise AdapterError("draw", "a seed", os.strerror(ctypes.get_errno()))


def _swaps(root: Path) -> list[str]:
    lines = (root / "proc/swaps").read_text().splitlines()[1:]
    return [line.split()[0] for line in lines]


def _kept_out_of_swap(root: Path) -> bool:
    """Whether our control group, or one above it, forbids swapping (cgroup v2)."""
    try:
        (group,) = [line[3:] for line in (root / "proc/self/cgroup").read_text().split() if line[:3] == "0::"]
        ours = root / "sys/fs/cgroup" / group.strip("/")
        limits = [place / "memory.swap.max" for place in (ours, *ours.parents)]
        return any(limit.exists() and limit.read_text().strip() == "0" for limit in limits)
    except (OSError, ValueError):
        return False


def _swap_forgets(name: str, root: Path) -> bool:
    """zram forgets with the power, unless it writes what is idle to a disk behind it; dm-crypt keeps the disk
    unreadable, be it under a partition or a file."""
    blocks = root / "sys/class/block" / Path(name).name
    if re.fullmatch(r"/dev/zram\d+", name):
        return _read(blocks / "backing_dev") in ("", "none")  # no such file: the kernel cannot write back
    if not blocks.exists():  # a swap file: the device of its file system
        try:
            device = os.stat(name).st_dev
        except OSError:
            return False
        blocks = root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    return _encrypted(blocks)


def _encrypted(block: Path) -> bool:
    if _read(block / "dm/uuid").startswith(CIPHERS):
        return True
    below = list((block / "slaves").glob("*"))
    return bool(below) and all(map(_encrypted, below))


def _read(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""
