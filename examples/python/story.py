"""dirkv in Python: open, create, upsert a batch, swap, list, expire, and a lock that goes from one process to another.

    python3 story.py /tmp/a-new-directory

The module dirkv.py beside it loads the C library by ctypes.
"""

import subprocess
import sys
import time
from contextlib import contextmanager

import dirkv

HOUR = 3600 * dirkv.SECOND


def tell(what, text):
    print(f"{what:14} {text}", flush=True)


@contextmanager
def refused(status, what):
    """What is done inside must be refused with this status."""
    try:
        yield
    except dirkv.Error as error:
        if error.status != status:
            raise
        tell(what, error)
    else:
        raise SystemExit(f"{what} wasn't refused")


def values(store):
    # A value lives in a bucket under a key. Create puts it only if none is there.
    store.create("shop/fruit", "apple", b"3")
    tell("create", "apple = 3")
    with refused("ALREADY_EXISTS", "create again"):
        store.create("shop/fruit", "apple", b"8")

    # A batch happens as a whole or not at all, whoever looks and whatever crashes.
    store.upsert_items("shop/fruit", [("fig", b"7"), ("pear", b"5"), ("plum", b"9")])
    tell("batch", "fig, pear and plum at once")

    # Sell one apple. If somebody else was quicker, the value isn't 3 any more, and the swap is refused.
    store.compare_and_swap("shop/fruit", "apple", b"2", b"3")
    tell("swap", "apple from 3 to 2")
    with refused("COMPARE_FAILED", "swap again"):
        store.compare_and_swap("shop/fruit", "apple", b"2", b"3")

    tell("get", "apple = " + store.get("shop/fruit", "apple").decode())
    # However long the list: one call brings all of it, and Python takes it apart.
    tell("list", " ".join(f"{item.name}={item.value.decode()}" for item in store.items("shop/fruit")))


def expire(store, path):
    store.upsert("shop", "offer", b"half price", ttl=HOUR)
    tell("offer today", store.get("shop", "offer").decode())
    # One process may open a store several times; this handle lives by another clock.
    with dirkv.Store(path, clock=lambda: time.time_ns() + 24 * HOUR) as tomorrow:
        with refused("NOT_FOUND", "offer tomorrow"):
            tomorrow.get("shop", "offer")


def lock(store, path):
    # A lock is a lease: should its holder die, it ends by itself, here after 30 s. The fence is a number that only grows:
    # who writes somewhere else under the lock shows it there, so that a holder who came too late is recognized.
    with store.lock("till", 30 * dirkv.SECOND, wait=0) as fence:
        tell("first", f"has the till, fence {fence}")
        # A process of its own: a mere fork could not use this one's store.
        second = subprocess.Popen([sys.executable, __file__, path, "second"], stdout=subprocess.PIPE, text=True)
        for line in second.stdout:
            if line == "second waits\n":
                break
            print(line, end="")
        tell("first", "gives it back")
    print(second.stdout.read(), end="")
    if second.wait() != 0:
        raise SystemExit("the second process failed")


def second_process(path):
    """It tries, sees that the till is taken, says so, and waits for it."""
    with dirkv.Store(path) as store:
        with refused("TIMEOUT", "second tries"):
            store.acquire("till", 30 * dirkv.SECOND, wait=0)
        print("second waits", flush=True)
        with store.lock("till", 30 * dirkv.SECOND, wait=60 * dirkv.SECOND) as fence:
            tell("second", f"has the till, fence {fence}")


def story(path):
    with dirkv.Store(path) as store:
        tell("open", f"dirkv {dirkv.version()}")
        values(store)
        expire(store, path)
        lock(store, path)
    print("all is well")


if len(sys.argv) == 2:
    story(sys.argv[1])
elif len(sys.argv) == 3 and sys.argv[2] == "second":
    second_process(sys.argv[1])
else:
    raise SystemExit("usage: story.py DIRECTORY")
