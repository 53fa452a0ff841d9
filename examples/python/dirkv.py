"""The C library libdirkv through ctypes: nothing is compiled, the shared library is loaded when the program runs.

The header dirkv.h tells what each call means. Here a status becomes an exception, lists come as Python objects, decoded from
one packed block, and locks are `with` blocks. The library is looked for in the folder DIRKV_LIB_DIR, in the repository
that this file lies in, and then where the system has its libraries.
"""

import ctypes
import os
import struct
from collections import namedtuple
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

STATUSES = ("OK NOT_FOUND ALREADY_EXISTS COMPARE_FAILED BAD_PARAMETER TIMEOUT LOCK_LOST NO_SPACE READ_ONLY IO CORRUPT "
            "UNSUPPORTED LIMIT_EXCEEDED BUFFER_TOO_SMALL CLOSED FORKED COMPACTED UNCERTAIN INTERNAL").split()
PUT, KEY, BUCKET, ITEM, LOCK = range(5)  # the kinds of a packed block's entries
SECOND = 1_000_000_000  # times are nanoseconds

Entry = namedtuple("Entry", "kind pid name value time revision")
CLOCK = ctypes.CFUNCTYPE(c_int64, c_void_p)


class Buf(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("len", c_size_t)]


class Error(Exception):
    """What a call answered when it wasn't OK: .status is its name, as in the header but without DIRKV_."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


def _load():
    here = os.path.dirname(os.path.abspath(__file__))
    for folder in os.environ.get("DIRKV_LIB_DIR"), os.path.join(here, "..", "..", "target", "release"):
        if folder and os.path.exists(os.path.join(folder, "libdirkv.so")):
            return ctypes.CDLL(os.path.join(folder, "libdirkv.so"))
    return ctypes.CDLL("libdirkv.so.0")


_lib = _load()
_handle, _name, _bytes = c_void_p, c_char_p, (c_char_p, c_size_t)
_out64 = POINTER(c_uint64)
_CALLS = {  # what each takes, but for the error at its end
    "params_set": (c_void_p, _name, _name),
    "params_set_clock": (c_void_p, CLOCK, c_void_p),
    "open": (c_void_p, POINTER(c_void_p)),
    "close": (_handle,),
    "create_val": (_handle, _name, _name, *_bytes, c_int64, _out64),
    "upsert_val": (_handle, _name, _name, *_bytes, c_int64, _out64),
    "compare_and_swap_val": (_handle, _name, _name, *_bytes, *_bytes, c_int64, _out64),
    "put_if_revision": (_handle, _name, _name, *_bytes, c_uint64, c_int64, _out64),
    "upsert_packed": (_handle, _name, *_bytes, _out64),
    "touch": (_handle, _name, _name, c_int64, _out64),
    "get_val": (_handle, _name, _name, POINTER(Buf)),
    "delete_key": (_handle, _name, _name),
    "delete_bucket": (_handle, _name, _name),
    "get_keys": (_handle, _name, _name, c_uint64, POINTER(c_void_p)),
    "get_items": (_handle, _name, _name, c_uint64, c_uint32, POINTER(c_void_p)),
    "get_locks": (_handle, POINTER(c_void_p)),
    "list_packed": (c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    "acquire_lock": (_handle, _name, c_int64, c_int64, _out64),
    "renew_lock": (_handle, _name, c_uint64, c_int64),
    "release_lock": (_handle, _name, c_uint64),
    "check": (_handle,),
}
for _call, _types in _CALLS.items():
    _function = getattr(_lib, "dirkv_" + _call)
    _function.argtypes, _function.restype = [*_types, POINTER(c_void_p)], c_int32
for _call in "error_message", "version":
    getattr(_lib, "dirkv_" + _call).restype = c_char_p
_lib.dirkv_params_new.restype = c_void_p
for _call in "error_message", "error_free", "params_free", "list_free":
    getattr(_lib, "dirkv_" + _call).argtypes = [c_void_p]
_lib.dirkv_buf_free.argtypes = [POINTER(Buf)]


def _do(call, *arguments):
    """Makes a call and raises what it says. ctypes lets other threads run meanwhile."""
    err = c_void_p()
    status = getattr(_lib, "dirkv_" + call)(*arguments, byref(err))
    if status != 0:
        try:
            name = STATUSES[status] if status < len(STATUSES) else str(status)
            raise Error(name, _lib.dirkv_error_message(err).decode())
        finally:
            _lib.dirkv_error_free(err)


def _text(name):
    """A name for C. A NUL would end it early; the library refuses every control character, so another stands for it."""
    return name.replace("\0", "\1").encode()


def _number(call, *arguments):
    """The same, for a call whose result is a number: a revision or a fence."""
    number = c_uint64()
    _do(call, *arguments, byref(number))
    return number.value


def version():
    return _lib.dirkv_version().decode()


def unpack(block):
    """Decodes a packed block: two numbers, then the entries, each padded to 8 bytes (see the header)."""
    layout, count = struct.unpack_from("<II", block)
    if layout != 1:
        raise ValueError(f"packed block of layout {layout}")
    entries, at = [], 8
    for _ in range(count):
        kind, pid, name_len, value_len, time, revision = struct.unpack_from("<IIIIqQ", block, at)
        name = at + 32
        value = name + name_len + 1
        end = value + value_len
        entries.append(Entry(kind, pid, block[name:value - 1].decode(), block[value:end], time, revision))
        at = (end + 7) // 8 * 8
    if at != len(block):
        raise ValueError("packed block with bytes left over")
    return entries


def pack(items):
    """The other way, for a batch: (name, value) or (name, value, ttl)."""
    parts = [struct.pack("<II", 1, len(items))]
    for name, value, *ttl in items:
        name = name.encode()
        entry = struct.pack("<IIIIqQ", PUT, 0, len(name), len(value), *ttl or [0], 0) + name + b"\0" + value
        parts.append(entry + bytes(-len(entry) % 8))
    return b"".join(parts)


def _entries(call, *arguments):
    made, data, size = c_void_p(), c_void_p(), c_size_t()
    _do(call, *arguments, byref(made))
    try:
        _do("list_packed", made, byref(data), byref(size))
        return unpack(ctypes.string_at(data, size.value))
    finally:
        _lib.dirkv_list_free(made)


class Store:
    """An open store. Any number of threads may use it. Times are nanoseconds, a ttl of 0 is for ever."""

    def __init__(self, path, clock=None, **params):
        self._b = c_void_p()
        self._clock = CLOCK(lambda _: clock()) if clock else None  # C calls it: it must live as long as the store
        bag = c_void_p(_lib.dirkv_params_new())
        try:
            for name, value in {"path": path, **params}.items():
                _do("params_set", bag, _text(name), _text(str(value)))
            if clock:
                _do("params_set_clock", bag, self._clock, None)
            _do("open", bag, byref(self._b))
        finally:
            _lib.dirkv_params_free(bag)

    def close(self):
        _do("close", self._b)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def create(self, bucket, key, value, ttl=0):
        return _number("create_val", self._b, _text(bucket), _text(key), value, len(value), ttl)

    def upsert(self, bucket, key, value, ttl=0):
        return _number("upsert_val", self._b, _text(bucket), _text(key), value, len(value), ttl)

    def upsert_items(self, bucket, items):
        block = pack(items)
        return _number("upsert_packed", self._b, _text(bucket), block, len(block))

    def compare_and_swap(self, bucket, key, value, previous, ttl=0):
        return _number("compare_and_swap_val", self._b, _text(bucket), _text(key), value, len(value), previous,
                       len(previous), ttl)

    def put_if_revision(self, bucket, key, value, expected, ttl=0):
        return _number("put_if_revision", self._b, _text(bucket), _text(key), value, len(value), expected, ttl)

    def touch(self, bucket, key, ttl=0):
        return _number("touch", self._b, _text(bucket), _text(key), ttl)

    def get(self, bucket, key):
        buf = Buf()
        _do("get_val", self._b, _text(bucket), _text(key), byref(buf))
        try:
            return ctypes.string_at(buf.data, buf.len) if buf.len else b""
        finally:
            _lib.dirkv_buf_free(byref(buf))

    def delete(self, bucket, key):
        _do("delete_key", self._b, _text(bucket), _text(key))

    def delete_bucket(self, parent, bucket):
        _do("delete_bucket", self._b, _text(parent), _text(bucket))

    def keys(self, bucket, after=None, limit=0):
        return _entries("get_keys", self._b, _text(bucket), after and _text(after), limit)

    def items(self, bucket, after=None, limit=0, recursive=False):
        return _entries("get_items", self._b, _text(bucket), after and _text(after), limit, int(recursive))

    def locks(self):
        return _entries("get_locks", self._b)

    def acquire(self, token, ttl, wait=-1):
        return _number("acquire_lock", self._b, _text(token), ttl, wait)

    def renew(self, token, fence, ttl):
        _do("renew_lock", self._b, _text(token), fence, ttl)

    def release(self, token, fence):
        _do("release_lock", self._b, _text(token), fence)

    @contextmanager
    def lock(self, token, ttl, wait=-1):
        fence = self.acquire(token, ttl, wait)
        try:
            yield fence
        finally:
            self.release(token, fence)

    def check(self):
        _do("check", self._b)
