@0xa86cf2d97b3e0154;
# Messages between modules of different nodes. docs/protocols.md describes the
# exchange.

using Go = import "/go.capnp";
$Go.package("meshv1");
$Go.import("inos/protocols/gen/go/mesh/v1");

struct ModuleMessage {       # the sending node is the one that the connection proves
  fromModule @0 :Data;       # 32 bytes, set by the sending node's kernel
  module @1 :Text;           # name, name@version or hash of the receiving module
  sequence @2 :UInt64;       # rises with each message from fromModule there to module here
  sentUnixMs @3 :Int64;
  data @4 :Data;             # at most 64 KiB
}

struct MessageReceipt {      # the message lies durably in the module's mailbox
  fromNode @0 :Data;
  fromModule @1 :Data;
  toNode @2 :Data;
  toModule @3 :Data;         # hash of the module that receives it
  sequence @4 :UInt64;
  digest @5 :Data;           # BLAKE3 of data
  acceptedUnixMs @6 :Int64;
  signature @7 :Data;        # of toNode over the canonical bytes of the above
}

struct MessageReply {
  union {
    receipt @0 :MessageReceipt;
    behind @1 :UInt64;       # not accepted: the last sequence accepted is this one
  }
}
