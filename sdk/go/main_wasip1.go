//go:build wasip1

package inos

import (
	"runtime"
	"unsafe"
)

// buffers keeps what the node wrote, and what it reads, where it is until the
// node has restored the instance. A call takes two and makes two.
var buffers [][]byte

//go:wasmimport inos log
func hostLog(level int32, pointer unsafe.Pointer, length int32)

//go:wasmimport inos syscall
func hostSyscall(pointer unsafe.Pointer, length int32) int64

//go:wasmexport inos_abi
func exportABI() int32 { return served.abi() }

// exportAlloc answers with memory of whole words, which Go aligns to 8 bytes.
//
//go:wasmexport inos_alloc
func exportAlloc(size int32) int32 {
	n := uint64(uint32(size))
	if n == 0 {
		n = 8
	}
	words := make([]uint64, (n+7)/8)
	// SAFETY: the slice covers exactly the words just made.
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
	buffers = append(buffers, b)
	return int32(uintptr(unsafe.Pointer(&words[0])))
}

//go:wasmexport inos_call
func exportCall(pointer, length int32) int64 {
	b := answer(memory(uint32(pointer), uint32(length)))
	buffers = append(buffers, b)
	return int64(place(b))<<32 | int64(len(b))
}

// answer serves a request and returns the response.
func answer(b []byte) []byte {
	r, ok := decodeRequest(b)
	if !ok {
		return encodeFailure(&Error{Invalid, "the request is not readable"})
	}
	if served == nil {
		return encodeFailure(&Error{Unsupported, "the program serves no module: call inos.Serve from init"})
	}
	f, err := served.method(r.unit, r.method)
	if err != nil {
		return encodeFailure(failure(err))
	}
	call := &Call{
		input: memory(r.pointer, r.length), limit: r.limit, inType: r.inType, inName: r.inName, seed: r.seed, submitted: r.submitted,
	}
	if err := f.run(r.params, call); err != nil {
		return encodeFailure(failure(err))
	}
	buffers = append(buffers, call.output)
	return encodeOutput(place(call.output), uint32(len(call.output)), call.mediaType)
}

// memory is a part of linear memory that exportAlloc handed out.
func memory(pointer, length uint32) []byte {
	for _, b := range buffers {
		if place(b) == pointer && uint32(len(b)) >= length {
			return b[:length:length]
		}
	}
	return nil
}

func place(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	return uint32(uintptr(unsafe.Pointer(&b[0])))
}

// submit makes a system call. The node reads the request, and data beside it, and
// answers in memory that it has from exportAlloc.
func submit(request, data []byte) (completion, error) {
	v := uint64(hostSyscall(unsafe.Pointer(&request[0]), int32(len(request))))
	runtime.KeepAlive(data)
	return decodeCompletion(memory(uint32(v>>32), uint32(v)))
}

// Main is the body of a module's main, which no node calls.
func Main() {}

// Log writes a line to the node's log, which cuts it at 4096 bytes and a call at
// 256 lines.
func Log(level Level, line string) {
	if line != "" {
		hostLog(int32(level), unsafe.Pointer(unsafe.StringData(line)), int32(len(line)))
	}
}
