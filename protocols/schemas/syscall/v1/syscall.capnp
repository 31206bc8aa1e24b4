@0xd3f0a1c58e7b4692;
# One system call of a guest: it writes a Request into its memory, calls the
# import inos.syscall, and reads a Completion. docs/abi.md explains the exchange,
# its bounds and its errors.

using Go = import "/go.capnp";
$Go.package("syscallv1");
$Go.import("inos/protocols/gen/go/syscall/v1");

struct Bytes {               # bytes in the guest's linear memory; 0, 0 for none
  pointer @0 :UInt32;
  length @1 :UInt32;
}

struct Request {
  id @0 :UInt64;             # chosen by the guest; the completion carries it
  sourceModuleId @1 :Data;   # empty: the kernel fills it in. 32 bytes that are not the caller's own are refused
  deadlineMs @2 :UInt32;     # give up after this long; 0: when the call that the guest serves must end
  union {
    fetchChunk @3 :FetchChunk;
    storeChunk @4 :StoreChunk;
    sendMessage @5 :SendMessage;
    spawnThread @6 :SpawnThread;
    killThread @7 :UInt64;   # a thread's id
    hostCall @8 :HostCall;
    awaitThread @9 :UInt64;  # a thread's id; belongs to spawnThread
  }
}

struct FetchChunk {
  union {
    input @0 :Void;          # the job's own input
    link @1 :Text;           # an object: inos:<root>#<key>
    address @2 :Data;        # a block: 32 bytes; its wire bytes are what is fetched
  }
  path @3 :Text;             # a file in a folder object; empty for a file
  offset @4 :UInt64;
  length @5 :UInt32;         # 0: to the end, at most 16 MiB
  into @6 :Bytes;            # where the bytes go, as many as fit; empty: memory from inos_alloc
}

struct StoreChunk {
  data @0 :Bytes;            # at most 16 MiB
  name @1 :Text;             # at most 128 bytes, no path
  public @2 :Bool;           # anybody with the address may read it; otherwise sealed for the job's owner
  block @3 :Bool;            # the bytes are one block, kept as they are: 1 to 1,048,592 bytes; public says nothing then
}

struct SendMessage {
  node @0 :Text;             # did:key of the node; empty: this one
  module @1 :Text;           # name, name@version or hash, as the receiving node knows it
  data @2 :Bytes;            # at most 64 KiB
}

struct SpawnThread {
  unit @0 :Text;
  method @1 :Text;
  params @2 :Text;           # JSON object; empty for none; at most 2 KiB
  input @3 :Bytes;           # at most 16 MiB
  gas @4 :UInt64;            # set aside from the caller's until the thread ends; 0: an eighth of what is left
}

struct HostCall {
  service @0 :Text;          # kv, http
  operation @1 :Text;        # get, put, ...
  argument @2 :Text;         # a key, a URL; at most 2 KiB
  data @3 :Bytes;            # at most 256 KiB
}

struct Completion {
  id @0 :UInt64;
  union {
    fetched @1 :Fetched;
    stored @2 :Stored;
    sent @3 :Sent;
    spawned @4 :UInt64;      # the thread's id
    killed @5 :Void;
    answered @6 :Answered;
    ended @7 :Ended;
    error @8 :Failure;
  }
}

struct Fetched {
  data @0 :Bytes;
  size @1 :UInt64;           # of the whole block or file
}

struct Stored {
  link @0 :Text;             # of a block: without a key
  size @1 :UInt64;
  address @2 :Data;          # the BLAKE3 of the root, or of the block
}

struct Sent {
  sequence @0 :UInt64;
  receipt @1 :Data;          # a MessageReceipt (mesh/v1/message.capnp), signed by the receiving node
}

struct Answered {
  code @0 :UInt32;           # the service's own; http: the status
  detail @1 :Text;           # the service's own; http: the content type
  data @2 :Bytes;
}

struct Ended {
  data @0 :Bytes;            # the thread's output
  gas @1 :UInt64;
}

struct Failure {
  kind @0 :Text;             # the name of an error kind
  message @1 :Text;          # for people, says what to do; at most 512 bytes
}
