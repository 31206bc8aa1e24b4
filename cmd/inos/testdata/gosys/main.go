// Command gosys is a module in Go that makes every system call there is, for
// TestGoSyscalls.
package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strconv"

	inos "inos/sdk/go"
)

// every makes each system call once and reports what came of it, a line each.
type every struct {
	Link string `json:"link" doc:"An object that the job may fetch."`
	Ours string `json:"ours" doc:"The same link in another spelling, which nobody granted." default:""`
}

func (p every) Run(call *inos.Call) error {
	say := func(what, result string) {
		_, _ = call.WriteString(what + ": " + result + "\n")
	}
	data, size, err := inos.FetchChunk(inos.Source{}, 2, 5)
	if err != nil {
		return err
	}
	say("input", string(data)+" of "+strconv.FormatUint(size, 10))
	into := make([]byte, 8)
	n, size, err := inos.FetchInto(into[:4], inos.Source{Link: p.Link}, 1)
	if err != nil {
		return err
	}
	say("link", string(into[:n])+" of "+strconv.FormatUint(size, 10)+", "+strconv.Quote(string(into[n:])))
	link, err := inos.StoreChunk("object.txt", call.Input(), false)
	if err != nil {
		return err
	}
	stored, _, err := inos.FetchChunk(inos.Source{Link: link}, 0, 0)
	if err != nil {
		return err
	}
	say("object", strconv.FormatBool(bytes.Equal(stored, call.Input())))
	address, err := inos.StoreBlock("block.bin", call.Input())
	if err != nil {
		return err
	}
	stored, _, err = inos.FetchChunk(inos.Source{Address: address}, 0, 0)
	if err != nil {
		return err
	}
	say("block", hex.EncodeToString(address[:])+" "+strconv.FormatBool(bytes.Equal(stored, call.Input())))
	if _, err := inos.HostCall("kv", "put", "k", []byte("a value")); err != nil {
		return err
	}
	answer, err := inos.HostCall("kv", "get", "k", nil)
	if err != nil {
		return err
	}
	say("value", string(answer.Data))
	sent, err := inos.SendMessage("", "gosys", []byte("a letter"))
	if err != nil {
		return err
	}
	say("message", strconv.FormatBool(sent.Sequence > 0 && len(sent.Receipt) > 64))
	return threads(call, say)
}

// threads runs two methods beside this one and kills a third.
func threads(call *inos.Call, say func(what, result string)) error {
	var running [2]inos.Thread
	for i := range running {
		var err error
		if running[i], err = inos.Spawn("call", "upper", "", call.Input(), 0); err != nil {
			return err
		}
	}
	for _, t := range running {
		out, gas, err := t.Join()
		if err != nil {
			return err
		}
		say("thread", string(out)+", gas "+strconv.FormatBool(gas > 0))
	}
	endless, err := inos.Spawn("call", "spin", "", call.Input(), 0)
	if err != nil {
		return err
	}
	if err := endless.Kill(); err != nil {
		return err
	}
	_, _, err = endless.Join()
	var refused *inos.SyscallError
	if !errors.As(err, &refused) {
		return inos.Errorf(inos.Invalid, "a killed thread can be joined")
	}
	say("killed", refused.Kind)
	_, err = inos.HostCall("http", "get", "https://example.org/", nil)
	if !errors.As(err, &refused) {
		return inos.Errorf(inos.Invalid, "a service that the manifest does not list was called")
	}
	say("unlisted", refused.Kind)
	return nil
}

// upper is what threads run.
type upper struct{}

func (upper) Run(call *inos.Call) error {
	_, err := call.Write(bytes.ToUpper(call.Input()))
	return err
}

// spin ends when it is killed.
type spin struct{}

func (spin) Run(*inos.Call) error {
	for n := 1; n != 0; n |= 1 {
		n += 2
	}
	return nil
}

// note takes a message: it keeps it as a value.
type note struct {
	FromModule string `json:"fromModule" doc:"Who sent it."`
}

func (p note) Run(call *inos.Call) error {
	_, err := inos.HostCall("kv", "put", "letter", append([]byte(p.FromModule[:8]+" "), call.Input()...))
	return err
}

// letter returns what note kept.
type letter struct{}

func (letter) Run(call *inos.Call) error {
	a, err := inos.HostCall("kv", "get", "letter", nil)
	if err != nil {
		return err
	}
	_, err = call.Write(a.Data)
	return err
}

var module = inos.Module{
	Name: "gosys", Version: "1.0.0", Doc: "Makes every system call.", Nondeterministic: true,
	Syscalls: []string{inos.SysFetch, inos.SysStore, inos.SysSend, inos.SysSpawn, inos.SysKV},
	Inbox:    "call.note",
	Units: []inos.Unit{{Name: "call", Doc: "Calls.", Methods: []inos.Method{
		inos.MethodOf[every]("every", "Makes each system call once."),
		inos.MethodOf[upper]("upper", "Runs in a thread."),
		inos.MethodOf[spin]("spin", "Runs for ever."),
		inos.MethodOf[note]("note", "Takes a message."),
		inos.MethodOf[letter]("letter", "Returns the last message.", inos.NoInput()),
	}}},
}

func init() { inos.Serve(&module) }
func main() { inos.Main() }
