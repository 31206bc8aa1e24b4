@0xb3d7a41f6c2e9085;
# What two nodes say to each other on a stream: introductions, calls, and the
# headers of block transfers. Every message travels as one frame: a big-endian
# uint32 with the message's length, then the message as one unpacked Cap'n Proto
# segment stream. Payload bytes (call bodies and blocks) follow the frame raw,
# outside Cap'n Proto. Bounds stand in kernel/wire/exchange.go.

using Go = import "/go.capnp";
$Go.package("meshv1");
$Go.import("inos/protocols/gen/go/mesh/v1");

# Hello is the first message on /inos/hello/1, from the dialer and then from the
# listener.
struct Hello {
  instance @0 :Data;    # 16 random bytes drawn when the process started
  credential @1 :Data;  # the sender's signed membership, opaque here
  kind @2 :UInt8;       # of the listener's refusal; 0 when it admits the dialer
  reason @3 :Text;      # why it refused, for people
}

# Call is a frame of /inos/rpc/1 and /inos/join/1, in either direction.
struct Call {
  id @0 :UInt64;          # chosen by the caller, unique among its open calls on the stream
  bodySize @1 :UInt32;    # raw bytes that follow the frame
  union {
    request @2 :Request;
    response @3 :Response;
    cancel @4 :Void;      # the caller has gone; the answer is not wanted
  }
}

struct Request {
  method @0 :Text;
  timeoutMs @1 :UInt32;   # time the caller still has; 0 means no deadline
}

struct Response {
  kind @0 :UInt8;         # api.Kind; meaningful when failed
  failed @1 :Bool;
  reason @2 :Text;        # why it failed, for people
  serviceUs @3 :UInt32;   # microseconds inside the handler, so that the caller can tell the network's share
}

# BlocksRequest is what a client writes on /inos/blocks/1. A stream carries
# either fetches, one after another, or store batches, back to back.
struct BlocksRequest {
  union {
    fetch @0 :Fetch;
    store @1 :Store;
  }
}

struct Fetch {
  addrs @0 :Data;         # addresses of 32 bytes, one after another
}

# Store is followed by the blocks' bytes in the order of addrs.
struct Store {
  seq @0 :UInt64;         # names the batch in its receipt
  lease @1 :Data;         # 32 bytes
  addrs @2 :Data;
  sizes @3 :List(UInt32); # bytes of each block
}

# BlocksReply answers, in order. A fetch is answered by groups that together
# cover its addresses; the bytes of a group's blocks follow it.
struct BlocksReply {
  union {
    group @0 :Group;
    stored @1 :Stored;
  }
}

struct Group {
  kinds @0 :Data;         # one api.Kind per block; 0 means its bytes follow
  sizes @1 :List(UInt32); # bytes of each block, 0 for one that is not served
}

struct Stored {
  seq @0 :UInt64;
  receipt @1 :Receipt;    # null when failed
  kind @2 :UInt8;
  failed @3 :Bool;
  reason @4 :Text;
}

# Receipt is a holder's signed statement that blocks are durable on its disk.
struct Receipt {
  holder @0 :Data;
  lease @1 :Data;
  blocks @2 :Data;
  count @3 :UInt32;
  bytes @4 :UInt64;
  time @5 :Int64;
  sig @6 :Data;
}

# LeaseCall is the body of the blocks.* calls: has, lease, rename and release.
struct LeaseCall {
  lease @0 :Data;         # 32 bytes, or empty for has
  from @1 :Data;          # the lease's old name, for rename
  addrs @2 :Data;         # for has and lease
}

# ProviderRecord is a node's signed statement that it has an object, for nodes
# that keep it on behalf of one that is not in the DHT itself. Body of
# providers.put.
struct ProviderRecord {
  root @0 :Data;          # address, 32 bytes
  provider @1 :Data;      # node, 32 bytes
  expires @2 :Int64;      # Unix seconds
  sig @3 :Data;           # 64 bytes, by the provider
  spread @4 :Bool;        # not signed: the receiver tells the nodes nearest to root
}

# ProviderQuery is the body of providers.find. The answer is node ids of 32
# bytes, one after another.
struct ProviderQuery {
  root @0 :Data;
  max @1 :UInt16;
}
