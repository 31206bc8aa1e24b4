package syscall

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// Bounds of threads.
const (
	maxThreads   = 16       // of one call, that run or wait to be awaited
	threadShare  = 8        // a thread has this part of its call's memory limit
	threadMemory = 16 << 20 // and at least this much, if its call has
)

// thread is a running thread and the gas set aside for it.
type thread struct {
	Thread
	gas uint64
}

// spawn serves spawnThread. The gas is set aside until the thread is awaited,
// killed, or the call ends.
func (s *Session) spawn(ctx context.Context, op wire.SpawnThread, g module.Guest) (wire.SyscallResult, error) {
	c := &s.caller
	if c.Thread {
		return nil, &refusal{Limited, "a thread starts no threads; start them from the call itself"}
	}
	if len(s.threads) >= maxThreads {
		return nil, &refusal{Limited, "16 threads of this call run or wait; await or kill some"}
	}
	input, err := view(g, op.Input, wire.MaxSyscallTransfer)
	if err != nil {
		return nil, err
	}
	gas := op.Gas
	if gas == 0 {
		gas = g.Left() / 8
	}
	if gas == 0 || !g.TakeGas(gas) {
		return nil, &refusal{Limited, "the call has less gas left than the thread is to get"}
	}
	s.last++
	call := module.Call{
		Unit: op.Unit, Method: op.Method, Params: []byte(op.Params), Limits: c.Limits,
		Seed: threadSeed(c.Seed, s.last), SubmittedMS: c.SubmittedMS,
	}
	call.Limits.Gas = gas
	call.Limits.MemoryBytes = max(c.Limits.MemoryBytes/threadShare, min(threadMemory, c.Limits.MemoryBytes))
	call.Limits.OutputBytes = min(c.Limits.OutputBytes, wire.MaxSyscallTransfer) // it waits in memory to be awaited
	if len(input) > 0 {                                                          // the caller goes on and may change its own
		call.Input = append([]byte(nil), input...)
	}
	t, err := s.k.cfg.Services.Spawn(ctx, c, call)
	if err != nil {
		g.GiveGas(gas)
		return nil, err
	}
	if s.threads == nil {
		s.threads = map[uint64]*thread{}
	}
	s.threads[s.last] = &thread{Thread: t, gas: gas}
	return wire.SpawnDone{Thread: s.last}, nil
}

// threadSeed derives a thread's randomness from its call's.
func threadSeed(seed [32]byte, id uint64) [32]byte {
	return blake3.Sum256(binary.LittleEndian.AppendUint64(append([]byte("inos thread seed v1\x00"), seed[:]...), id))
}

// kill serves killThread: the thread has ended when it returns.
func (s *Session) kill(id uint64, g module.Guest) (wire.SyscallResult, error) {
	t, err := s.thread(id)
	if err != nil {
		return nil, err
	}
	t.Kill()
	s.reap(id, g)
	return wire.KillDone{}, nil
}

// await serves awaitThread. A thread that failed is a failure of the same kind.
func (s *Session) await(ctx context.Context, id uint64, g module.Guest) (wire.SyscallResult, error) {
	t, err := s.thread(id)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.Done():
	case <-ctx.Done():
		return nil, api.E("syscall.await", api.Other, ctx.Err())
	}
	res, err := s.reap(id, g)
	if err != nil {
		return nil, err
	}
	at, err := give(g, res.Output)
	if err != nil {
		return nil, err
	}
	return wire.AwaitDone{Data: at, Gas: res.Gas}, nil
}

func (s *Session) thread(id uint64) (*thread, error) {
	t := s.threads[id]
	if t == nil {
		return nil, api.Errorf("syscall.thread", api.NotFound, fmt.Sprintf("the call has no thread %d; it was awaited or killed, or never started", id))
	}
	return t, nil
}

// reap waits for a thread to end, forgets it, and gives back its gas but what
// it used.
func (s *Session) reap(id uint64, g module.Guest) (module.Result, error) {
	t := s.threads[id]
	<-t.Done()
	delete(s.threads, id)
	res, err := t.Result()
	g.GiveGas(t.gas - min(res.Gas, t.gas))
	return res, err
}
