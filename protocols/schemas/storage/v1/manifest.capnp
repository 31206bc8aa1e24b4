@0xd3a7c04f5b9e2101;
# Manifests: the Merkle DAG that names an object's blocks. docs/formats.md says
# how the bytes become a block. The field order is part of every address.

using Go = import "/go.capnp";
$Go.package("storagev1");
$Go.import("inos/protocols/gen/go/storage/v1");

# One node of the DAG. A root manifest describes the whole object; the others
# describe the part below them.
struct Manifest {
  version @0 :UInt8;           # 1
  level @1 :UInt8;             # 0: lists blocks or entries; n: lists manifests of level n-1
  size @2 :UInt64;             # plaintext bytes of file content below
  entries @3 :UInt64;          # folder entries below; 0 in a file's manifests
  name @4 :Text;               # the file's name, in the root of a single-file object only
  refs @5 :Refs;               # see each case of body

  body :union {
    fileLeaf @6 :Void;                   # refs: the file's chunks in order
    fileIndex @7 :List(UInt64);          # refs: child manifests; the bytes of content below each
    folderPage @8 :List(Entry);          # refs: one per entry whose ref is not none, in order
    folderIndex @9 :List(Branch);        # refs: child manifests, one per branch
  }
}

# References to blocks, as parallel columns of equal count. Columns keep the
# hashes out of 8-byte pointers: a reference costs 105 bytes.
struct Refs {
  addresses @0 :Data;          # 32 bytes each: BLAKE3 of the wire bytes
  keys @1 :Data;               # 32 bytes each, or empty when the object is public
  hashes @2 :Data;             # 32 bytes each: BLAKE3 of the plaintext
  plainSizes @3 :List(UInt32);
  wireSizes @4 :List(UInt32);
  encodings @5 :Data;          # one byte each: 0 raw, 1 Brotli
}

struct Entry {
  path @0 :Text;               # relative to the object, slash-separated
  kind @1 :Kind;
  ref @2 :RefKind;
  mode @3 :UInt32;             # POSIX permission bits, at most 0o7777
  mtime @4 :Int64;             # Unix seconds
  size @5 :UInt64;             # plaintext bytes of a file
  target @6 :Text;             # of a symbolic link

  enum Kind {
    file @0;
    dir @1;
    symlink @2;
  }

  enum RefKind {
    none @0;                   # no content: a folder, a link or an empty file
    block @1;                  # the file is one chunk
    manifest @2;               # the file has more chunks
  }
}

struct Branch {
  first @0 :Text;              # the smallest path below
  entries @1 :UInt64;
  size @2 :UInt64;
}
