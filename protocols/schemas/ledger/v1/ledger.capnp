@0xc5d1e1b7a9f3d201;
# The ledger's commands and records. Credits are integer microcredits, times
# Unix milliseconds, node ids 32 bytes, ids 16 bytes, signatures 64 bytes.
# docs/economy.md explains the rules and the bytes that are signed; bounds stand
# in kernel/api/command.go and kernel/wire/ledger.go.

using Go = import "/go.capnp";
$Go.package("ledgerv1");
$Go.import("inos/protocols/gen/go/ledger/v1");

struct Account {
  kind @0 :UInt8;      # 0 treasury, 1 node, 2 escrow
  node @1 :Data;       # for kind 1, otherwise empty
  id @2 :Data;         # for kind 2, otherwise empty
}

struct Command {
  id @0 :Data;
  signer @1 :Data;
  expires @2 :Int64;
  sig @3 :Data;
  union {
    genesis @4 :Genesis;
    grant @5 :Grant;
    transfer @6 :Transfer;
    escrowOpen @7 :List(Escrow);
    escrowSettle @8 :List(Settlement);
    escrowRefund @9 :Data;          # escrow ids of 16 bytes, one after another
    storagePay @10 :StoragePay;
    cashCheque @11 :Cheque;
  }
}

struct Genesis {
  supply @0 :Int64;
}

struct Grant {
  node @0 :Data;
  amount @1 :Int64;
}

struct Transfer {
  to @0 :Data;
  amount @1 :Int64;
  memo @2 :Text;
}

struct Escrow {
  id @0 :Data;
  job @1 :Data;
  payer @2 :Data;
  worker @3 :Data;
  amount @4 :Int64;
  price @5 :Int64;     # per 10^9 units of gas
  expires @6 :Int64;
  seq @7 :UInt64;      # the entry that opened it; 0 in a command
}

struct Settlement {
  escrow @0 :Data;
  job @1 :Data;
  worker @2 :Data;
  seq @3 :UInt64;
  kind @4 :UInt8;
  gas @5 :UInt64;
  detail @6 :Data;     # digest of the rest of the result, 32 bytes
  sig @7 :Data;        # of the result, by the worker
}

struct StoragePay {
  root @0 :Data;
  lease @1 :Data;
  payments @2 :List(StoragePayment);
}

struct StoragePayment {
  holder @0 :Data;
  amount @1 :Int64;
  bytes @2 :UInt64;
  blocks @3 :Data;
}

struct Cheque {
  payer @0 :Data;
  payee @1 :Data;
  cumulative @2 :Int64;
  bytes @3 :UInt64;
  sig @4 :Data;
}

struct Outcome {
  first @0 :UInt64;
  count @1 :UInt32;
  time @2 :Int64;
  repeated @3 :Bool;
}

struct Entry {
  seq @0 :UInt64;
  time @1 :Int64;
  from @2 :Account;
  to @3 :Account;
  amount @4 :Int64;
  cause @5 :UInt8;
  ref @6 :Text;
}

struct EntryQuery {
  account @0 :Account; # null for any
  cause @1 :Int16;     # -1 for any
  ref @2 :Text;
  before @3 :UInt64;
  from @4 :UInt64;
  limit @5 :UInt32;
}

struct EntryPage {
  entries @0 :List(Entry);
  next @1 :UInt64;
}

struct EscrowQuery {
  payer @0 :Data;      # empty for any
  worker @1 :Data;     # empty for any
  expired @2 :Int64;
  after @3 :Data;      # empty for the first page
  limit @4 :UInt32;
}

struct Escrows {
  escrows @0 :List(Escrow);
}

struct Balance {
  account @0 :Account;
  name @1 :Text;
  amount @2 :Int64;
}

struct Balances {
  balances @0 :List(Balance);
}

struct Totals {
  supply @0 :Int64;
  treasury @1 :Int64;
  nodes @2 :Int64;
  escrowed @3 :Int64;
  accounts @4 :UInt32;
  escrows @5 :UInt32;
  entries @6 :UInt64;
}
