@0xb7a4c1d2e93f5a61;
# What the nodes of a mesh tell each other beside blocks: the terms of leases,
# who is in the mesh, which modules were added.

using Go = import "/go.capnp";
$Go.package("meshv1");
$Go.import("inos/protocols/gen/go/mesh/v1");

struct LeaseTerms {
  from @0 :Data;     # provisional lease to rename; empty when the holder only learns the terms
  owner @1 :Data;    # node id
  root @2 :Data;     # address; the lease's id is BLAKE3 over owner and root
  copies @3 :UInt8;
  until @4 :Int64;   # Unix seconds; 0 until released
  short @5 :Bool;    # some block has fewer copies than wanted: look at them soon
}

struct News {
  memberships @0 :List(Data);   # encoded Membership records
  revocations @1 :List(Data);   # encoded Revocation records
  capabilities @2 :List(Data);  # encoded Capability records: the sender's and the latest it knows
  modules @3 :List(ModuleRecord);
  moduleNames @4 :List(ModuleName);
}

struct ModuleRecord {
  name @0 :Text;
  version @1 :Text;
  hash @2 :Data;
  root @3 :Data;     # address of the public object with the file
  size @4 :UInt64;
  author @5 :Data;     # key of who signed the file; empty when nobody did, and then so are the next two
  content @6 :Data;    # BLAKE3 of the file without its signature
  signature @7 :Data;  # the author's, as in the file
  withdrawal @8 :Data; # the author's signature over content, made to withdraw the module; empty while it stands
}

struct ModuleName {    # the mesh gives a name to the first author who used it
  name @0 :Text;
  author @1 :Data;
  issued @2 :Int64;    # Unix seconds
  signature @3 :Data;  # the mesh root's
}
