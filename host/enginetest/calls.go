package enginetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/module"
)

const nosys = 52 // WASI's errno of a function that there is not

func echo(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Probe(t))
	var gas [2]uint64
	for i := range gas {
		c := Call("echo")
		c.Input = bytes.Repeat([]byte("inos"), 1<<16)
		res, err := m.Call(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(res.Output, c.Input) || res.MediaType != "text/plain" || res.Gas == 0 {
			t.Errorf("%d bytes, %q, %d gas", len(res.Output), res.MediaType, res.Gas)
		}
		gas[i] = res.Gas
	}
	if gas[0] != gas[1] {
		t.Errorf("the same call cost %d and %d", gas[0], gas[1])
	}
}

// Each call sees the state after initialization: globals and memory of the call
// before are gone, also when it grew the memory.
func freshState(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{Workers: 1}), Probe(t))
	for i := range 4 {
		c := Call("stat")
		c.Input = make([]byte, i<<16)
		res, err := m.Call(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if n := binary.LittleEndian.Uint32(res.Output); n != 1 {
			t.Errorf("call %d sees state %d of earlier calls", i, n)
		}
	}
}

func logs(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Probe(t))
	c := Call("log")
	var lines []string
	c.Log = func(level module.LogLevel, line []byte) { lines = append(lines, level.String()+": "+string(line)) }
	if _, err := m.Call(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 || lines[0] != "info: a line from the guest" {
		t.Errorf("%q", lines)
	}
}

func badAlloc(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Guest(t, "badalloc", "echo"))
	if _, err := m.Call(context.Background(), Call("echo")); api.KindOf(err) != api.Trapped {
		t.Errorf("got %v", err)
	}
}

func sticky(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Guest(t, "sticky", "stat", "grow"))
	for range 3 {
		res, err := m.Call(context.Background(), Call("stat"))
		if err != nil || binary.LittleEndian.Uint32(res.Output) != 2 {
			t.Fatalf("%v, %v", res.Output, err)
		}
	}
	if _, err := m.Call(context.Background(), Call("grow")); api.KindOf(err) != api.Exhausted || !strings.Contains(err.Error(), "table") {
		t.Errorf("got %v", err)
	}
}

func wasi(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Guest(t, "wasi", "stat", "exit"))
	var outs [3][]byte
	for i := range outs {
		c := Call("stat")
		c.SubmittedMS = 1_700_000_000_000
		c.Seed = [32]byte{byte(i / 2)}
		var lines []string
		c.Log = func(_ module.LogLevel, line []byte) { lines = append(lines, string(line)) }
		res, err := m.Call(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if ns := binary.LittleEndian.Uint64(res.Output); ns != 1_700_000_000_000_001_000 {
			t.Errorf("the clock reads %d", ns)
		}
		if errno := binary.LittleEndian.Uint32(res.Output[16:]); errno != nosys {
			t.Errorf("path_open returned %d", errno)
		}
		if len(lines) != 1 || lines[0] != "hello" {
			t.Errorf("%q", lines)
		}
		outs[i] = res.Output
	}
	if !bytes.Equal(outs[0], outs[1]) || bytes.Equal(outs[0], outs[2]) {
		t.Error("randomness does not follow the seed")
	}
	if _, err := m.Call(context.Background(), Call("exit")); api.KindOf(err) != api.Trapped {
		t.Errorf("exit: %v", err)
	}
}
