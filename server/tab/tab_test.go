package tab

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"inos/kernel/api"
)

// wire is a pair of channels: to carries the page's messages, from the kernel's.
type wire struct{ to, from chan []byte }

func (w wire) Send(ctx context.Context, parts ...[]byte) error {
	select {
	case w.from <- bytes.Join(parts, nil):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w wire) Receive(ctx context.Context) ([]byte, error) {
	select {
	case m := <-w.to:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fake is a node that stores one object in memory.
type fake struct {
	Backend
	data []byte
}

func (f *fake) Status(context.Context) (api.Status, error) { return api.Status{Name: "tab"}, nil }

func (f *fake) Stat(context.Context, api.StatRequest) (api.Stat, error) {
	return api.Stat{}, api.Errorf("fake.stat", api.NotFound, "there is none")
}

func (f *fake) Put(_ context.Context, req api.PutRequest, body io.Reader, progress func(api.Progress)) (api.Object, error) {
	b, err := io.ReadAll(body)
	f.data = b
	progress(api.Progress{Bytes: uint64(len(b))})
	return api.Object{Name: req.Name}, err
}

func (f *fake) Get(_ context.Context, _ api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error {
	w, err := begin(api.FileInfo{Size: uint64(len(f.data))})
	if err != nil {
		return err
	}
	_, err = w.Write(f.data)
	return err
}

func (f *fake) ModuleAdd(_ context.Context, wasm io.Reader) (api.ModuleInfo, error) {
	b, err := io.ReadAll(wasm)
	return api.ModuleInfo{Size: uint64(len(b))}, err
}

func (f *fake) ModuleStart(_ context.Context, ref string, req api.ResidentStart) (api.Resident, error) {
	return api.Resident{Name: ref, Workers: req.Workers}, nil
}

func (f *fake) Events(ctx context.Context, _ uint64, _ func(api.Event) error) error {
	<-ctx.Done()
	return api.E("fake.events", api.Other, ctx.Err())
}

// hostOf is a tab whose node is n.
type hostOf struct {
	Host
	n *fake
}

func (h hostOf) Node() (Backend, error) {
	if h.n == nil {
		return nil, api.Errorf("fake.node", api.NotFound, "this tab is in no mesh yet")
	}
	return h.n, nil
}

type page struct {
	t *testing.T
	wire
}

func open(t *testing.T, n *fake) *page {
	t.Helper()
	w := wire{to: make(chan []byte, 256), from: make(chan []byte, 256)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, w, hostOf{n: n}) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("calls outlive their connection")
		}
	})
	return &page{t, w}
}

func (p *page) say(kind byte, id uint32, payload []byte) { p.to <- append(head(kind, id), payload...) }

func (p *page) call(id uint32, method string, args any) {
	p.t.Helper()
	b, err := json.Marshal(map[string]any{"method": method, "args": args})
	if err != nil {
		p.t.Fatal(err)
	}
	p.say(kindCall, id, b)
}

// next is the kernel's next message.
func (p *page) next() (kind byte, id uint32, payload []byte) {
	p.t.Helper()
	select {
	case m := <-p.from:
		return m[0], binary.LittleEndian.Uint32(m[1:]), m[frameHead:]
	case <-time.After(5 * time.Second):
		p.t.Fatal("the kernel says nothing")
		return 0, 0, nil
	}
}

func (p *page) wantFailure(id uint32, kind api.Kind) {
	p.t.Helper()
	k, got, payload := p.next()
	var f failure
	if err := json.Unmarshal(payload, &f); err != nil || k != kindFailure || got != id || f.Kind != kind.String() || f.Message == "" {
		p.t.Errorf("call %d: message %d of %d, %s, want a failure of kind %s", id, k, got, payload, kind)
	}
}

func TestCallsAreAnsweredOnceAndByKind(t *testing.T) {
	p := open(t, &fake{})
	p.call(1, "status", nil)
	k, id, payload := p.next()
	var st api.Status
	if err := json.Unmarshal(payload, &st); err != nil || k != kindResult || id != 1 || st.Name != "tab" {
		t.Errorf("status: message %d of %d, %s", k, id, payload)
	}
	p.call(2, "stat", api.StatRequest{})
	p.wantFailure(2, api.NotFound)
	p.call(3, "format", nil)
	p.wantFailure(3, api.Unsupported)
	p.call(4, "stat", "text")
	p.wantFailure(4, api.Invalid)
	p.say(kindCall, 5, []byte("{"))
	p.wantFailure(5, api.Invalid)
	p.say(kindBody, 99, []byte("nobody's")) // ignored
	p.to <- []byte{1, 2}                    // too short for anything
	p.call(6, "events", 0)
	p.say(kindCancel, 6, nil)
	p.wantFailure(6, api.Canceled)
}

// Modules are added from the call's body and started with what the HTTP API takes.
func TestModulesAreAddedAndStarted(t *testing.T) {
	p := open(t, &fake{})
	p.call(1, "moduleStart", map[string]any{"ref": "boids", "workers": 2})
	_, _, payload := p.next()
	var r api.Resident
	if err := json.Unmarshal(payload, &r); err != nil || r.Name != "boids" || r.Workers != 2 {
		t.Errorf("started %s", payload)
	}
	p.call(2, "moduleAdd", nil)
	p.say(kindBody, 2, []byte("a module"))
	p.say(kindBodyEnd, 2, nil)
	for {
		k, _, payload := p.next()
		if k != kindResult {
			continue // room for more of the body
		}
		var m api.ModuleInfo
		if err := json.Unmarshal(payload, &m); err != nil || m.Size != 8 {
			t.Errorf("added %s", payload)
		}
		return
	}
}

func TestATabInNoMeshSaysSo(t *testing.T) {
	p := open(t, nil)
	p.call(1, "status", nil)
	p.wantFailure(1, api.NotFound)
}

func TestAtMost64CallsRun(t *testing.T) {
	p := open(t, &fake{})
	for id := range uint32(maxCalls) {
		p.call(id, "events", 0)
	}
	p.call(1000, "status", nil)
	p.wantFailure(1000, api.Exhausted)
	p.call(3, "status", nil)
	p.wantFailure(3, api.Exists)
}

// Calls that are refused cost a page that does not read the answers no goroutines of
// the kernel, and each is answered in the end.
func TestRefusalsWaitInOnePlace(t *testing.T) {
	w := wire{to: make(chan []byte), from: make(chan []byte)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, w, hostOf{n: &fake{}}) }()
	p, calls, before := &page{t, w}, uint32(10*maxCalls), runtime.NumGoroutine()
	go func() {
		for id := range calls {
			p.call(id, "format", nil)
		}
	}()
	time.Sleep(100 * time.Millisecond)
	if more := runtime.NumGoroutine() - before; more > 8 {
		t.Errorf("%d goroutines wait for the page", more)
	}
	for id := range calls {
		p.wantFailure(id, api.Unsupported)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A page that reads no results gets no further calls served.
func TestResultsWaitInBounds(t *testing.T) {
	w := wire{to: make(chan []byte), from: make(chan []byte)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, w, hostOf{n: &fake{}}) }()
	p, before := &page{t, w}, runtime.NumGoroutine()
	for id := range uint32(2 * maxCalls) {
		p.call(id, "status", nil)
		time.Sleep(time.Millisecond) // it has ended but for its answer
	}
	if more := runtime.NumGoroutine() - before; more > maxCalls+8 {
		t.Errorf("%d goroutines wait for the page", more)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An empty frame is nothing to read.
func TestEmptyFramesOfABody(t *testing.T) {
	b := newBody(t.Context(), func(int) {})
	for range 1000 {
		_ = b.add(nil)
	}
	_ = b.add([]byte("x"))
	b.finish()
	if len(b.parts) != 1 {
		t.Errorf("%d parts are kept", len(b.parts))
	}
	buf := make([]byte, 8)
	if n, err := b.Read(buf); n != 1 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if n, err := b.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// Body and output are bounded by the window, and arrive whole.
func TestBytesWaitForRoom(t *testing.T) {
	n := &fake{}
	p := open(t, n)
	data := make([]byte, 3*Window/2)
	_, _ = rand.Read(data)
	p.call(1, "put", api.PutRequest{Name: "f"})
	room, sent := Window, 0
	for sent < len(data) {
		for room == 0 {
			if k, _, payload := p.next(); k == kindBodyTaken {
				room += int(binary.LittleEndian.Uint32(payload))
			}
		}
		c := min(1<<20, room, len(data)-sent)
		p.say(kindBody, 1, data[sent:sent+c])
		sent, room = sent+c, room-c
	}
	p.say(kindBodyEnd, 1, nil)
	for k := byte(0); k != kindResult; {
		k, _, _ = p.next()
	}
	if !bytes.Equal(n.data, data) {
		t.Fatal("the body did not arrive as it was sent")
	}

	p.call(2, "get", api.GetRequest{})
	var got []byte
	if k, _, _ := p.next(); k != kindItem {
		t.Fatal("no description comes before the bytes")
	}
	for len(got) < Window {
		_, _, payload := p.next()
		got = append(got, payload...)
	}
	select {
	case m := <-p.from:
		t.Fatalf("a message of kind %d came though the window is full", m[0])
	case <-time.After(50 * time.Millisecond):
	}
	p.say(kindTaken, 2, binary.LittleEndian.AppendUint32(nil, Window))
	for {
		k, _, payload := p.next()
		if k == kindResult {
			break
		}
		got = append(got, payload...)
	}
	if !bytes.Equal(got, data) {
		t.Error("the output did not arrive as it was written")
	}
}

// A page that sends more than it may loses the call, and nothing else.
func TestAPageThatFloodsLosesTheCall(t *testing.T) {
	p := open(t, &fake{})
	p.call(1, "events", 0) // reads no body
	for range Window/(1<<20) + 1 {
		p.say(kindBody, 1, make([]byte, 1<<20))
	}
	p.wantFailure(1, api.Canceled)
	p.call(2, "status", nil)
	if k, id, _ := p.next(); k != kindResult || id != 2 {
		t.Error("the connection did not survive")
	}
}

func TestSettingsBoundTheOffer(t *testing.T) {
	for _, c := range []struct {
		s    Settings
		want int
	}{
		{Settings{}, 0},
		{Settings{Contribute: true}, 4},
		{Settings{Contribute: true, CPUCap: 100}, 6},
		{Settings{Contribute: true, CPUCap: 1}, 1},
		{Settings{Contribute: true, CPUCap: 100, Workers: 2}, 2},
		{Settings{Contribute: true, Yield: "hidden"}, 0},
	} {
		if got := c.s.Offer(8, 6); got != c.want {
			t.Errorf("%+v offers %d of 8 cores, want %d", c.s, got, c.want)
		}
	}
}

// On any machine and with any cap, the jobs of others that run at once keep to it
// together, and use most of it where cores can be counted.
func TestSharesKeepToTheCap(t *testing.T) {
	for cores := 1; cores <= 64; cores++ {
		for percent := 1; percent <= 100; percent++ {
			s := Settings{Contribute: true, CPUCap: percent}
			share := s.Share(cores)
			if share < 0 || share >= 1 {
				t.Fatalf("%d %% of %d cores: a share of %v", percent, cores, share)
			}
			used := float64(s.Offer(cores, 64))
			if share > 0 {
				used *= share
			}
			if most := float64(cores*percent) / 100; used > most+1e-9 || used < most/2 {
				t.Errorf("%d %% of %d cores are %v; jobs of others take %v", percent, cores, most, used)
			}
		}
	}
	if got := (Settings{CPUCap: 10}).Share(2); got != 0.2 {
		t.Errorf("10 %% of two cores: a share of %v", got)
	}
	if got := (Settings{}).Share(1); got != 0.5 {
		t.Errorf("without a cap, on one core: %v", got)
	}
}
