"""The library as Python sees it: through the module of examples/python, with threads that share one store."""

import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples" / "python"))
import dirkv  # noqa: E402

MINUTE = 60 * dirkv.SECOND


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def open(self, **options):
        store = dirkv.Store(self.folder.name + "/store", **options)
        self.addCleanup(self.closed, store)
        return store

    def closed(self, store):
        try:
            store.close()
        except dirkv.Error as error:
            self.assertEqual(error.status, "CLOSED")

    def refused(self, status, named, call, *arguments):
        """It is refused with this status, and the message names the thing concerned."""
        with self.assertRaises(dirkv.Error) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.status, status, caught.exception)
        self.assertIn(named, str(caught.exception))


class Values(Case):
    def test_statuses(self):
        s = self.open()
        revision = s.create("b", "k", b"1")
        self.refused("ALREADY_EXISTS", '"k"', s.create, "b", "k", b"2")
        self.refused("NOT_FOUND", '"other"', s.get, "b", "other")
        self.refused("NOT_FOUND", '"other"', s.delete, "b", "other")
        self.refused("NOT_FOUND", '"nothing"', s.delete_bucket, "", "nothing")
        self.refused("COMPARE_FAILED", '"k"', s.compare_and_swap, "b", "k", b"2", b"0")
        self.refused("COMPARE_FAILED", '"k"', s.put_if_revision, "b", "k", b"2", revision + 1)
        self.assertGreater(s.put_if_revision("b", "k", b"2", revision), revision)
        self.refused("BAD_PARAMETER", "TTL", s.upsert, "b", "k", b"", -1)
        self.refused("LIMIT_EXCEEDED", "", s.upsert, "b", "large", bytes((64 << 20) + 1))
        self.refused("BAD_PARAMETER", "colour", lambda: self.open(colour="blue"))
        self.refused("UNSUPPORTED", "sync", lambda: self.open(sync="os"))
        self.refused("READ_ONLY", "", self.open(read_only="true").upsert, "b", "k", b"")
        s.check()

    def test_bad_names(self):
        s = self.open()
        for bad in "", ".", "..", "a/b", "a\0b", "a\nb", "x" * 1025:
            with self.subTest(bad):
                self.refused("BAD_PARAMETER", "", s.upsert, "b", bad, b"")

    def test_values_of_all_kinds(self):
        s = self.open()
        for value in b"", b"\0", b"a\0b", bytes(range(256)) * 4096:
            s.upsert("b", "k", value)
            self.assertEqual(s.get("b", "k"), value)

    def test_expiry(self):
        now = [time.time_ns()]
        s = self.open(clock=lambda: now[0])
        s.create("b", "k", b"v", MINUTE)
        now[0] += MINUTE - 1
        self.assertEqual(s.get("b", "k"), b"v")
        s.touch("b", "k", MINUTE)
        now[0] += MINUTE - 1
        self.assertEqual(s.get("b", "k"), b"v")
        now[0] += 1
        self.refused("NOT_FOUND", '"k"', s.get, "b", "k")
        self.assertEqual(s.keys(""), [])
        s.create("b", "k", b"again")


class Lists(Case):
    def test_lists(self):
        s = self.open()
        revision = s.upsert_items("x/y", [("b", b"2"), ("a", b"0"), ("ü", b"", MINUTE), ("a", b"1")])
        s.upsert("x/y/a", "deep", b"3")

        def names(*arguments, **options):
            return [(entry.name, entry.kind) for entry in s.keys(*arguments, **options)]

        key, bucket = dirkv.KEY, dirkv.BUCKET
        self.assertEqual(names(""), [("x", bucket)])
        self.assertEqual(names("x/y"), [("a", key), ("a", bucket), ("b", key), ("ü", key)])
        self.assertEqual(names("x/y", after="a"), [("b", key), ("ü", key)])
        self.assertEqual(names("x/y", after="aa", limit=1), [("b", key)])
        self.assertEqual(names("nothing"), [])

        items = s.items("x/y")
        self.assertEqual([(item.name, item.value) for item in items], [("a", b"1"), ("b", b"2"), ("ü", b"")])
        self.assertEqual({item.revision for item in items}, {revision})
        self.assertEqual([item.time == 0 for item in items], [True, True, False])
        self.assertAlmostEqual(items[2].time, time.time_ns() + MINUTE, delta=MINUTE / 2)
        self.assertEqual([item.name for item in s.items("x", recursive=True)], ["y/a", "y/a/deep", "y/b", "y/ü"])

        s.delete_bucket("x", "y")
        self.assertEqual(s.items("", recursive=True), [])

    def test_packed_block(self):
        items = [("a", b"", 0), ("name", b"12345678", 7), ("ü", b"\0", 0)]
        block = dirkv.pack(items)
        self.assertEqual(len(block) % 8, 0)
        self.assertEqual([(entry.name, entry.value, entry.time) for entry in dirkv.unpack(block)], items)
        # What Python packs the library takes, and a block that is cut it refuses.
        s = self.open()
        s.upsert_items("b", items[:1])
        for cut in 0, 7, 9, len(block) - 1:
            with self.subTest(cut):
                self.refused("BAD_PARAMETER", "block",
                             lambda: dirkv._number("upsert_packed", s._b, b"b", block[:cut], cut))

    def test_ten_thousand(self):
        s = self.open()
        batch = [(f"{i:05}", bytes([i % 256]) * (i % 50)) for i in range(10_000)]
        s.upsert_items("b", batch)
        self.assertEqual([(item.name, item.value) for item in s.items("b")], batch)


class Locks(Case):
    def test_locks(self):
        s = self.open()
        fence = s.acquire("l", MINUTE, 0)
        self.refused("TIMEOUT", '"l"', s.acquire, "l", MINUTE, 1_000_000)
        (lock,) = s.locks()
        self.assertEqual((lock.kind, lock.name, lock.revision, lock.pid), (dirkv.LOCK, "l", fence, os.getpid()))
        s.renew("l", fence, MINUTE)
        self.refused("COMPARE_FAILED", '"l"', s.release, "l", fence + 1)
        s.release("l", fence)
        self.refused("NOT_FOUND", '"l"', s.release, "l", fence)
        self.refused("LOCK_LOST", '"l"', s.renew, "l", fence, MINUTE)
        self.refused("BAD_PARAMETER", "max_lock_ttl", s.acquire, "l", 60 * MINUTE, 0)
        with s.lock("l", MINUTE) as later:
            self.assertGreater(later, fence)
        self.assertEqual(s.locks(), [])

    def test_the_lease_of_a_dead_process_ends(self):
        s = self.open()
        program = "import dirkv, os, sys; dirkv.Store(sys.argv[1]).acquire('l', 300_000_000); os._exit(0)"
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(dirkv.__file__)}
        subprocess.run([sys.executable, "-c", program, self.folder.name + "/store"], env=environment, check=True)
        self.assertGreater(s.acquire("l", MINUTE, MINUTE), 0)


class Threads(Case):
    def test_one_store_for_many(self):
        s = self.open()
        s.create("b", "n", b"0")
        surprises = []

        def count():
            done = 0
            while done < 50:
                try:
                    old = s.get("b", "n")
                    s.compare_and_swap("b", "n", b"%d" % (int(old) + 1), old)
                    done += 1
                except dirkv.Error as error:
                    if error.status != "COMPARE_FAILED":
                        surprises.append(error)
                        return

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(surprises, [])
        self.assertEqual(s.get("b", "n"), b"400")

    def test_close_wakes_who_waits(self):
        s = self.open()
        s.acquire("l", MINUTE, 0)
        ends = []

        def wait():
            try:
                ends.append(s.acquire("l", MINUTE))
            except dirkv.Error as error:
                ends.append(error.status)

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.05)
        self.assertEqual(ends, [])
        s.close()
        waiter.join(20)
        self.assertEqual(ends, ["CLOSED"])
        self.refused("CLOSED", "", s.get, "b", "k")
        self.refused("CLOSED", "", s.close)

    def test_a_fork_is_refused_and_may_open_its_own(self):
        s = self.open()
        s.upsert("b", "k", b"v")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                try:
                    s.get("b", "k")
                except dirkv.Error as error:
                    own = dirkv.Store(self.folder.name + "/store")
                    code = 0 if error.status == "FORKED" and own.get("b", "k") == b"v" else 2
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertEqual(s.get("b", "k"), b"v")


if __name__ == "__main__":
    unittest.main()
