#!/usr/bin/env python3
"""Print what a running INOS node does, from its shared memory, as it happens.

    python3 examples/python/arena_watch.py ~/.local/share/inos/arena.sock

Needs nothing but Python 3.8 or later on Linux. The offsets come from inos_layout.py, which
is generated beside the Go, Rust, TypeScript and C ones; docs/arena.md explains them.

How it works. A Unix socket hands this process the file of the arena, opened
read-only, and keeps a lease for as long as the connection lasts. The file is mapped
once. From then on reading costs no system call: `struct` takes numbers out of the mapping.

How it waits. An epoch cell is a 32-bit counter that the node raises after a change.
This process cannot write to the mapping, so it asks the node to count it as a sleeper
("watch"), and then sleeps in the system's futex on the counter itself, through ctypes, one
thread per cell: no polling, no traffic on the socket. If the counter moved between the
look and the sleep, the futex returns at once, so nothing is missed.

How it avoids torn reads. A job's slot has a sequence that is odd during a write; the
copy counts if the sequence was even and did not change. Events and states have the
same kind of check. Python's reads are in order on x86; on other processors a copy could
in theory be judged whole too early, and a program that acts on it should use C or Go.
"""
import argparse
import array
import ctypes
import json
import mmap
import os
import platform
import queue
import socket
import struct
import sys
import threading

import inos_layout as L

FUTEX_CALL = {"x86_64": 202, "aarch64": 98, "riscv64": 98}.get(platform.machine())
FUTEX_WAIT = 0
JOB_STATES = ["queued", "quoted", "running", "done", "failed", "stopped"]


class Refused(Exception):
    """The node said no; the text says why."""


class Lease:
    """A connection to the attach socket."""

    def __init__(self, path, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.arena = self.ask(L.OP_ATTACH, name)

    def ask(self, op, name="", cell=0):
        """Sends one request and returns the Memory that came with the answer, or None."""
        text = name.encode()
        request = bytearray(L.ATTACH_REQUEST_SIZE)
        put32(request, L.ATTACH_REQUEST_AT_VERSION, L.VERSION)
        put32(request, L.ATTACH_REQUEST_AT_OP, op)
        put32(request, L.ATTACH_REQUEST_AT_ROLE, L.ROLE_READ)
        put32(request, L.ATTACH_REQUEST_AT_CELL, cell)
        put32(request, L.ATTACH_REQUEST_AT_NAME_LENGTH, len(text))
        request[L.ATTACH_REQUEST_AT_NAME:L.ATTACH_REQUEST_AT_NAME + len(text)] = text
        self.sock.sendall(request)
        answer, files = self.receive()
        if u32(answer, L.ATTACH_ANSWER_AT_FAILED):
            size = u32(answer, L.ATTACH_ANSWER_AT_MESSAGE_LENGTH)
            raise Refused(answer[L.ATTACH_ANSWER_AT_MESSAGE:][:size].decode())
        return Memory(files[0], u64(answer, L.ATTACH_ANSWER_AT_SIZE)) if files else None

    def receive(self):
        files = array.array("i")
        answer = b""
        while len(answer) < L.ATTACH_ANSWER_SIZE:
            part, control, _, _ = self.sock.recvmsg(
                L.ATTACH_ANSWER_SIZE - len(answer), socket.CMSG_SPACE(files.itemsize))
            if not part:
                raise Refused("the node hung up")
            answer += part
            for level, kind, data in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    files.frombytes(data[:len(data) - len(data) % files.itemsize])
        return answer, files

    def gone(self):
        """Blocks until the node ends the lease."""
        try:
            while self.sock.recv(L.ATTACH_ANSWER_SIZE):
                pass
        except ConnectionError:
            pass


class Memory:
    """A file mapped read-only."""

    def __init__(self, file, size):
        self.map = mmap.mmap(file, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        os.close(file)
        # mmap keeps its address to itself; the buffer protocol tells it.
        view = Buffer()
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(self.map), ctypes.byref(view), 0)
        self.view, self.address = view, view.buf

    def sleep(self, at, seen):
        """Sleeps until the 32-bit word at offset `at` is not `seen`; may return early."""
        LIBC.syscall(FUTEX_CALL, ctypes.c_void_p(self.address + at), FUTEX_WAIT,
                     ctypes.c_uint32(seen), None, None, 0)


class Buffer(ctypes.Structure):
    """CPython's Py_buffer."""
    _fields_ = [("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t),
                ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
                ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
                ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p)]


LIBC = ctypes.CDLL(None, use_errno=True)


def u32(b, at):
    return struct.unpack_from("<I", b, at)[0]


def u64(b, at):
    return struct.unpack_from("<Q", b, at)[0]


def put32(b, at, value):
    struct.pack_into("<I", b, at, value)


def text(record, at, length, limit):
    return bytes(record[at:at + min(length, limit)]).decode("utf-8", "replace")


def record(b, at, size):
    """Copies a record whose first word is a sequence; None if it is empty or stays in change."""
    for _ in range(1000):
        before = u32(b, at)
        if before == 0:
            return None
        copy = b[at:at + size]
        if before % 2 == 0 and u32(b, at) == before:
            return copy
    return None


def jobs(b):
    """Yields (order, id, state, method, name, gas) of every recent job."""
    for i in range(L.JOBS_COUNT):
        at = L.JOBS_OFFSET + i * L.JOBS_STRIDE
        if u32(b, at) == 0:
            return  # slots are first used in order
        slot = record(b, at, L.JOB_SLOT_SIZE)
        if slot is None or not u64(slot, L.JOB_SLOT_AT_ORDER):
            continue
        state = slot[L.JOB_SLOT_AT_STATE]
        yield (u64(slot, L.JOB_SLOT_AT_ORDER), bytes(slot[L.JOB_SLOT_AT_ID:][:16]).hex(),
               JOB_STATES[state] if state < len(JOB_STATES) else str(state),
               text(slot, L.JOB_SLOT_AT_METHOD, u32(slot, L.JOB_SLOT_AT_METHOD_LENGTH), L.JOB_SLOT_METHOD_BYTES),
               text(slot, L.JOB_SLOT_AT_NAME, u32(slot, L.JOB_SLOT_AT_NAME_LENGTH), L.JOB_SLOT_NAME_BYTES),
               u64(slot, L.JOB_SLOT_AT_GAS))


def metrics(b):
    """Returns every metric by name. Gauges are signed."""
    out = {}
    for i in range(L.METRICS_COUNT):
        at = L.METRICS_OFFSET + i * L.METRICS_STRIDE
        kind = u32(b, at + L.METRIC_SLOT_AT_KIND)
        if kind == 0:
            break
        name = text(b, at + L.METRIC_SLOT_AT_NAME, u32(b, at + L.METRIC_SLOT_AT_NAME_LENGTH), L.METRIC_SLOT_NAME_BYTES)
        out[name] = struct.unpack_from("<q" if kind == 2 else "<Q", b, at + L.METRIC_SLOT_AT_VALUE)[0]
    return out


class Events:
    """A position in the event ring, at the end of what is there now."""

    def __init__(self, b):
        self.b = b
        self.at = u64(b, L.EVENT_LOG_OFFSET + L.EVENT_CONTROL_AT_TAIL)

    def bytes(self, at, n):
        at %= L.EVENTS_BYTES
        first = self.b[L.EVENTS_OFFSET + at:L.EVENTS_OFFSET + min(at + n, L.EVENTS_BYTES)]
        return first + self.b[L.EVENTS_OFFSET:L.EVENTS_OFFSET + n - len(first)]

    def new(self):
        """Yields (number, type, data) of the events since the last call."""
        control = L.EVENT_LOG_OFFSET
        while self.at != u64(self.b, control + L.EVENT_CONTROL_AT_TAIL):
            frame = self.bytes(self.at, L.EVENT_FRAME_SIZE)
            kind, data = u32(frame, L.EVENT_FRAME_AT_TYPE_LENGTH), u32(frame, L.EVENT_FRAME_AT_DATA_LENGTH)
            size = L.EVENT_FRAME_SIZE + kind + data
            body = self.bytes(self.at + L.EVENT_FRAME_SIZE, min(kind + data, L.EVENTS_BYTES))
            if u64(self.b, control + L.EVENT_CONTROL_AT_INTENT) - self.at > L.EVENTS_BYTES:
                self.at = u64(self.b, control + L.EVENT_CONTROL_AT_OLDEST)  # the writer came round
                continue
            self.at += -(-size // 8) * 8
            yield u64(frame, L.EVENT_FRAME_AT_SEQUENCE), body[:kind].decode("utf-8", "replace"), body[kind:]


class State:
    """A named state, in the arena or in memory of its own."""

    def __init__(self, lease, name):
        self.memory, self.at, self.name = lease.arena, None, name
        b = lease.arena.map
        for i in range(L.STATES_COUNT):
            slot = record(b, L.STATES_OFFSET + i * L.STATES_STRIDE, L.STATE_SLOT_SIZE)
            if slot and text(slot, L.STATE_SLOT_AT_NAME, u32(slot, L.STATE_SLOT_AT_NAME_LENGTH), L.STATE_SLOT_NAME_BYTES) == name:
                self.at = u64(slot, L.STATE_SLOT_AT_OFFSET)
                if u32(slot, L.STATE_SLOT_AT_REGION):
                    self.memory, self.at = lease.ask(L.OP_OPEN, name), 0
                break
        if self.at is None:
            raise Refused("no state is called " + name)
        self.half = u64(self.memory.map, self.at + L.STATE_CONTROL_AT_HALF)
        self.cell = self.at + L.STATE_CONTROL_AT_CELL

    def read(self):
        """Returns (version, bytes), never parts of two versions."""
        b, padded = self.memory.map, -(-self.half // L.LINE) * L.LINE
        while True:
            version = u32(b, self.cell)
            length = u64(b, self.at + (L.STATE_CONTROL_AT_LENGTH1 if version & 1 else L.STATE_CONTROL_AT_LENGTH0))
            start = self.at + L.STATE_CONTROL_SIZE + (version & 1) * padded
            copy = b[start:start + min(length, self.half)]
            whole = (u32(b, self.at + L.STATE_CONTROL_AT_INTENT) - version) & 0xFFFFFFFF <= 1
            if u32(b, self.at + L.STATE_CONTROL_AT_MAGIC) != L.STATE_MAGIC:  # goes before the last version comes
                raise Refused(self.name + " was removed")
            if whole:
                return version, copy


def watch(memory, at, what, moved):
    """Puts `what` into the queue `moved` whenever the cell at offset `at` moves."""
    seen = None
    while True:
        now = u32(memory.map, at)
        if now != seen:
            seen = now
            moved.put(what)
        else:
            memory.sleep(at, seen)


def main():
    p = argparse.ArgumentParser(description="Print what a node does, from its shared memory.")
    p.add_argument("socket", help="arena.sock in the node's data folder")
    p.add_argument("--state", default="node/work", help="name of a state buffer to print")
    p.add_argument("--metric", action="append", help="print this metric when it moved; all by default")
    options = p.parse_args()
    if FUTEX_CALL is None or not sys.platform.startswith("linux"):
        p.error("this example needs Linux on x86-64, arm64 or riscv64")
    try:
        lease = Lease(options.socket, "arena_watch.py")
        state = State(lease, options.state)
        b = lease.arena.map
        moved = queue.SimpleQueue()
        cells = {L.CELL_JOBS: "jobs", L.CELL_EVENTS: "events"}
        for cell in cells:
            lease.ask(L.OP_WATCH, cell=cell)
        lease.ask(L.OP_WATCH, options.state)
        events = Events(b)
    except (Refused, OSError) as e:
        sys.exit("arena_watch: " + str(e))
    print("attached: {} MiB, layout version {}".format(
        u64(b, L.ARENA_HEADER_AT_SIZE) >> 20, u32(b, L.ARENA_HEADER_AT_VERSION)), flush=True)
    for cell, what in cells.items():
        threading.Thread(target=watch, args=(lease.arena, L.EPOCHS_OFFSET + cell * L.EPOCHS_STRIDE, what, moved), daemon=True).start()
    threading.Thread(target=watch, args=(state.memory, state.cell, "state", moved), daemon=True).start()
    threading.Thread(target=lambda: (lease.gone(), moved.put(None)), daemon=True).start()
    known, counted = {}, metrics(b)
    while True:
        what = moved.get()
        if what is None:
            break
        if what == "jobs":
            for order, job, status, method, name, gas in sorted(jobs(b)):
                if known.get(job) != (status, gas):
                    known[job] = (status, gas)
                    print("job     {} {:8} {} {} gas {}".format(job[:8], status, method, name, gas))
        elif what == "events":
            for number, kind, data in events.new():
                print("event   {} {} {}".format(number, kind, data.decode("utf-8", "replace")))
        else:
            try:
                version, value = state.read()
            except Refused as e:
                print("state   " + str(e), flush=True)
                continue  # its writer ended; the node may go on
            if version == 0:
                continue  # nothing published yet
            try:
                value = json.dumps(json.loads(value))
            except ValueError:
                value = value[:32].hex()
            print("state   {} version {} {}".format(options.state, version, value))
        now = metrics(b)
        for name, value in now.items():
            if value != counted.get(name) and (not options.metric or name in options.metric):
                print("metric  {} {}".format(name, value))
        counted = now
        sys.stdout.flush()
    print("the node stopped")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    except Refused as e:
        sys.exit("arena_watch: " + str(e))
