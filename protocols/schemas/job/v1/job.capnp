@0xd84f6b0a3c1e9275;
# Jobs as they travel between a payer's node and a worker. Ids have 16 bytes,
# hashes, addresses, keys and node ids 32, signatures 64; an empty Data stands
# for a zero value where a comment says so. docs/jobs.md explains the exchange and
# the bytes that are signed; bounds stand in kernel/wire/job.go.

using Go = import "/go.capnp";
using Ledger = import "../../ledger/v1/ledger.capnp";
$Go.package("jobv1");
$Go.import("inos/protocols/gen/go/job/v1");

struct Link {
  root @0 :Data;       # empty for no object
  key @1 :Data;        # empty for a public object
}

struct Limits {
  gas @0 :UInt64;
  memoryBytes @1 :UInt64;
  outputBytes @2 :UInt64;
  wallMs @3 :UInt32;
}

struct Spec {
  id @0 :Data;
  batch @1 :Data;
  payer @2 :Data;
  module @3 :Data;
  moduleLink @4 :Link;
  unit @5 :Text;
  method @6 :Text;
  params @7 :Data;     # canonical JSON
  input @8 :Link;
  inputPath @9 :Text;
  limits @10 :Limits;
  priceCap @11 :Int64;
  deadline @12 :Int64;
  submitted @13 :Int64;
  node @14 :Data;      # empty for any
  outputKey @15 :Data;
  priority @16 :UInt8; # 0 normal, 1 low, 2 high
}

struct Receipt {
  holder @0 :Data;
  lease @1 :Data;
  blocks @2 :Data;
  count @3 :UInt32;
  bytes @4 :UInt64;
  time @5 :Int64;
  sig @6 :Data;
}

struct Result {
  id @0 :Data;
  worker @1 :Data;
  escrow @2 :UInt64;
  kind @3 :UInt8;
  reason @4 :Text;
  gas @5 :UInt64;
  output @6 :Link;
  outputHash @7 :Data; # empty when there is no output
  outputSize @8 :UInt64;
  mediaType @9 :Text;
  runUs @10 :UInt64;
  receipts @11 :List(Receipt);
  sig @12 :Data;
  log @13 :Text; # the end of the guest's log lines, for people; not signed
}

struct QuoteRequest {
  module @0 :Data;
  unit @1 :Text;
  method @2 :Text;
  limits @3 :Limits;
}

struct Quote {
  worker @0 :Data;
  compute @1 :Int64;   # microcredits per 10^9 units of gas
  workers @2 :UInt16;
  queue @3 :UInt16;
  warm @4 :Bool;
  validTill @5 :Int64;
}

struct Dispatch {
  spec @0 :Spec;
  attempt @1 :UInt8;
  escrow @2 :Ledger.Escrow; # null when no payment is due
}

struct Dispatches {
  jobs @0 :List(Dispatch);
}

struct Results {
  results @0 :List(Result);
}

# Stop asks a worker to give attempts up.
struct Stop {
  job @0 :Data;
  attempt @1 :UInt8;
}
