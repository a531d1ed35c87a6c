"""The key ring with the real thing: a real memfd, a real lock, real descriptors passed between processes."""

from __future__ import annotations

import array
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters import keys
from edge.adapters.keys import KeyRing, open_ring, refuse_plain_swap
from edge.ports import AdapterError

HOUR = 3600.0
NOBODY = frozenset[int]()
NOWHERE: dict[str, str] = {}


def a_ring() -> KeyRing:
    """A ring without a service manager."""
    return open_ring(NOWHERE, "door", lambda name, fd: None)


def seed_of(ring: KeyRing, epoch: int) -> bytes:
    with ring.seed(epoch) as seed:
        return bytes(seed)


def test_the_first_step_makes_a_key() -> None:
    ring = a_ring()
    assert ring.rotate(0, NOBODY) == keys.Rotation(born=1, destroyed=())
    assert ring.live() == (1,)
    assert len(set(seed_of(ring, 1))) > 8
    ring.close()


def test_seeds_are_fresh_each_time_and_owe_nothing_to_the_clock_or_the_device() -> None:
    seeds = set()
    for _ in range(20):
        ring = a_ring()
        ring.rotate(0, NOBODY)
        seeds.add(seed_of(ring, 1))
        ring.close()
    assert len(seeds) == 20


def test_a_key_nobody_needs_dies_with_its_epoch() -> None:
    ring = a_ring()
    ring.rotate(0, NOBODY)
    assert ring.rotate(HOUR - 1, NOBODY) == keys.Rotation(born=None, destroyed=())
    assert ring.rotate(HOUR, NOBODY) == keys.Rotation(born=2, destroyed=(1,))
    ring.close()


def test_a_key_that_a_visit_needs_lives_on_but_never_longer_than_three_hours() -> None:
    ring = a_ring()
    needed = frozenset({1})
    ring.rotate(0, needed)
    assert ring.rotate(HOUR, needed).destroyed == ()
    assert 1 not in ring.rotate(3 * HOUR - 1, needed).destroyed
    assert 1 in ring.rotate(3 * HOUR, needed).destroyed
    ring.close()


def test_a_key_goes_as_soon_as_its_last_visit_is_closed() -> None:
    ring = a_ring()
    ring.rotate(0, NOBODY)
    assert ring.rotate(HOUR, frozenset({1})).destroyed == ()
    assert ring.rotate(HOUR + 60, NOBODY) == keys.Rotation(born=None, destroyed=(1,))
    ring.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 4 * HOUR), st.booleans()), max_size=30))
def test_however_time_jumps_no_more_than_four_keys_live_and_none_for_more_than_three_hours(
    steps: list[tuple[float, bool]],
) -> None:
    ring, now_s, born_s = a_ring(), 0.0, dict[int, float]()
    for wait_s, all_needed in steps:
        now_s += wait_s
        rotation = ring.rotate(now_s, frozenset(born_s) if all_needed else NOBODY)
        if rotation.born:
            born_s[rotation.born] = now_s
        assert 1 <= len(ring.live()) <= keys.SLOTS
        assert all(now_s - born_s[epoch] < 3 * HOUR for epoch in ring.live())
        assert now_s - born_s[ring.live()[0]] < HOUR
    ring.close()


def test_a_key_from_another_clock_is_destroyed_because_nobody_knows_its_age() -> None:
    """A recording's time runs ahead of the clock that a restart begins with."""
    ring = a_ring()
    ring.rotate(HOUR, NOBODY)
    assert ring.rotate(0, frozenset({1})) == keys.Rotation(born=2, destroyed=(1,))
    ring.close()


def test_destroying_overwrites_the_seed_in_the_memory_that_everyone_shares() -> None:
    ring = a_ring()
    ring.rotate(0, NOBODY)
    secret, other_holder = seed_of(ring, 1), os.dup(ring._fd)
    assert secret in os.pread(other_holder, keys.PAGE, 0)
    assert ring.destroy_all() == 1
    assert secret not in os.pread(other_holder, keys.PAGE, 0)
    assert not any(os.pread(other_holder, keys.PAGE, keys.HEADER.size))
    assert ring.live() == ()
    os.close(other_holder)
    ring.close()


def test_after_destruction_epochs_are_not_used_again() -> None:
    ring = a_ring()
    ring.rotate(0, NOBODY)
    ring.destroy_all()
    assert ring.rotate(1, NOBODY).born == 2
    ring.close()


def test_more_live_keys_than_slots_cannot_be_configured() -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, keys.PAGE)
    with pytest.raises(ValueError, match="more than 4 keys"):
        KeyRing(fd, epoch_s=60, keep_s=7200)
    os.close(fd)


def test_the_page_is_locked_and_left_out_of_dumps_and_of_children() -> None:
    ring = a_ring()
    smaps = Path("/proc/self/smaps").read_text()
    (page,) = re.findall(r"memfd:edged-keys-door.*?VmFlags: ([^\n]+)", smaps, re.DOTALL)
    assert {"lo", "dd", "sh", "dc"} <= set(page.split())
    ring.close()


def test_the_memory_cannot_be_cut_short_by_another_holder() -> None:
    ring = a_ring()
    with pytest.raises(PermissionError):
        os.ftruncate(ring._fd, 0)
    ring.close()


def test_a_ring_never_shows_a_seed() -> None:
    ring = a_ring()
    ring.rotate(0, NOBODY)
    assert repr(ring) == "KeyRing(1 live)"
    ring.close()


class Manager:
    """systemd's side of the file-descriptor store, by its protocol: a datagram with a descriptor."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(5)

    def receive(self) -> tuple[str, int]:
        message, (control, *_), *_ = self._socket.recvmsg(256, socket.CMSG_SPACE(4))
        (fd,) = array.array("i", control[2])
        return message.decode(), fd

    def close(self) -> None:
        self._socket.close()


CHILD = """
import os, signal, sys
from edge.adapters.keys import open_ring
from edge.adapters.systemd import Notifier
ring = open_ring(os.environ, "door", Notifier().keep)
rotation = ring.rotate(float(sys.argv[1]), frozenset(ring.live()))
print(rotation.born, ring.live(), bytes(ring.seed(ring.live()[-1])).hex(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def start(address: str, now_s: float, fd: int | None = None, name: str = "edged-keys-door") -> list[str]:
    """A daemon process as systemd starts it: its own LISTEN_PID, and the stored descriptor as number 3."""
    passed = () if fd is None else (3,)
    environ = {"NOTIFY_SOCKET": address, "LISTEN_FDNAMES": name, "LISTEN_FDS": str(len(passed))}
    ran = subprocess.run(
        ["sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', sys.executable, "-c", CHILD, str(now_s)],
        env={**os.environ, **environ},
        preexec_fn=(lambda: os.dup2(fd, 3) and None) if fd is not None else None,
        pass_fds=passed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == -9, ran.stderr
    return ran.stdout.split(maxsplit=1)


def test_keys_survive_kill_9_in_systemd_s_store_and_nowhere_else(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    born, first = start(manager.address, now_s=10)
    message, fd = manager.receive()
    assert (born, message) == ("1", "FDSTORE=1\nFDNAME=edged-keys-door")
    born, after_restart = start(manager.address, now_s=20, fd=fd)
    assert (born, after_restart) == ("None", first)
    os.close(fd)  # the service is stopped, or the power goes
    born, after_stop = start(manager.address, now_s=30)
    assert born == "1"
    assert after_stop != first
    manager.close()


def test_a_foreign_descriptor_under_our_name_is_not_trusted(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    planted = os.memfd_create(keys.NAME)  # not sealed: someone could cut it short
    os.pwrite(planted, keys.MAGIC + bytes(keys.PAGE - len(keys.MAGIC)), 0)
    born, _ = start(manager.address, now_s=10, fd=planted)
    assert born == "1"
    assert not any(os.pread(planted, keys.PAGE, keys.HEADER.size))
    os.close(planted)
    manager.close()


def test_a_descriptor_under_another_name_is_left_alone(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    start(manager.address, now_s=10)
    _, fd = manager.receive()
    assert start(manager.address, now_s=20, fd=fd, name="edged-keys-back")[0] == "1"
    os.close(fd)
    manager.close()


PASSED = """
import os, sys
from edge.adapters import keys

words = sys.argv[1:]
if words[0] == "run":  # a wrong config: nothing but the first steps of the daemon is done
    from edge.cli import main
    main(["run", "--config", "/nowhere", "--state-dir", "/nowhere"])
else:
    print(keys.abandon_kept(os.environ, words[1:], lambda name: print("given back", name)))
"""


def passed(fd: int, *words: str) -> str:
    """What a daemon process does that gets the ring of group `door` from systemd."""
    environ = {"LISTEN_FDNAMES": "edged-keys-door", "LISTEN_FDS": "1"}
    return subprocess.run(
        ["sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', sys.executable, "-c", PASSED, *words],
        env={**os.environ, **environ},
        preexec_fn=lambda: os.dup2(fd, 3) and None,
        pass_fds=(3,),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout


@pytest.mark.parametrize(("age_s", "kept"), [(3 * HOUR - 60, True), (3 * HOUR, False)])
def test_a_daemon_that_cannot_start_does_not_keep_its_keys_alive(age_s: float, kept: bool) -> None:
    """With a wrong config systemd tries for ever, and holds the descriptor all the while."""
    ring = a_ring()
    ring.rotate(time.monotonic() - age_s, NOBODY)
    passed(ring._fd, "run")
    assert (ring.live() != ()) == kept
    ring.close()


@pytest.mark.parametrize(
    ("groups", "told"), [(["door"], "0\n"), (["back"], "given back edged-keys-door\n1\n"), ([], None)]
)
def test_the_keys_of_a_camera_group_that_is_gone_are_destroyed(groups: list[str], told: str | None) -> None:
    """It was renamed in the config, or the tier is `count` now: nobody would ever rotate them."""
    ring = a_ring()
    ring.rotate(0, NOBODY)
    assert passed(ring._fd, "abandon", *groups) == (told or "given back edged-keys-door\n1\n")
    assert bool(ring.live()) == (groups == ["door"])
    ring.close()


def test_without_a_manager_that_listens_the_keys_live_as_long_as_the_process(tmp_path: Path) -> None:
    assert start(str(tmp_path / "nobody"), now_s=10)[0] == "1"


def test_a_hardened_process_leaves_no_core() -> None:
    script = (
        "import resource, ctypes; from edge.adapters.keys import refuse_core_dumps; refuse_core_dumps();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "(0, 0) 0"


def fake_root(directory: Path, *swaps: str) -> Path:
    (directory / "proc").mkdir()
    header = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    (directory / "proc/swaps").write_text(header + "".join(f"{swap}\tfile\t1\t0\t-2\n" for swap in swaps))
    return directory


def block(root: Path, place: str, uuid: str = "") -> Path:
    directory = root / "sys" / place
    (directory / "dm").mkdir(parents=True)
    (directory / "dm/uuid").write_text(uuid)
    return directory


@pytest.mark.parametrize(("behind", "fine"), [(None, True), ("none", True), ("/dev/loop0", False)])
def test_zram_is_fine_unless_it_writes_to_a_disk_behind_it(
    tmp_path: Path, behind: str | None, fine: bool
) -> None:
    """Some distributions set up zram with a file to which it writes what is idle."""
    root = fake_root(tmp_path, "/dev/zram0")
    if behind:
        (block(root, "class/block/zram0") / "backing_dev").write_text(f"{behind}\n")
    with nullcontext() if fine else pytest.raises(AdapterError, match="/dev/zram0"):
        refuse_plain_swap(root)


def test_a_swap_file_is_not_zram_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "zram0").touch()
    with pytest.raises(AdapterError, match="/zram0"):
        refuse_plain_swap(fake_root(tmp_path, str(tmp_path / "zram0")))


def test_the_kernel_s_own_list_of_swaps_can_be_read() -> None:
    ran = subprocess.run(
        ["/sbin/swapon", "--show=NAME", "--noheadings"], capture_output=True, text=True, check=True
    )
    assert keys._swaps(Path("/")) == ran.stdout.split()


def test_a_plain_partition_is_refused_with_its_name_and_the_way_out(tmp_path: Path) -> None:
    root = fake_root(tmp_path, "/dev/zram0", "/dev/mmcblk0p3")
    block(root, "class/block/mmcblk0p3")
    with pytest.raises(AdapterError, match=r"the swap on /dev/mmcblk0p3: .*zram.*plain_swap"):
        refuse_plain_swap(root)


@pytest.mark.parametrize(("limit", "fine"), [("0", True), ("max", False)])
def test_a_unit_that_may_not_swap_is_fine_on_any_swap(tmp_path: Path, limit: str, fine: bool) -> None:
    root = fake_root(tmp_path, "/dev/sda2")
    (root / "proc/self").mkdir()
    (root / "proc/self/cgroup").write_text("12:cpu:/\n0::/system.slice/edged.service\n")
    unit = root / "sys/fs/cgroup/system.slice/edged.service"
    unit.mkdir(parents=True)
    (unit / "memory.swap.max").write_text(f"{limit}\n")
    with nullcontext() if fine else pytest.raises(AdapterError, match="/dev/sda2"):
        refuse_plain_swap(root)


def test_dm_crypt_is_fine_even_under_a_logical_volume(tmp_path: Path) -> None:
    root = fake_root(tmp_path, "/dev/dm-0", "/dev/dm-1")
    block(root, "class/block/dm-0", "CRYPT-LUKS2-0123")
    block(root, "class/block/dm-1", "LVM-4567")
    block(root, "class/block/dm-1/slaves/dm-0", "CRYPT-LUKS2-0123")
    refuse_plain_swap(root)


def test_dm_integrity_finds_changes_and_hides_nothing(tmp_path: Path) -> None:
    root = fake_root(tmp_path, "/dev/dm-0")
    block(root, "class/block/dm-0", "CRYPT-INTEGRITY-0123")
    with pytest.raises(AdapterError, match="/dev/dm-0"):
        refuse_plain_swap(root)


def test_a_logical_volume_on_plain_disks_is_refused(tmp_path: Path) -> None:
    root = fake_root(tmp_path, "/dev/dm-1")
    block(root, "class/block/dm-1", "LVM-4567")
    block(root, "class/block/dm-1/slaves/sda1")
    with pytest.raises(AdapterError, match="/dev/dm-1"):
        refuse_plain_swap(root)


@pytest.mark.parametrize(("uuid", "fine"), [("CRYPT-LUKS2-0123", True), ("", False)])
def test_a_swap_file_is_as_safe_as_the_disk_under_it(tmp_path: Path, uuid: str, fine: bool) -> None:
    swap = tmp_path / "swapfile"
    swap.touch()
    device = swap.stat().st_dev
    root = fake_root(tmp_path, str(swap))
    block(root, f"dev/block/{os.major(device)}:{os.minor(device)}", uuid)
    if fine:
        refuse_plain_swap(root)
    else:
        with pytest.raises(AdapterError, match="swapfile"):
            refuse_plain_swap(root)
