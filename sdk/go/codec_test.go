package inos

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// The generated code and this package's must understand each other.
func TestMessagesAgreeWithTheGeneratedCode(t *testing.T) {
	in := wire.ModuleRequest{
		Unit: "text", Method: "count", Params: []byte(`{"top":3}`), Input: wire.Span{Pointer: 4096, Length: 77}, InputMediaType: "text/plain",
		InputName: "a.txt", OutputLimit: 1 << 33, JobSeed: [32]byte{1, 31: 9}, SubmittedUnixMS: -5,
	}
	b, err := wire.EncodeModuleRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := decodeRequest(b)
	if !ok || r.unit != "text" || r.method != "count" || string(r.params) != `{"top":3}` || r.pointer != 4096 || r.length != 77 ||
		r.inType != "text/plain" || r.inName != "a.txt" || r.limit != 1<<33 || r.seed != in.JobSeed || r.submitted != -5 {
		t.Errorf("%+v, %v", r, ok)
	}

	for _, media := range []string{"", "text/csv"} {
		out, err := wire.DecodeModuleResponse(encodeOutput(64, 5, media))
		if err != nil || out.Output.Pointer != 64 || out.Output.Length != 5 || out.MediaType != media {
			t.Errorf("%q: %+v, %v", media, out, err)
		}
	}
	for _, message := range []string{"", "too long", strings.Repeat("é", 600)} {
		out, err := wire.DecodeModuleResponse(encodeFailure(&Error{Exhausted, message}))
		if err != nil || out.Kind != "exhausted" || out.Message != shorten(message) {
			t.Errorf("%q: %+v, %v", message, out, err)
		}
	}
	if got := shorten(strings.Repeat("é", 600)); got != strings.Repeat("é", 512) {
		t.Errorf("cut to %d bytes", len(got))
	}
}

// Requests of system calls as the node reads them. Data is all that place knows of
// outside WebAssembly: that it begins at 64 KiB.
func TestSyscallsAgreeWithTheGeneratedCode(t *testing.T) {
	data := []byte("data")
	at := wire.Span{Pointer: 1 << 16, Length: 4}
	address := [32]byte{1, 31: 2}
	for _, tt := range []struct {
		request func() ([]byte, []byte)
		want    wire.SyscallOp
	}{
		{func() ([]byte, []byte) { return fetchRequest(Source{}, 7, 9, nil) }, wire.FetchChunk{Offset: 7, Length: 9}},
		{func() ([]byte, []byte) { return fetchRequest(Source{Link: "inos:b#k", Path: "a/b"}, 0, 0, data) }, wire.FetchChunk{Link: "inos:b#k", Path: "a/b", Into: at}},
		{func() ([]byte, []byte) { return fetchRequest(Source{Address: address}, 1, 4, data) }, wire.FetchChunk{Address: address, Offset: 1, Length: 4, Into: at}},
		{func() ([]byte, []byte) { return storeRequest("name", data, storePublic) }, wire.StoreChunk{Name: "name", Data: at, Public: true}},
		{func() ([]byte, []byte) { return storeRequest("name", data, storeBlock) }, wire.StoreChunk{Name: "name", Data: at, Block: true}},
		{func() ([]byte, []byte) { return sendRequest("", "m", nil) }, wire.SendMessage{Module: "m"}},
		{func() ([]byte, []byte) { return sendRequest("did:key:z", "m", data) }, wire.SendMessage{Node: "did:key:z", Module: "m", Data: at}},
		{func() ([]byte, []byte) { return spawnRequest("u", "m", "{}", data, 1<<40) }, wire.SpawnThread{Unit: "u", Method: "m", Params: "{}", Input: at, Gas: 1 << 40}},
		{func() ([]byte, []byte) { return threadRequest(opKill, 3) }, wire.KillThread{Thread: 3}},
		{func() ([]byte, []byte) { return threadRequest(opAwait, 1<<40) }, wire.AwaitThread{Thread: 1 << 40}},
		{func() ([]byte, []byte) { return hostRequest("kv", "put", "key", data) }, wire.HostCall{Service: "kv", Operation: "put", Argument: "key", Data: at}},
	} {
		b, _ := tt.request()
		q, err := wire.DecodeSyscallRequest(b)
		if err != nil || q.Op != tt.want || q.ID != 0 || !q.Source.IsZero() || q.DeadlineMS != 0 {
			t.Errorf("got %+v, %v; want %+v", q, err, tt.want)
		}
	}
}

func TestCompletionsAgreeWithTheGeneratedCode(t *testing.T) {
	read := func(r wire.SyscallResult) completion {
		t.Helper()
		b, err := wire.EncodeSyscallCompletion(wire.SyscallCompletion{ID: 5, Result: r})
		if err != nil {
			t.Fatal(err)
		}
		c, err := decodeCompletion(b)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := read(wire.FetchDone{Data: wire.Span{Pointer: 8, Length: 4}, Size: 100})
	if p, n := c.data(); p != 8 || n != 4 || c.body.u64(0) != 100 {
		t.Errorf("fetched %d bytes at %d of %d", n, p, c.body.u64(0))
	}
	c = read(wire.StoreDone{Link: "inos:b#k", Size: 9, Address: [32]byte{3}})
	if string(c.body.bytes(0, true)) != "inos:b#k" || len(c.body.bytes(1, false)) != 32 || c.body.bytes(1, false)[0] != 3 {
		t.Errorf("stored %q, %x", c.body.bytes(0, true), c.body.bytes(1, false))
	}
	c = read(wire.SendDone{Sequence: 7, Receipt: []byte("receipt")})
	if c.body.u64(0) != 7 || string(c.body.bytes(0, false)) != "receipt" {
		t.Errorf("sent %d, %q", c.body.u64(0), c.body.bytes(0, false))
	}
	if c = read(wire.SpawnDone{Thread: 12}); c.root.u64(2) != 12 {
		t.Errorf("spawned %d", c.root.u64(2))
	}
	c = read(wire.HostDone{Code: 404, Detail: "text/plain", Data: wire.Span{Pointer: 16, Length: 5}})
	if p, n := c.spanAt(1); uint32(c.body.u64(0)) != 404 || string(c.body.bytes(0, true)) != "text/plain" || p != 16 || n != 5 {
		t.Errorf("answered %d, %q, %d at %d", c.body.u64(0), c.body.bytes(0, true), n, p)
	}
	c = read(wire.AwaitDone{Data: wire.Span{Pointer: 32, Length: 6}, Gas: 77})
	if p, n := c.data(); p != 32 || n != 6 || c.body.u64(0) != 77 {
		t.Errorf("ended with %d bytes at %d, %d gas", n, p, c.body.u64(0))
	}
	read(wire.KillDone{})
	b, err := wire.EncodeSyscallCompletion(wire.SyscallCompletion{Result: wire.SyscallFailed{Kind: api.Denied, Message: "not listed"}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *SyscallError
	if _, err := decodeCompletion(b); !errors.As(err, &refused) || *refused != (SyscallError{"denied", "not listed"}) || failure(err).Kind != Unsupported {
		t.Errorf("refused: %v", err)
	}
}

func TestSyscallsOutsideWebAssembly(t *testing.T) {
	if _, err := HostCall("kv", "get", "k", nil); failure(err).Kind != Unsupported {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeCompletion(f *testing.F) {
	b, _ := wire.EncodeSyscallCompletion(wire.SyscallCompletion{ID: 5, Result: wire.StoreDone{Link: "inos:b#k", Size: 9, Address: [32]byte{3}}})
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, err := decodeCompletion(b); err == nil {
			c.data()
			c.body.bytes(1, false)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	b, _ := wire.EncodeModuleRequest(wire.ModuleRequest{Unit: "u", Method: "m", Params: []byte("{}")})
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decodeRequest(b) })
}

// shape is a method with every kind of parameter.
type shape struct {
	Name  string   `json:"name" doc:"Its name." min:"1" max:"4" enum:"a,b"`
	Size  uint8    `json:"size" default:"3" max:"9"`
	Ratio *float64 `json:"ratio"`
	Tags  []string `json:"tags,omitempty" min:"1"`
	At    struct {
		X int `json:"x" default:"0"`
	} `json:"at,omitzero"`
}

func (p shape) Run(call *Call) error {
	_, err := call.WriteString(p.Name + strings.Repeat("!", int(p.Size)))
	return err
}

func TestManifestFromTags(t *testing.T) {
	m := Module{Name: "m", Version: "1.0.0", Units: []Unit{{Name: "u", Methods: []Method{MethodOf[shape]("shape", "Shapes.", NoInput())}}}}
	var b bytes.Buffer
	if err := m.WriteManifest(&b); err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"m","version":"1.0.0","deterministic":true,"limits":{},"units":[{"name":"u","methods":[{"name":"shape","doc":"Shapes.",` +
		`"params":{"type":"object","properties":{"at":{"type":"object","properties":{"x":{"type":"integer","default":0}},"additionalProperties":false},` +
		`"name":{"type":"string","description":"Its name.","enum":["a","b"],"minLength":1,"maxLength":4},"ratio":{"type":"number"},` +
		`"size":{"type":"integer","default":3,"minimum":0,"maximum":9},"tags":{"type":"array","items":{"type":"string"},"minItems":1}},` +
		`"required":["name"],"additionalProperties":false},"no_input":true}]}]}` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
	if out, err := m.Run("u", "shape", []byte(`{"name":"a"}`), nil); err != nil || string(out) != "a!!!" {
		t.Errorf("%q, %v", out, err)
	}
	for _, params := range []string{`{}`, `{"name":"a","other":1}`, `[]`} {
		if _, err := m.Run("u", "shape", []byte(params), nil); err == nil || failure(err).Kind != Invalid {
			t.Errorf("%s: %v", params, err)
		}
	}
	call := &Call{limit: 2}
	if err := (shape{Name: "abc"}).Run(call); failure(err).Kind != Exhausted {
		t.Errorf("over the limit: %v", err)
	}
}
