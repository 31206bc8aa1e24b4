@0xd08f4c7e1a6b3925;
# Who is in a mesh and what each member offers. Keys and secrets are 32 bytes,
# ids 16, signatures 64. Signatures cover the field-by-field encoding written
# down in kernel/identity/canonical.go, not these messages.

using Go = import "/go.capnp";
$Go.package("meshv1");
$Go.import("inos/protocols/gen/go/mesh/v1");

struct Membership {
  mesh @0 :Data;        # the root's public key names the mesh
  node @1 :Data;
  roles @2 :UInt8;      # bits: 1 seed, 2 hub, 4 edge
  name @3 :Text;
  issued @4 :Int64;     # Unix seconds
  expires @5 :Int64;    # Unix seconds; 0 means never
  sig @6 :Data;         # by mesh
}

struct Revocation {
  mesh @0 :Data;
  node @1 :Data;
  time @2 :Int64;       # Unix seconds
  sig @3 :Data;         # by mesh
}

struct Capability {
  node @0 :Data;
  seq @1 :UInt64;       # later replaces earlier
  roles @2 :UInt8;
  name @3 :Text;
  domain @4 :Text;      # failure domain label
  region @5 :Text;
  addrs @6 :List(Text); # multiaddrs
  free @7 :UInt64;      # bytes
  used @8 :UInt64;      # bytes
  cores @9 :UInt16;
  queue @10 :UInt16;
  workers @11 :UInt16;
  storageGibMonth @12 :Int64; # prices in microcredits
  serveGib @13 :Int64;
  computeGgas @14 :Int64;
  sig @15 :Data;        # by node
}

struct Invite {
  id @0 :Data;
  mesh @1 :Data;
  seed @2 :Data;        # the node that redeems it
  addrs @3 :List(Text); # the seed's multiaddrs
  roles @4 :UInt8;
  name @5 :Text;        # the joiner's name; empty lets it choose
  expires @6 :Int64;    # Unix seconds
  secret @7 :Data;
  sig @8 :Data;         # by mesh, over everything above
}

struct JoinRequest {
  invite @0 :Data;
  node @1 :Data;
  roles @2 :UInt8;
  name @3 :Text;
  proof @4 :Data;       # BLAKE3 keyed by the invite's secret
  sig @5 :Data;         # by node
}

struct JoinResponse {
  membership @0 :Membership;
  members @1 :List(Membership);
  revocations @2 :List(Revocation);
}
