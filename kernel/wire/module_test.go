package wire

import (
	"bytes"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"inos/kernel/api"
)

func sampleModule() ModuleManifest {
	return ModuleManifest{
		Name: "compute", Version: "1.2.0", Author: "somebody", Doc: "Computes.", ABI: 1, Deterministic: true,
		Units: []ModuleUnit{{Name: "hash", Doc: "Digests.", Methods: []ModuleMethod{
			{Name: "blake3", InputMediaTypes: []string{"*/*"}, OutputMediaType: "text/plain", InputRequired: true},
			{Name: "sum", ParamsSchema: `{"type":"object"}`},
		}}},
		Limits: api.Limits{Gas: 1, MemoryBytes: 2, OutputBytes: 3, WallMS: 4},
	}
}

func sampleRequest() ModuleRequest {
	return ModuleRequest{
		Unit: "hash", Method: "blake3", Params: []byte(`{"a":1}`), Input: Span{65536, 10}, InputMediaType: "image/png",
		InputName: "a.png", OutputLimit: 1 << 20, JobSeed: [32]byte{1, 2}, SubmittedUnixMS: -5,
	}
}

func TestModuleRoundTrips(t *testing.T) {
	m := sampleModule()
	b, err := EncodeModuleManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeModuleManifest(b); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("manifest: %+v, %v", got, err)
	}
	if b, err = EncodeModuleRequest(sampleRequest()); err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeModuleRequest(b); err != nil || !reflect.DeepEqual(got, sampleRequest()) {
		t.Errorf("request: %+v, %v", got, err)
	}
	for _, p := range []ModuleResponse{
		{Output: Span{1, 2}, MediaType: "text/plain"},
		{Kind: "invalid", Message: "not a picture"},
	} {
		if b, err = EncodeModuleResponse(p); err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeModuleResponse(b); err != nil || got != p {
			t.Errorf("response: %+v, %v", got, err)
		}
	}
}

func TestModuleBounds(t *testing.T) {
	long := sampleModule()
	long.Doc = strings.Repeat("x", MaxModuleDoc+1)
	if _, err := EncodeModuleManifest(long); api.KindOf(err) != api.Invalid {
		t.Errorf("a long doc: %v", err)
	}
	many := sampleModule()
	many.Units = make([]ModuleUnit, MaxModuleUnits+1)
	if _, err := EncodeModuleManifest(many); api.KindOf(err) != api.Invalid {
		t.Errorf("many units: %v", err)
	}
	b, err := EncodeModuleResponse(ModuleResponse{Kind: "invalid", Message: strings.Repeat("m", 5000)})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := DecodeModuleResponse(b); err != nil || len(p.Message) != MaxModuleMessage {
		t.Errorf("a long message: %d bytes, %v", len(p.Message), err)
	}
	for name, b := range map[string][]byte{
		"empty": {}, "short": {0, 0, 0, 0}, "trailing": append(b, 0, 0, 0, 0, 0, 0, 0, 0),
		"segments": {255, 255, 255, 255, 0, 0, 0, 0}, "cut": b[:len(b)-8],
	} {
		if _, err := DecodeModuleResponse(b); api.KindOf(err) != api.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeModuleManifest(f *testing.F) {
	b, _ := EncodeModuleManifest(sampleModule())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeModuleManifest(b)
		if err != nil {
			return
		}
		again, err := EncodeModuleManifest(m)
		if err != nil {
			// Text that is shared between fields may not fit when written apart.
			return
		}
		if n, err := DecodeModuleManifest(again); err != nil || !reflect.DeepEqual(m, n) {
			t.Errorf("%+v became %+v, %v", m, n, err)
		}
	})
}

func FuzzDecodeModuleCall(f *testing.F) {
	q, _ := EncodeModuleRequest(sampleRequest())
	ok, _ := EncodeModuleResponse(ModuleResponse{Output: Span{8, 16}, MediaType: "text/plain"})
	bad, _ := EncodeModuleResponse(ModuleResponse{Kind: "corrupt", Message: "cut off"})
	f.Add(q)
	f.Add(ok)
	f.Add(bad)
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := DecodeModuleResponse(b); err == nil && len(p.Message) > MaxModuleMessage {
			t.Error("a message is too long")
		}
		if q, err := DecodeModuleRequest(b); err == nil && len(q.Params) > api.MaxParams {
			t.Error("parameters are too long")
		}
	})
}

// TestRequestEncoder: an encoder that writes over its last request gives the
// bytes of one that starts anew, whatever came before.
func TestRequestEncoder(t *testing.T) {
	var e RequestEncoder
	random := rand.New(rand.NewSource(1))
	pick := func(of ...string) string { return of[random.Intn(len(of))] }
	for i := range 2000 {
		q := ModuleRequest{
			Unit: pick("hash", "image"), Method: "noop", Params: []byte(pick("{}", `{"a":1}`, `{"b":"`+strings.Repeat("x", maxKeptRequest)+`"}`)),
			InputMediaType: pick("", "image/png"), InputName: pick("", "a.png"), OutputLimit: random.Uint64(), SubmittedUnixMS: random.Int63(),
		}
		if random.Intn(2) == 0 {
			q.Input = Span{random.Uint32(), random.Uint32()}
		}
		random.Read(q.JobSeed[:])
		want, err := EncodeModuleRequest(q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Encode(q)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("request %d: %x instead of %x (%v)", i, got, want, err)
		}
		if back, err := DecodeModuleRequest(got); err != nil || !reflect.DeepEqual(back, q) {
			t.Fatalf("request %d: %+v comes back as %+v (%v)", i, q, back, err)
		}
	}
	if _, err := e.Encode(ModuleRequest{Params: make([]byte, MaxModuleRequest)}); err == nil {
		t.Error("a request beyond its bound is encoded")
	}
}
