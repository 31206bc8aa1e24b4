package inos

// System calls ask the node for more than computing. A module lists those that it
// makes in Module.Syscalls; a deterministic one may list SysFetch and SysStore. Each
// costs gas, is bounded, and may be refused: by the manifest, by the node's rules, by
// a rate or a budget. *SyscallError says which.
//
// Bytes that a call returns lie in the module's memory and live until the call of the
// module ends. Outside WebAssembly every system call fails with "unsupported".
// docs/abi.md specifies the exchange.

// Names of the system calls for Module.Syscalls. Awaiting and killing threads come
// with SysSpawn.
const (
	SysFetch = "fetchChunk"
	SysStore = "storeChunk"
	SysSend  = "sendMessage"
	SysSpawn = "spawnThread"
	SysKV    = "hostCall:kv"
	SysHTTP  = "hostCall:http"
)

// maxTransfer is how many bytes one system call moves.
const maxTransfer = 16 << 20

// SyscallError is a system call that was not done. Kind is the name that nodes use:
// invalid, not-found, denied, exhausted, unfunded, unavailable, timeout, unsupported
// or another. A method that returns it ends its job.
type SyscallError struct{ Kind, Message string }

// Error returns message and kind.
func (e *SyscallError) Error() string { return e.Message + " (" + e.Kind + ")" }

// kind is what a job that ends with the error has.
func (e *SyscallError) kind() Kind {
	switch e.Kind {
	case "not-found":
		return NotFound
	case "denied", "unsupported":
		return Unsupported
	case "exhausted", "unfunded", "unavailable", "timeout":
		return Exhausted
	}
	return Invalid
}

// Source is what a fetch reads from: the job's own input when it is zero.
type Source struct {
	Link    string   // an object, by a link that the job's parameters name
	Address [32]byte // the wire bytes of a block, by an address that they name
	Path    string   // a file, in a folder
}

// FetchChunk reads length bytes from offset, or all up to 16 MiB when length is 0,
// and returns them, fewer at the end, with the size of the whole.
func FetchChunk(from Source, offset uint64, length uint32) (data []byte, size uint64, err error) {
	c, err := submit(fetchRequest(from, offset, length, nil))
	if err != nil {
		return nil, 0, err
	}
	return memory(c.data()), c.body.u64(0), nil
}

// FetchInto reads from offset as much as p holds, at most 16 MiB, and returns how
// much that was and the size of the whole. Nothing is copied on the way.
func FetchInto(p []byte, from Source, offset uint64) (n int, size uint64, err error) {
	if len(p) == 0 {
		return 0, 0, &SyscallError{"invalid", "there is no room to fetch into"}
	}
	p = p[:min(len(p), maxTransfer)]
	c, err := submit(fetchRequest(from, offset, uint32(len(p)), p))
	if err != nil {
		return 0, 0, err
	}
	_, length := c.data()
	return int(length), c.body.u64(0), nil
}

// StoreChunk stores at most 16 MiB as an object of the job's owner and returns its
// link. A public object can be read by anybody who knows its address.
func StoreChunk(name string, data []byte, public bool) (link string, err error) {
	flags := uint64(0)
	if public {
		flags = storePublic
	}
	c, err := submit(storeRequest(name, data, flags))
	if err != nil {
		return "", err
	}
	return string(c.body.bytes(0, true)), nil
}

// StoreBlock stores 1 to 1,048,592 bytes as one block of the job's owner, as they
// are: neither compressed nor sealed. The address is the BLAKE3 of the bytes, by which
// anybody may read it.
func StoreBlock(name string, data []byte) (address [32]byte, err error) {
	c, err := submit(storeRequest(name, data, storeBlock))
	if err != nil {
		return address, err
	}
	copy(address[:], c.body.bytes(1, false))
	return address, nil
}

// Sent is what SendMessage achieved: the message lies in the mailbox.
type Sent struct {
	Sequence uint64 // rises with each message from this module to the node
	Receipt  []byte // signed by the receiving node
}

// SendMessage sends at most 64 KiB to a module: on the node with this did:key, or on
// this one when node is empty. Messages of one module to one node arrive in order,
// each at most once.
func SendMessage(node, module string, data []byte) (Sent, error) {
	c, err := submit(sendRequest(node, module, data))
	if err != nil {
		return Sent{}, err
	}
	return Sent{Sequence: c.body.u64(0), Receipt: append([]byte(nil), c.body.bytes(0, false)...)}, nil
}

// Thread is a method that runs beside its caller. One that is neither joined nor
// killed ends with its caller.
type Thread struct{ id uint64 }

// Spawn runs a method of this module beside the caller, in an instance of its own,
// on gas of the caller's; 0 is an eighth of what is left. params is a JSON object, or
// empty. An instance has an eighth of the job's memory limit and at least 16 MiB.
func Spawn(unit, method, params string, input []byte, gas uint64) (Thread, error) {
	c, err := submit(spawnRequest(unit, method, params, input, gas))
	if err != nil {
		return Thread{}, err
	}
	return Thread{c.root.u64(2)}, nil
}

// Join waits for the thread and takes its output and the gas that it used. A
// failure of the thread is the error.
func (t Thread) Join() (output []byte, gas uint64, err error) {
	c, err := submit(threadRequest(opAwait, t.id))
	if err != nil {
		return nil, 0, err
	}
	return memory(c.data()), c.body.u64(0), nil
}

// Kill stops the thread; it has ended when Kill returns.
func (t Thread) Kill() error {
	_, err := submit(threadRequest(opKill, t.id))
	return err
}

// Answer is what a service answered.
type Answer struct {
	Code   uint32 // the service's own; http: the status
	Detail string // the service's own; http: the content type
	Data   []byte // the service's own; http: the body
}

// HostCall asks a named service of the node: kv with get, put, delete and list, http
// with get, head, post, put and delete.
func HostCall(service, operation, argument string, data []byte) (Answer, error) {
	c, err := submit(hostRequest(service, operation, argument, data))
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Code: uint32(c.body.u64(0)), Detail: string(c.body.bytes(0, true)), Data: memory(c.spanAt(1)),
	}, nil
}
