@0xb7a0c3d95e6f1204;
# One call of a guest's method: the host writes a Request into the guest's
# memory and reads a Response from it. docs/abi.md explains the exchange.

using Go = import "/go.capnp";
$Go.package("modulev1");
$Go.import("inos/protocols/gen/go/module/v1");

struct Span {                # bytes in the guest's linear memory
  pointer @0 :UInt32;
  length @1 :UInt32;
}

struct Request {
  unit @0 :Text;
  method @1 :Text;
  params @2 :Data;           # JSON object, UTF-8, canonical; "{}" when there are none
  input @3 :Span;            # 0, 0 when the call has no input
  inputMediaType @4 :Text;   # "" when unknown
  inputName @5 :Text;        # "" when unknown; for people, never a path
  outputLimit @6 :UInt64;    # bytes the output may have
  jobSeed @7 :Data;          # 32 bytes, the only source of randomness
  submittedUnixMs @8 :Int64; # the only clock: when the job was submitted
}

struct Response {
  union {
    ok @0 :Output;
    error @1 :Failure;
  }
}

struct Output {
  output @0 :Span;
  mediaType @1 :Text;        # "": the method's outputMediaType
}

struct Failure {
  kind @0 :Text;             # invalid, not-found, corrupt, unsupported or exhausted
  message @1 :Text;          # for people, says what to do; at most 1024 bytes are kept
}
