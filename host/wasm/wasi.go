package wasm

import (
	"encoding/binary"
	"strings"

	"github.com/zeebo/blake3"

	"inos/host/internal/machine"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/wire"
)

// WASI preview 1, the deterministic subset: no arguments, no environment, no
// files, a clock that starts at the job's submit time, randomness from the
// job's seed. A function that is not here returns ENOSYS.
//
// Source: WASI snapshot preview 1, witx/wasi_snapshot_preview1.witx.

// Errno values.
const (
	wasiOK     = 0
	wasiBADF   = 8
	wasiFAULT  = 21
	wasiINVAL  = 28
	wasiNOSYS  = 52
	wasiSPIPE  = 70
	stdioFiles = 3 // descriptors 0, 1 and 2
)

// wasiFunc serves one function; args are its parameters.
type wasiFunc func(in *instance, args []uint64) uint32

var wasiFuncs = map[string]wasiFunc{
	"args_get":            func(*instance, []uint64) uint32 { return wasiOK },
	"args_sizes_get":      zeroSizes,
	"environ_get":         func(*instance, []uint64) uint32 { return wasiOK },
	"environ_sizes_get":   zeroSizes,
	"clock_res_get":       clockRes,
	"clock_time_get":      clockTime,
	"fd_close":            stdio(func(*instance, []uint64) uint32 { return wasiOK }),
	"fd_fdstat_get":       stdio(fdstat),
	"fd_fdstat_set_flags": stdio(func(*instance, []uint64) uint32 { return wasiOK }),
	"fd_read":             stdio(fdRead),
	"fd_seek":             stdio(func(*instance, []uint64) uint32 { return wasiSPIPE }),
	"fd_write":            stdio(fdWrite),
	"fd_prestat_get":      func(*instance, []uint64) uint32 { return wasiBADF },
	"fd_prestat_dir_name": func(*instance, []uint64) uint32 { return wasiBADF },
	"poll_oneoff":         pollOneoff,
	"random_get":          randomGet,
	"sched_yield":         func(*instance, []uint64) uint32 { return wasiOK },
	"proc_exit": func(_ *instance, args []uint64) uint32 {
		panic(guest.Exited)
	},
}

// linkWASI resolves a function, which has the type that the module declares when
// it is none of ours.
func linkWASI(name string, t machine.Type) machine.HostFunc {
	f := wasiFuncs[name]
	if f == nil {
		f = func(*instance, []uint64) uint32 { return wasiNOSYS }
	}
	answers := !strings.HasSuffix(string(t), ":")
	return func(g any, stack []uint64) {
		in := g.(*instance)
		in.charge(guest.WASIGas)
		errno := f(in, stack)
		if answers {
			stack[0] = uint64(errno)
		}
	}
}

// stdio refuses descriptors other than 0, 1 and 2.
func stdio(f wasiFunc) wasiFunc {
	return func(in *instance, args []uint64) uint32 {
		if uint32(args[0]) >= stdioFiles {
			return wasiBADF
		}
		return f(in, args)
	}
}

// at returns n bytes of guest memory at a pointer argument.
func (in *instance) at(p uint64, n uint32) ([]byte, bool) {
	return in.view(wire.Span{Pointer: uint32(p), Length: n})
}

func (in *instance) put32(p uint64, v uint32) bool {
	b, ok := in.at(p, 4)
	if ok {
		binary.LittleEndian.PutUint32(b, v)
	}
	return ok
}

func (in *instance) put64(p uint64, v uint64) bool {
	b, ok := in.at(p, 8)
	if ok {
		binary.LittleEndian.PutUint64(b, v)
	}
	return ok
}

func errno(ok bool) uint32 {
	if ok {
		return wasiOK
	}
	return wasiFAULT
}

func zeroSizes(in *instance, args []uint64) uint32 {
	return errno(in.put32(args[0], 0) && in.put32(args[1], 0))
}

func clockRes(in *instance, args []uint64) uint32 {
	if uint32(args[0]) > 3 {
		return wasiINVAL
	}
	return errno(in.put64(args[1], 1000*guest.ClockStepUS))
}

func clockTime(in *instance, args []uint64) uint32 {
	if uint32(args[0]) > 3 {
		return wasiINVAL
	}
	in.run.clockUS += guest.ClockStepUS
	ns := in.run.clockUS * 1000
	if c := in.run.call; c != nil {
		ns += c.SubmittedMS * 1_000_000
	}
	return errno(in.put64(args[2], uint64(ns)))
}

func fdstat(in *instance, args []uint64) uint32 {
	b, ok := in.at(args[1], 24)
	if ok {
		clear(b)
		b[0] = 2                                   // character device
		binary.LittleEndian.PutUint64(b[8:], 1<<6) // right to write
	}
	return errno(ok)
}

func fdRead(in *instance, args []uint64) uint32 { return errno(in.put32(args[3], 0)) } // end of file

// fdWrite turns what is written to the standard descriptors into log lines.
func fdWrite(in *instance, args []uint64) uint32 {
	n := uint32(args[2])
	if n > guest.MaxIOVecs {
		return wasiINVAL
	}
	vecs, ok := in.at(args[1], 8*n)
	if !ok {
		return wasiFAULT
	}
	in.charge(uint64(n) * guest.VecGas)
	total := uint64(0)
	for ; len(vecs) > 0; vecs = vecs[8:] {
		b, ok := in.at(uint64(binary.LittleEndian.Uint32(vecs)), binary.LittleEndian.Uint32(vecs[4:]))
		if !ok {
			return wasiFAULT
		}
		total += uint64(len(b))
		if len(b) > 0 {
			in.emit(module.Info, b)
		}
	}
	return errno(in.put32(args[3], uint32(total)))
}

// pollOneoff answers every clock at once, after moving the clock to the latest
// of them, and reports the other subscriptions as ready.
func pollOneoff(in *instance, args []uint64) uint32 {
	const subSize, eventSize = 48, 32
	n := uint32(args[2])
	if n == 0 || n > guest.MaxSubs {
		return wasiINVAL
	}
	subs, ok := in.at(args[0], n*subSize)
	if !ok {
		return wasiFAULT
	}
	events, ok := in.at(args[1], n*eventSize)
	if !ok {
		return wasiFAULT
	}
	in.charge(uint64(n) * guest.SubGas)
	for i := range n {
		s, e := subs[i*subSize:][:subSize], events[i*eventSize:][:eventSize]
		user, tag := binary.LittleEndian.Uint64(s), s[8]
		if tag == 0 && binary.LittleEndian.Uint16(s[40:])&1 == 0 {
			wait := binary.LittleEndian.Uint64(s[24:]) / 1000
			in.run.clockUS += int64(min(wait, 1<<40)) // relative timeouts only move the clock
		}
		clear(e)
		binary.LittleEndian.PutUint64(e, user)
		e[10] = tag
	}
	return errno(in.put32(args[3], n))
}

// randomStream is BLAKE3's extendable output, keyed by the job's seed.
type randomStream struct{ d *blake3.Digest }

func newRandom(seed [32]byte) *randomStream {
	h := blake3.NewDeriveKey(guest.RandomContext)
	_, _ = h.Write(seed[:])
	return &randomStream{h.Digest()}
}

func randomGet(in *instance, args []uint64) uint32 {
	n := uint32(args[1])
	if n > guest.MaxRandom {
		return wasiINVAL
	}
	b, ok := in.at(args[0], n)
	if !ok {
		return wasiFAULT
	}
	in.charge(uint64(n) * guest.RandomGas)
	r := &in.run
	if r.random == nil {
		seed := [32]byte{}
		if r.call != nil {
			seed = r.call.Seed
		}
		r.random = newRandom(seed)
	}
	_, _ = r.random.d.Read(b)
	return wasiOK
}
