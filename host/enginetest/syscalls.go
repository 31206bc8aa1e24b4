package enginetest

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/module/guest"
	"inos/kernel/syscall"
	"inos/kernel/wire"
)

// Syscalls runs what an engine must do for guests that make system calls, against
// the real kernel/syscall.
func Syscalls(t *testing.T, mk Make) {
	for name, test := range map[string]func(*testing.T, Make){
		"ReachTheKernel": reachesTheKernel, "WithoutAKernel": withoutAKernel, "Faults": syscallFaults, "BlockNobody": syscallsBlockNobody,
	} {
		t.Run(name, func(t *testing.T) { test(t, mk) })
	}
}

// answering serves hostCall with what it is told to; a guest that waits for it
// waits for ctx.
type answering struct {
	syscall.Services
	data  []byte
	block bool
	calls atomic.Int64
}

func (a *answering) Host(ctx context.Context, _ *syscall.Caller, _, _, key string, _ []byte) (syscall.HostAnswer, error) {
	a.calls.Add(1)
	if a.block {
		<-ctx.Done()
		return syscall.HostAnswer{}, ctx.Err()
	}
	return syscall.HostAnswer{Code: 1, Data: append([]byte(key+"="), a.data...)}, nil
}

// Syscaller is a guest whose method test.call makes system calls; the length of its input says
// how: 8 one, 32 as many as its gas pays for.
func Syscaller(t testing.TB) []byte {
	t.Helper()
	b, err := wire.EncodeModuleManifest(module.Manifest{
		Name: "syscaller", Version: "1.0.0", ABI: 2, Syscalls: []string{"hostCall:kv"},
		Units: []module.Unit{{Name: "test", Methods: []module.Method{{Name: "call"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return bin.AppendSection(Raw(t, "syscaller"), bin.Custom, append(bin.AppendName(nil, module.Section), b...))
}

// session opens the system calls of one call against the real kernel.
func session(t testing.TB, m module.Module, s syscall.Services) *syscall.Session {
	t.Helper()
	began := time.Now()
	k, err := syscall.New(syscall.Config{
		Services: s, Now: func() int64 { return int64(time.Since(began)) },
		Policy: syscall.Policy{Rules: []syscall.Rule{{Module: "*", Rate: 1e6}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k.Open(syscall.Caller{Module: m.Description(), Limits: api.Limits{}.WithDefaults()})
}

func result(t testing.TB, completion []byte) wire.SyscallResult {
	t.Helper()
	c, err := wire.DecodeSyscallCompletion(completion)
	if err != nil {
		t.Fatal(err)
	}
	return c.Result
}

func reachesTheKernel(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Syscaller(t))
	var gas [2]uint64
	for i := range gas {
		c := Call("call")
		c.Input, c.Syscalls = make([]byte, 8), session(t, m, &answering{data: bytes.Repeat([]byte("v"), 1000)})
		res, err := m.Call(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := result(t, res.Output).(wire.HostDone); !ok || a.Code != 1 || a.Data.Length != 1002 {
			t.Errorf("completed with %+v", result(t, res.Output))
		}
		gas[i] = res.Gas
	}
	if gas[0] != gas[1] || gas[0] != 2165 {
		t.Errorf("the same call cost %d and %d gas", gas[0], gas[1])
	}
}

func withoutAKernel(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Syscaller(t))
	c := Call("call")
	c.Input = make([]byte, 8)
	res, err := m.Call(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := result(t, res.Output).(wire.SyscallFailed); !ok || f.Kind != api.Unsupported {
		t.Errorf("completed with %+v", result(t, res.Output))
	}
	c.Input, c.Syscalls = make([]byte, 40), session(t, m, &answering{})
	if res, err = m.Call(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if f, ok := result(t, res.Output).(wire.SyscallFailed); !ok || f.Kind != api.Invalid {
		t.Errorf("a long request completed with %+v", result(t, res.Output))
	}
}

// Guests that break the rules of the import end, and the module serves on.
func syscallFaults(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{Workers: 1}), Syscaller(t))
	for _, tt := range []struct {
		mode  int
		kind  api.Kind
		words string
	}{
		{16, api.Trapped, "memory that it does not have"},
		{24, api.Trapped, "outside inos_call"},
		{32, api.Exhausted, "gas"},
	} {
		s := &answering{}
		c := Call("call")
		c.Limits.Gas = 50_000_000
		c.Input, c.Syscalls = make([]byte, tt.mode), session(t, m, s)
		if _, err := m.Call(context.Background(), c); api.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("mode %d: %v, want %v with %q", tt.mode, err, tt.kind, tt.words)
		}
		if most := int64(50_000_000 / guest.SyscallGas); s.calls.Load() > most {
			t.Errorf("mode %d: %d calls on gas for %d", tt.mode, s.calls.Load(), most)
		}
	}
	c := Call("call")
	c.Input, c.Syscalls = make([]byte, 8), session(t, m, &answering{})
	if _, err := m.Call(context.Background(), c); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// A guest in a system call holds no worker, and stops for its deadline, its
// caller and the engine.
func syscallsBlockNobody(t *testing.T, mk Make) {
	e := mk(t, Config{Workers: 1})
	m := Load(t, e, Syscaller(t))
	start := func(ctx context.Context, wall uint32) (*answering, chan error) {
		s := &answering{block: true}
		c := Call("call")
		c.Limits.WallMS = wall
		c.Input, c.Syscalls = make([]byte, 8), session(t, m, s)
		done := make(chan error, 1)
		go func() {
			_, err := m.Call(ctx, c)
			done <- err
		}()
		deadline := time.Now().Add(20 * time.Second)
		for s.calls.Load() == 0 {
			if time.Now().After(deadline) {
				t.Fatal("the guest made no system call in 20 s")
			}
			time.Sleep(time.Millisecond)
		}
		return s, done
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, canceled := start(ctx, 60_000)
	free := Call("call")
	free.Input, free.Syscalls = make([]byte, 8), session(t, m, &answering{})
	if _, err := m.Call(context.Background(), free); err != nil {
		t.Errorf("another call meanwhile: %v", err)
	}
	cancel()
	if err := <-canceled; api.KindOf(err) != api.Canceled {
		t.Errorf("canceled: %v", err)
	}
	_, late := start(context.Background(), 50)
	if err := <-late; api.KindOf(err) != api.Timeout {
		t.Errorf("after its time: %v", err)
	}
	_, closed := start(context.Background(), 60_000)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; api.KindOf(err) != api.Closed {
		t.Errorf("when the engine closed: %v", err)
	}
}
