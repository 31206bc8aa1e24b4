package api

import (
	"context"
	"errors"
	"strings"
)

// Kind classifies an error for programs. Kinds are few and append-only: their
// numbers travel on the wire and their names appear in JSON, metrics and exit
// codes. A Kind is itself an error, so errors.Is(err, api.NotFound) works on
// any error made by E.
type Kind uint8

// The kinds. The comment says who has to act.
const (
	Other         Kind = iota // unclassified; a defect if a user sees it
	Invalid                   // the caller: the request or its data is malformed
	NotFound                  // the caller: no such link, block, job, module or node
	Exists                    // the caller: the name or identity is already taken
	Denied                    // the owner: identity is known, permission is missing
	Unverified                // the caller: a signature, token or invite does not verify
	Corrupt                   // the mesh: bytes do not match their address; repair from elsewhere
	Unavailable               // the mesh: no reachable node can serve this now; retry later
	Timeout                   // the caller: a deadline passed before the work was done
	Canceled                  // the caller asked to stop
	Exhausted                 // the caller: a limit (memory, gas, output, queue, rate) was reached
	NoSpace                   // the owner: the disk or its quota is full; reads go on
	PriceAboveCap             // the caller: the quote is higher than the price cap
	Unfunded                  // the payer: the account cannot cover the amount
	Trapped                   // the module's author: the guest trapped
	Closed                    // the caller: the component was already stopped
	Conflict                  // the caller: the state changed underneath; read again
	Unsupported               // the caller: this node or build cannot do that
	kindCount
)

var kindNames = [kindCount]string{
	"other", "invalid", "not-found", "exists", "denied", "unverified", "corrupt",
	"unavailable", "timeout", "canceled", "exhausted", "no-space",
	"price-above-cap", "unfunded", "trapped", "closed", "conflict", "unsupported",
}

// String returns the stable lower-case name of k.
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return kindNames[Other]
}

// Error makes a Kind usable as a sentinel with errors.Is.
func (k Kind) Error() string { return k.String() }

// KindNamed returns the kind with the given name, or Other.
func KindNamed(name string) Kind {
	for k, n := range kindNames {
		if n == name {
			return Kind(k)
		}
	}
	return Other
}

// Error is the error type that crosses package boundaries: the operation that
// failed, its kind, and the cause or a message that tells what to do.
type Error struct {
	Op   string // package.operation, e.g. "chunk.open"
	Kind Kind
	Err  error // cause; nil when Op and Kind say it all
}

// E builds an *Error. With Kind Other it adopts the kind of err, so a caller
// adds context without losing the classification. E with a nil err still
// returns an error.
func E(op string, kind Kind, err error) error {
	if kind == Other {
		kind = KindOf(err)
	}
	return &Error{Op: op, Kind: kind, Err: err}
}

// Errorf is E with a plain message as its cause.
func Errorf(op string, kind Kind, msg string) error {
	return &Error{Op: op, Kind: kind, Err: errors.New(msg)}
}

// Error renders "op: message (kind)"; nested operations are joined outermost
// first and the kind is written once.
func (e *Error) Error() string {
	var b strings.Builder
	e.write(&b)
	if e.Kind != Other {
		b.WriteString(" (" + e.Kind.String() + ")")
	}
	return b.String()
}

func (e *Error) write(b *strings.Builder) {
	b.WriteString(e.Op)
	if e.Err == nil {
		return
	}
	b.WriteString(": ")
	if inner, ok := e.Err.(*Error); ok {
		inner.write(b)
		return
	}
	b.WriteString(e.Err.Error())
}

// Message returns the innermost cause's text without operations, for people.
func (e *Error) Message() string {
	var inner *Error
	if errors.As(e.Err, &inner) {
		return inner.Message()
	}
	if e.Err == nil {
		return e.Kind.String()
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this error's Kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// KindOf returns the kind of the first *Error in err's chain, maps context
// errors to Canceled and Timeout, and returns Other for anything else.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Other
}

// ExitCode is the process exit status for err, documented in docs/cli.md:
// 0 for nil, 1 for Other, and 10 plus the kind's number for the rest. Status 2
// is left to command-line usage errors.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	k := KindOf(err)
	if k == Other {
		return 1
	}
	return 10 + int(k)
}
