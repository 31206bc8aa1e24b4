// Package wire turns the kernel's values into Cap'n Proto messages and back: what
// members say to each other, what a store keeps, and what modules and the kernel
// exchange. The schemas stand in protocols/schemas, and docs/protocols.md says who
// sends what.
//
// Decoders take bytes from anybody. Each has a bound on the size, looks at no byte
// more than a few times whatever pointers say, and refuses what the encoder would
// not have written, so that a value has one meaning and what is signed is what is
// read. Errors are Invalid, Exhausted for a record above its bound, or Unsupported
// for what a newer version wrote. What a decoder returns shares no memory with its
// input unless it says so. Encoders fail only on values that break a bound.
//
// Nothing here checks signatures or knows of time: package identity does the one,
// the state machines the other.
package wire
