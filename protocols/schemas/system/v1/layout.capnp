@0xd3a4b0c5e6f71801;
# The arena's layout: the one place where an offset in shared memory is written.
#
# protocols/cmd/layoutgen reads the constant `layout` below and writes
# kernel/layout/layout_gen.go, protocols/gen/layout/rust/layout.rs,
# protocols/gen/layout/ts/layout.ts, sdk/c/inos_arena.h,
# examples/python/inos_layout.py and the tables of docs/arena.md. It refuses a layout whose regions or fields overlap, are misaligned or do not fit, and the
# generated Go and Rust refuse to compile on the same grounds.
#
# Rules:
#   - All integers are little-endian and naturally aligned.
#   - Offsets are written out, never implied, so that a change shows in a review.
#   - Every tier has the same regions at the same offsets; only the heap grows.
#   - A change of any offset, size or meaning raises `version`.

using Go = import "/go.capnp";
$Go.package("systemv1");
$Go.import("inos/protocols/gen/go/system/v1");

enum FieldType {
  u8 @0;
  u16 @1;
  u32 @2;
  u64 @3;
  i64 @4;
  bytes @5;
}

struct Field {
  name @0 :Text;
  at @1 :UInt32;          # offset within the record
  type @2 :FieldType;
  size @3 :UInt32;        # of `bytes`; the type implies it otherwise
  doc @4 :Text;
}

struct Record {
  name @0 :Text;
  size @1 :UInt32;
  align @2 :UInt32;
  doc @3 :Text;
  fields @4 :List(Field); # ascending, not overlapping; gaps are reserved and zero
}

struct Region {
  name @0 :Text;
  offset @1 :UInt64;
  count @2 :UInt32;       # elements; 0 for the heap, which takes the rest of the arena
  stride @3 :UInt32;      # bytes per element, a multiple of the record's alignment
  record @4 :Text;        # what an element is; empty for plain bytes
  align @5 :UInt32;
  doc @6 :Text;
}

struct Tier {
  name @0 :Text;
  size @1 :UInt64;
}

struct Cell {
  name @0 :Text;
  index @1 :UInt32;
  doc @2 :Text;
}

struct Constant {
  name @0 :Text;
  value @1 :UInt32;
  doc @2 :Text;
}

struct Arena {
  magic @0 :UInt64;
  version @1 :UInt32;
  line @2 :UInt32;        # cache line, the stride of epoch cells
  page @3 :UInt32;        # heap page
  window @4 :UInt32;      # WebAssembly page: what can be lent to a guest
  tiers @5 :List(Tier);
  cells @6 :List(Cell);   # epoch cells with a fixed index; others are handed out from firstFreeCell
  firstFreeCell @7 :UInt32;
  records @8 :List(Record);
  regions @9 :List(Region);
  constants @10 :List(Constant);
}

const layout :Arena = (
  magic = 0x30414e4552414e49,  # "INARENA0" read as little-endian bytes
  version = 2,
  line = 64,
  page = 4096,
  window = 65536,
  tiers = [
    (name = "light", size = 33554432),
    (name = "moderate", size = 67108864),
    (name = "heavy", size = 134217728),
    (name = "dedicated", size = 268435456),
  ],
  cells = [
    (name = "lifecycle", index = 0, doc = "the kernel started, drains or stops"),
    (name = "modules", index = 1, doc = "the module registry changed"),
    (name = "jobs", index = 2, doc = "a job slot changed"),
    (name = "events", index = 3, doc = "an event was appended"),
    (name = "metrics", index = 4, doc = "a metric was registered (not: changed its value)"),
    (name = "states", index = 5, doc = "the directory of state buffers changed"),
    (name = "heap", index = 6, doc = "heap memory was freed"),
    (name = "peers", index = 7, doc = "the set of peers changed"),
    (name = "mirror", index = 8, doc = "odd while a kernel copies its tables into memory that it cannot map; a reader of tables looks before and after"),
  ],
  firstFreeCell = 64,
  constants = [
    (name = "ringMagic", value = 0x474e4952, doc = "first word of a ring's control, \"RING\""),
    (name = "stateMagic", value = 0x54415453, doc = "first word of a state's control, \"STAT\""),
    (name = "netVersion", value = 1, doc = "of what a tab's kernel and its network worker say to each other"),
    (name = "netStart", value = 1, doc = "kernel, once, first: value is netVersion; the seed of the node's Ed25519 key, then the names of the protocols it answers, one a line"),
    (name = "netDial", value = 2, doc = "kernel: connect, as request id; a node's key, then its addresses, one a line"),
    (name = "netDialed", value = 3, doc = "worker: request id ended; code 0 or why, then words"),
    (name = "netUndial", value = 4, doc = "kernel: nobody waits for request id"),
    (name = "netConnected", value = 5, doc = "worker: connection conn stands; code 1 when the peer dialed; its key, then its address"),
    (name = "netHangUp", value = 6, doc = "kernel: end connection conn"),
    (name = "netGone", value = 7, doc = "worker: connection conn has ended, and every stream on it"),
    (name = "netOpen", value = 8, doc = "kernel: open stream id (odd) to a connected node; its key, then the protocol"),
    (name = "netOpened", value = 9, doc = "worker: stream id stands, on connection conn"),
    (name = "netAccept", value = 10, doc = "worker: a peer opened stream id (even) on connection conn; the protocol"),
    (name = "netData", value = 11, doc = "either: bytes of stream id, at most netMaxData and within the credit"),
    (name = "netCredit", value = 12, doc = "either: value more bytes may be sent on stream id"),
    (name = "netEnd", value = 13, doc = "either: no more bytes on stream id; the other direction stays open"),
    (name = "netReset", value = 14, doc = "either: stream id is over; code says why, words may follow"),
    (name = "netAddrs", value = 15, doc = "worker: the addresses under which other tabs reach this one, one a line"),
    (name = "netMember", value = 16, doc = "kernel: the node at the other end of connection conn is a member, so it may relay"),
    (name = "netOwnKey", value = 3, doc = "code of netDialed: the node there has this node's own key (api.Exists)"),
    (name = "netRefused", value = 4, doc = "code of netReset: the peer says that this node is no member (api.Denied)"),
    (name = "netUnavailable", value = 7, doc = "code: the peer does not answer, or ended what was asked for (api.Unavailable)"),
    (name = "netFull", value = 10, doc = "code: there are too many streams or connections (api.Exhausted)"),
    (name = "netTabWindow", value = 1048576, doc = "credit of each direction of a new stream between two tabs"),
    (name = "netMaxData", value = 65536, doc = "most bytes of one netData"),
    (name = "netWindow", value = 524288, doc = "credit of each direction of a new stream"),
    (name = "netMaxStreams", value = 128, doc = "streams at once; with netWindow, 64 MiB wait at most in each direction"),
    (name = "netMaxText", value = 16384, doc = "most bytes of a frame that is no netData"),
    (name = "opAttach", value = 1, doc = "open a lease; the answer brings the arena, mapped read-only"),
    (name = "opWatch", value = 2, doc = "count one sleeper on a cell until unwatch or the end of the lease"),
    (name = "opUnwatch", value = 3, doc = "take back a watch"),
    (name = "opOpen", value = 4, doc = "map a named region of another lease, read-only"),
    (name = "opState", value = 5, doc = "make a named state buffer, written by this lease"),
    (name = "opSpan", value = 6, doc = "make a named span, written by this lease"),
    (name = "opRing", value = 7, doc = "take one end of a named ring, making the ring if need be"),
    (name = "opRelease", value = 8, doc = "give back a region"),
    (name = "roleRead", value = 0, doc = "may read"),
    (name = "roleWrite", value = 1, doc = "may also have regions of its own"),
    (name = "endWriter", value = 0, doc = "the sending end of a ring"),
    (name = "endReader", value = 1, doc = "the receiving end of a ring"),
    (name = "sensorGeolocation", value = 0, doc = "values: latitude and longitude in degrees, accuracy in metres, then altitude in metres, speed in m/s, heading in degrees; NaN for unknown"),
    (name = "sensorOrientation", value = 1, doc = "values: alpha, beta, gamma in degrees"),
    (name = "sensorCamera", value = 2, doc = "values: width and height in pixels; a frame of one byte of brightness a pixel, rows from the top"),
    (name = "sensorMicrophone", value = 3, doc = "values: mean level and peak in dB below full scale"),
    (name = "sensorGamepad", value = 4, doc = "values: number of the pad, number of axes, the axes from -1 to 1, the buttons from 0 to 1"),
  ],
  records = [
    (name = "arenaHeader", size = 128, align = 64, doc = "What the bytes are. Written once by Format; `generation` counts owners.", fields = [
      (name = "magic", at = 0, type = u64, doc = "says that this is an arena; stored last by Format"),
      (name = "version", at = 8, type = u32, doc = "of this layout"),
      (name = "tier", at = 12, type = u32, doc = "index in the table of tiers"),
      (name = "size", at = 16, type = u64, doc = "bytes of the whole arena"),
      (name = "heapPages", at = 24, type = u32, doc = "pages the heap hands out, after its page table"),
      (name = "reserved", at = 28, type = u32, doc = "zero"),
      (name = "generation", at = 64, type = u32, doc = "raised by each owner; an older owner stops on seeing it"),
      (name = "nextCell", at = 68, type = u32, doc = "next epoch cell to hand out"),
    ]),
    (name = "epochCell", size = 64, align = 64, doc = "An event counter alone on its cache line.", fields = [
      (name = "value", at = 0, type = u32, doc = "the count; wraps, so compare with !="),
      (name = "sleepers", at = 4, type = u32, doc = "waiters in other processes, asleep in the system; in the arena the node counts them for its leases"),
    ]),
    (name = "moduleSlot", size = 256, align = 64, doc = "A registered module.", fields = [
      (name = "sequence", at = 0, type = u32, doc = "odd while being written"),
      (name = "state", at = 4, type = u8, doc = "0 empty, 1 registered, 2 running: calls have ended here, 3 quarantined: no call may run"),
      (name = "kind", at = 5, type = u8, doc = "0 guest, 1 resident"),
      (name = "nameLength", at = 6, type = u8, doc = "bytes of name in use"),
      (name = "flags", at = 7, type = u8, doc = "bit 0: deterministic"),
      (name = "regionOffset", at = 8, type = u64, doc = "resident modules: start of linear data in the arena"),
      (name = "regionSize", at = 16, type = u64, doc = "resident modules: bytes from regionOffset"),
      (name = "hash", at = 32, type = bytes, size = 32, doc = "BLAKE3-256 of the module file"),
      (name = "author", at = 64, type = bytes, size = 32, doc = "Ed25519 key of the signer"),
      (name = "name", at = 96, type = bytes, size = 64, doc = "UTF-8"),
    ]),
    (name = "supervisorSlot", size = 128, align = 64, doc = "The supervisor of the module slot with the same index.", fields = [
      (name = "sequence", at = 0, type = u32, doc = "odd while being written"),
      (name = "state", at = 4, type = u8, doc = "0 idle, 1 starting, 2 healthy, 3 degraded, 4 quarantined"),
      (name = "restarts", at = 8, type = u32, doc = "crashes since registration, each of which cost an instance"),
      (name = "crashes", at = 12, type = u32, doc = "in a row"),
      (name = "queued", at = 16, type = u32, doc = "calls waiting"),
      (name = "running", at = 20, type = u32, doc = "calls in progress"),
      (name = "calls", at = 24, type = u64, doc = "calls finished"),
      (name = "gas", at = 32, type = u64, doc = "gas charged"),
      (name = "heartbeat", at = 40, type = i64, doc = "Unix milliseconds of the last call that came, began or ended"),
      (name = "since", at = 48, type = i64, doc = "Unix milliseconds of the state's beginning"),
      (name = "retry", at = 56, type = i64, doc = "Unix milliseconds before which it is not started again, 0 for none"),
      (name = "keptOut", at = 64, type = u32, doc = "payers that may not call it for now"),
    ]),
    (name = "ringControl", size = 384, align = 64, doc = "One single-producer single-consumer ring. The writer's and the reader's words lie 128 bytes apart, beyond what prefetchers pair.", fields = [
      (name = "magic", at = 0, type = u32, doc = "0x474e4952, \"RING\""),
      (name = "generation", at = 4, type = u32, doc = "raised by an end that restarts"),
      (name = "capacity", at = 8, type = u32, doc = "bytes of data, a power of two"),
      (name = "maxMessage", at = 12, type = u32, doc = "largest message in bytes"),
      (name = "tail", at = 128, type = u64, doc = "writer: generation << 32 | bytes written"),
      (name = "data", at = 192, type = bytes, size = 64, doc = "epoch cell: a sleeping reader has something to read"),
      (name = "head", at = 256, type = u64, doc = "reader: generation << 32 | bytes read"),
      (name = "space", at = 320, type = bytes, size = 64, doc = "epoch cell: a sleeping writer has room again"),
    ]),
    (name = "ringFrame", size = 8, align = 8, doc = "Precedes each message in a ring; the message is padded to 8 bytes.", fields = [
      (name = "length", at = 0, type = u32, doc = "bytes of the message"),
      (name = "generation", at = 4, type = u32, doc = "in which it was written"),
    ]),
    (name = "sensorSample", size = 24, align = 8, doc = "Begins a message in a sensor's ring: 8-byte floating-point values follow, then the bytes of a frame. Sensor s has ring 2s of the device rings.", fields = [
      (name = "time", at = 0, type = i64, doc = "Unix microseconds"),
      (name = "sensor", at = 8, type = u32, doc = "which, one of the constants sensor..."),
      (name = "values", at = 12, type = u32, doc = "number of values"),
      (name = "bytes", at = 16, type = u32, doc = "of the frame"),
      (name = "dropped", at = 20, type = u32, doc = "samples dropped so far because nobody read"),
    ]),
    (name = "metricSlot", size = 128, align = 64, doc = "A named number.", fields = [
      (name = "value", at = 0, type = u64, doc = "the count, or the gauge's signed level"),
      (name = "kind", at = 8, type = u32, doc = "0 empty, 1 counter, 2 gauge; stored last"),
      (name = "nameLength", at = 12, type = u32, doc = "bytes of name in use"),
      (name = "name", at = 16, type = bytes, size = 112, doc = "name, with labels in Prometheus notation"),
    ]),
    (name = "eventControl", size = 256, align = 64, doc = "Positions in the event ring, in bytes since Format; they never wrap.", fields = [
      (name = "intent", at = 0, type = u64, doc = "end of the event being written: bytes below intent - capacity are lost"),
      (name = "tail", at = 64, type = u64, doc = "end of the last complete event"),
      (name = "oldest", at = 72, type = u64, doc = "start of the oldest complete event"),
      (name = "sequence", at = 80, type = u64, doc = "number of the last event; the first is 1"),
    ]),
    (name = "eventFrame", size = 32, align = 8, doc = "Precedes an event's type and data, padded to 8 bytes in all.", fields = [
      (name = "sequence", at = 0, type = u64, doc = "from 1"),
      (name = "time", at = 8, type = i64, doc = "Unix microseconds, from the caller"),
      (name = "typeLength", at = 16, type = u32, doc = "bytes of the type"),
      (name = "dataLength", at = 20, type = u32, doc = "bytes of the data"),
    ]),
    (name = "jobSlot", size = 384, align = 64, doc = "The summary of one recent job.", fields = [
      (name = "sequence", at = 0, type = u32, doc = "odd while being written, 0 when never used"),
      (name = "state", at = 4, type = u8, doc = "api.JobState"),
      (name = "kind", at = 5, type = u8, doc = "api.Kind of the failure, 0 when there is none"),
      (name = "attempts", at = 6, type = u8, doc = "dispatches so far"),
      (name = "reserved", at = 7, type = u8, doc = "zero"),
      (name = "order", at = 8, type = u64, doc = "position in the order of insertion, from 1"),
      (name = "id", at = 16, type = bytes, size = 16, doc = "job"),
      (name = "batch", at = 32, type = bytes, size = 16, doc = "batch"),
      (name = "payer", at = 48, type = bytes, size = 32, doc = "node"),
      (name = "worker", at = 80, type = bytes, size = 32, doc = "node, zero while unassigned"),
      (name = "gas", at = 112, type = u64, doc = "charged"),
      (name = "price", at = 120, type = i64, doc = "settled, microcredits"),
      (name = "submitted", at = 128, type = i64, doc = "Unix milliseconds"),
      (name = "started", at = 136, type = i64, doc = "Unix milliseconds, 0 before"),
      (name = "finished", at = 144, type = i64, doc = "Unix milliseconds, 0 before"),
      (name = "runUs", at = 152, type = u64, doc = "microseconds inside the guest"),
      (name = "outputBytes", at = 160, type = u64, doc = "size of the output"),
      (name = "methodLength", at = 168, type = u32, doc = "bytes of method in use"),
      (name = "nameLength", at = 172, type = u32, doc = "bytes of name in use"),
      (name = "method", at = 176, type = bytes, size = 96, doc = "module/unit.method"),
      (name = "name", at = 272, type = bytes, size = 112, doc = "of the input, cut at the end if longer"),
    ]),
    (name = "stateSlot", size = 128, align = 64, doc = "Where a named state buffer is: in the arena, or in shared memory of its own that a lease asks for by name.", fields = [
      (name = "sequence", at = 0, type = u32, doc = "odd while being written"),
      (name = "nameLength", at = 4, type = u32, doc = "bytes of name in use, 0 when the slot is empty"),
      (name = "offset", at = 8, type = u64, doc = "of the stateControl in the arena; 0 when region is not 0"),
      (name = "half", at = 16, type = u64, doc = "most bytes of one state"),
      (name = "owner", at = 24, type = u32, doc = "heap owner"),
      (name = "region", at = 28, type = u32, doc = "0 in the arena, else the lent region that begins with the stateControl"),
      (name = "name", at = 32, type = bytes, size = 96, doc = "UTF-8"),
    ]),
    (name = "stateControl", size = 256, align = 64, doc = "A double-buffered state. The halves follow it, each padded to 64 bytes; version v is in half v & 1. A copy of version v is whole if intent - v <= 1 after copying.", fields = [
      (name = "magic", at = 0, type = u32, doc = "stateMagic"),
      (name = "half", at = 8, type = u64, doc = "most bytes of one state"),
      (name = "intent", at = 64, type = u32, doc = "version being written, or the last one"),
      (name = "length0", at = 72, type = u64, doc = "bytes of the state in half 0"),
      (name = "length1", at = 80, type = u64, doc = "bytes of the state in half 1"),
      (name = "cell", at = 128, type = bytes, size = 64, doc = "epoch cell: its value is the version, 0 before the first"),
    ]),
    (name = "attachRequest", size = 256, align = 8, doc = "What a process asks on the attach socket. Unused fields are zero.", fields = [
      (name = "version", at = 0, type = u32, doc = "of this layout"),
      (name = "op", at = 4, type = u32, doc = "one of the ops"),
      (name = "role", at = 8, type = u32, doc = "attach: roleRead or roleWrite"),
      (name = "cell", at = 12, type = u32, doc = "watch, unwatch: index of an epoch cell of the arena"),
      (name = "region", at = 16, type = u32, doc = "watch, unwatch, release: a lent region, 0 for the arena"),
      (name = "end", at = 20, type = u32, doc = "ring: endWriter or endReader"),
      (name = "size", at = 24, type = u64, doc = "bytes of a span or of one state; capacity of a ring"),
      (name = "maxMessage", at = 32, type = u32, doc = "ring: largest message"),
      (name = "nameLength", at = 36, type = u32, doc = "bytes of name in use"),
      (name = "name", at = 64, type = bytes, size = 96, doc = "attach: the process; else the region. UTF-8"),
    ]),
    (name = "attachAnswer", size = 256, align = 8, doc = "The answer to one request. A file descriptor travels with it when files is 1.", fields = [
      (name = "failed", at = 0, type = u32, doc = "0 done, 1 refused"),
      (name = "kind", at = 4, type = u32, doc = "refused: api.Kind"),
      (name = "lease", at = 8, type = u32, doc = "attach: number of the lease"),
      (name = "owner", at = 12, type = u32, doc = "attach: heap owner of the lease"),
      (name = "region", at = 16, type = u32, doc = "number of the region handed out"),
      (name = "files", at = 20, type = u32, doc = "0 or 1"),
      (name = "size", at = 24, type = u64, doc = "bytes to map"),
      (name = "messageLength", at = 32, type = u32, doc = "refused: bytes of message in use"),
      (name = "message", at = 64, type = bytes, size = 192, doc = "refused: what to do about it. UTF-8"),
    ]),
    (name = "netFrame", size = 16, align = 4, doc = "Begins every message between a tab's kernel and its network worker; the rest of the message is its payload. Fields that a kind does not use are zero.", fields = [
      (name = "kind", at = 0, type = u8, doc = "one of the nets"),
      (name = "code", at = 1, type = u8, doc = "netDialed, netReset: api.Kind, 0 for none; netConnected: 1 inbound"),
      (name = "id", at = 4, type = u32, doc = "a stream, or a request to dial"),
      (name = "conn", at = 8, type = u32, doc = "a connection, numbered by the worker from 1"),
      (name = "value", at = 12, type = u32, doc = "netCredit: bytes; netStart: the version"),
    ]),
    (name = "netPiece", size = 8, align = 4, doc = "Begins every piece of a stream between two tabs, since WebRTC does not make a sender wait for its reader.", fields = [
      (name = "kind", at = 0, type = u8, doc = "netData or netCredit"),
      (name = "value", at = 4, type = u32, doc = "netData: bytes that follow; netCredit: bytes that may be sent"),
    ]),
    (name = "heapPage", size = 16, align = 8, doc = "Describes a heap page. Only a block's first page is described; the rest are zero.", fields = [
      (name = "kind", at = 0, type = u8, doc = "0 inside a block, 1 free, 2 one allocation, 3 slab"),
      (name = "order", at = 1, type = u8, doc = "the block has 2^order pages"),
      (name = "shift", at = 2, type = u8, doc = "slab: cells have 2^shift bytes"),
      (name = "reserved", at = 3, type = u8, doc = "zero"),
      (name = "owner", at = 4, type = u32, doc = "who allocated"),
      (name = "used", at = 8, type = u64, doc = "slab: bit i is set while cell i is allocated"),
    ]),
  ],
  regions = [
    (name = "header", offset = 0, count = 1, stride = 4096, record = "arenaHeader", align = 4096, doc = "magic, version, size, generation"),
    (name = "epochs", offset = 0x1000, count = 1024, stride = 64, record = "epochCell", align = 4096, doc = "event counters, one per cache line"),
    (name = "modules", offset = 0x11000, count = 256, stride = 256, record = "moduleSlot", align = 4096, doc = "module registry"),
    (name = "supervisors", offset = 0x21000, count = 256, stride = 128, record = "supervisorSlot", align = 4096, doc = "supervisor headers"),
    (name = "syscallRings", offset = 0x29000, count = 128, stride = 384, record = "ringControl", align = 4096, doc = "controls of the syscall rings: instance i submits on 2i and completes on 2i+1"),
    (name = "deviceRings", offset = 0x35000, count = 64, stride = 384, record = "ringControl", align = 4096, doc = "controls of the sensor (even) and actor (odd) rings"),
    (name = "states", offset = 0x3b000, count = 256, stride = 128, record = "stateSlot", align = 4096, doc = "directory of named state buffers"),
    (name = "eventLog", offset = 0x43000, count = 1, stride = 4096, record = "eventControl", align = 4096, doc = "positions in the event ring"),
    (name = "metrics", offset = 0x50000, count = 2048, stride = 128, record = "metricSlot", align = 4096, doc = "metrics table"),
    (name = "jobs", offset = 0x90000, count = 4096, stride = 384, record = "jobSlot", align = 4096, doc = "job table"),
    (name = "syscallData", offset = 0x210000, count = 128, stride = 16384, align = 4096, doc = "data of the syscall rings"),
    (name = "deviceData", offset = 0x410000, count = 64, stride = 16384, align = 4096, doc = "data of the sensor and actor rings"),
    (name = "events", offset = 0x510000, count = 1, stride = 2097152, align = 4096, doc = "data of the event ring"),
    (name = "residents", offset = 0x800000, count = 8, stride = 1048576, align = 65536, doc = "places of the resident modules: static data, stacks, thread-local blocks and their allocator's memory, one module to a place"),
    (name = "heap", offset = 0x1000000, count = 0, stride = 4096, align = 65536, doc = "page table (16 bytes a page, padded to 64 KiB), then pages"),
  ],
);
