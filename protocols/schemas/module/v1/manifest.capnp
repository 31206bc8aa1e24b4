@0x9e1f6b7c40d2a811;
# What a WebAssembly module says about itself, in its custom section
# "inos.manifest". docs/abi.md explains each field and its bounds.

using Go = import "/go.capnp";
$Go.package("modulev1");
$Go.import("inos/protocols/gen/go/module/v1");

struct Manifest {
  name @0 :Text;             # 1..32 of [a-z0-9-]
  version @1 :Text;          # semantic version, e.g. "1.4.0"
  author @2 :Text;           # for people; at most 128 bytes
  doc @3 :Text;              # one paragraph
  abi @4 :UInt16;            # 1 or 2
  deterministic @5 :Bool;    # same input, parameters and seed give the same bytes everywhere
  kind @6 :Kind;
  units @7 :List(Unit);      # 1..32
  limits @8 :Limits;         # defaults for calls that name none
  syscalls @9 :List(Text);   # what it may call: fetchChunk, storeChunk, sendMessage, spawnThread, killThread, hostCall:SERVICE; ABI 2
  inbox @10 :Text;           # "unit.method" that takes messages as its input; empty: takes none; ABI 2
}

enum Kind {
  guest @0;      # private memory, anybody's code
  resident @1;   # runs inside the arena, signed by the node's owner
}

struct Unit {
  name @0 :Text;             # 1..32 of [a-z0-9-]
  doc @1 :Text;
  methods @2 :List(Method);  # 1..64
}

struct Method {
  name @0 :Text;             # 1..32 of [a-z0-9-]
  doc @1 :Text;
  paramsSchema @2 :Text;     # JSON Schema of the parameters object; empty: takes none
  inputMediaTypes @3 :List(Text);  # what it reads, e.g. "image/*"; empty: anything
  outputMediaType @4 :Text;  # what it usually writes; empty: application/octet-stream
  inputRequired @5 :Bool;    # a call without input is refused
}

struct Limits {              # zero means the node's default
  gas @0 :UInt64;
  memoryBytes @1 :UInt64;
  outputBytes @2 :UInt64;
  wallMs @3 :UInt32;
}
