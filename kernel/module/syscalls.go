package module

import (
	"context"
	"strings"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Names of the system calls in a manifest. A service of the node is listed as
// HostCallPrefix and the service's name.
const (
	FetchChunk     = "fetchChunk"
	StoreChunk     = "storeChunk"
	SendMessage    = "sendMessage"
	SpawnThread    = "spawnThread"
	KillThread     = "killThread"
	HostCallPrefix = "hostCall:"
)

// Syscalls serves the system calls of one call of a module. One goroutine uses
// it at a time. kernel/syscall implements it.
type Syscalls interface {
	// Syscall serves one request of at most wire.MaxSyscall bytes, which it does
	// not keep, and returns the completion, which is the caller's until the next
	// Syscall. It may block; it returns soon after ctx ends.
	//
	// A refusal is a completion. An error ends the guest's call with its kind: a
	// deterministic guest must not see what depends on the node or the hour.
	Syscall(ctx context.Context, request []byte, g Guest) (completion []byte, err error)

	// End is called once when the guest has returned or failed. It ends what the
	// guest left running, waits for it, and gives back what was set aside.
	End(g Guest)
}

// Guest is what serving a system call needs of the guest that asks. It is valid
// until Syscall or End returns.
type Guest interface {
	// View returns the bytes of a span of the guest's memory without copying, or
	// false when they are not there. The bytes stay where they are until Syscall
	// returns, and do not change unless the span lies in a loan that others write.
	View(s wire.Span) ([]byte, bool)

	// Give copies b into memory that the guest allocates. It may end the guest's
	// call, by an error that Syscall returns.
	Give(b []byte) (wire.Span, error)

	// Fill copies b into the guest's memory at a place that View has shown, which
	// has room for it.
	Fill(at wire.Span, b []byte)

	// Left is the gas that the guest has not used or set aside.
	Left() uint64

	// TakeGas sets gas aside for work that is done beside the guest; false when
	// there is not as much left. GiveGas returns what was not used of it.
	TakeGas(gas uint64) bool
	GiveGas(gas uint64)
}

// validateSyscalls checks the list of system calls and the inbox.
func (d *Description) validateSyscalls() error {
	m := &d.Manifest
	for i, name := range m.Syscalls {
		switch service, host := strings.CutPrefix(name, HostCallPrefix); {
		case host && validName(service):
		case name == FetchChunk, name == StoreChunk, name == SendMessage, name == SpawnThread, name == KillThread:
		default:
			return bad("there is no system call " + printable(name) + "; there are fetchChunk, storeChunk, sendMessage, spawnThread, killThread and hostCall:SERVICE")
		}
		for _, other := range m.Syscalls[:i] {
			if other == name {
				return bad("the system call " + name + " is listed twice")
			}
		}
		if m.Deterministic && name != FetchChunk && name != StoreChunk {
			return bad("a deterministic module may call fetchChunk and storeChunk only, not " + name + "; leave it out, or set deterministic to false")
		}
	}
	if m.Inbox == "" {
		return nil
	}
	if d.methods[m.Inbox] == nil {
		return bad("the inbox " + printable(m.Inbox) + " is none of the module's methods")
	}
	return nil
}

// May reports whether the manifest lists a system call. killThread and waiting
// for a thread come with spawnThread.
func (d *Description) May(name string) bool {
	for _, s := range d.Manifest.Syscalls {
		if s == name || s == SpawnThread && name == KillThread {
			return true
		}
	}
	return false
}

// InboxCall is the call that hands a message to the module: the message is its
// input, and those of fromNode, fromModule and sequence that the method declares
// are its parameters. Unsupported when the module takes no messages.
func (d *Description) InboxCall(from api.NodeID, m wire.ModuleMessage) (Call, error) {
	unit, method, ok := strings.Cut(d.Manifest.Inbox, ".")
	if !ok {
		return Call{}, api.Errorf("module.inbox", api.Unsupported, "the module "+d.Manifest.Name+" takes no messages: its manifest names no inbox")
	}
	params := map[string]any{}
	f := d.methods[d.Manifest.Inbox]
	for name, value := range map[string]any{"fromNode": from.String(), "fromModule": m.From.String(), "sequence": int64(m.Sequence)} {
		if f.schema != nil && f.schema.props[name] != nil {
			params[name] = value
		}
	}
	p, err := canonical(params)
	if err != nil {
		return Call{}, api.E("module.inbox", api.Other, err)
	}
	input := m.Data
	if input == nil {
		input = []byte{}
	}
	return Call{Unit: unit, Method: method, Params: p, Input: input, SubmittedMS: m.SentMS}, nil
}
