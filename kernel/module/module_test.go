package module

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/module/bin"
	"inos/kernel/wire"
)

// guestModule assembles the smallest file that Parse accepts: functions of the
// right names whose types only the engine checks.
func guestModule(t testing.TB, m Manifest) []byte {
	t.Helper()
	raw, err := wire.EncodeModuleManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte(bin.Header)
	b = bin.AppendSection(b, bin.Type, []byte{1, 0x60, 0, 0})
	b = bin.AppendSection(b, bin.Function, []byte{1, 0})
	b = bin.AppendSection(b, bin.Memory, []byte{1, 0, 1})
	exports := []byte{4}
	for _, name := range []string{"inos_abi", "inos_alloc", "inos_call"} {
		exports = append(bin.AppendName(exports, name), bin.KindFunc, 0)
	}
	exports = append(bin.AppendName(exports, "memory"), bin.KindMemory, 0)
	b = bin.AppendSection(b, bin.Export, exports)
	b = bin.AppendSection(b, bin.Code, []byte{1, 2, 0, 0x0b})
	return bin.AppendSection(b, bin.Custom, append(bin.AppendName(nil, Section), raw...))
}

const resizeSchema = `{"type":"object","required":["width"],"properties":{
	"width":{"type":"integer","minimum":1,"maximum":16384},
	"fit":{"type":"string","enum":["contain","cover"],"default":"contain"},
	"quality":{"type":"number","exclusiveMinimum":0,"maximum":100},
	"name":{"type":"string","minLength":1,"maxLength":4},
	"tags":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":2},
	"crop":{"type":"object","properties":{"x":{"type":"integer","default":0}}}}}`

func sample() Manifest {
	return Manifest{
		Name: "compute", Version: "1.0.0", ABI: 1, Limits: api.Limits{Gas: 7, WallMS: 9},
		Units: []Unit{{Name: "image", Methods: []Method{
			{Name: "resize", ParamsSchema: resizeSchema, InputMediaTypes: []string{"image/*"}, OutputMediaType: "image/png", InputRequired: true},
			{Name: "none"},
		}}},
	}
}

func TestParse(t *testing.T) {
	b := guestModule(t, sample())
	d, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if d.Manifest.Name != "compute" || d.Hash != HashOf(b) || d.Size != uint64(len(b)) {
		t.Errorf("%+v", d)
	}
	info := d.Info()
	if info.Units[0].Methods[0].Returns[0] != "image/png" || info.Units[0].Methods[1].Returns[0] != "application/octet-stream" {
		t.Errorf("%+v", info)
	}
}

func TestManifestRules(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Manifest)
		kind   api.Kind
		words  string
	}{
		{"name", func(m *Manifest) { m.Name = "Compute" }, api.Invalid, "name"},
		{"version", func(m *Manifest) { m.Version = "1.0" }, api.Invalid, "semantic version"},
		{"leading zero", func(m *Manifest) { m.Version = "1.01.0" }, api.Invalid, "semantic version"},
		{"abi", func(m *Manifest) { m.ABI = 3 }, api.Invalid, "ABI 3"},
		{"resident", func(m *Manifest) { m.Resident = true }, api.Invalid, "resident"},
		{"syscalls", func(m *Manifest) { m.Syscalls = []string{"fetchChunk"} }, api.Unsupported, "system calls"},
		{"inbox of abi 1", func(m *Manifest) { m.Inbox = "image.none" }, api.Unsupported, "messages"},
		{"unknown syscall", func(m *Manifest) { m.ABI, m.Syscalls = 2, []string{"fork"} }, api.Invalid, "no system call fork"},
		{"nameless service", func(m *Manifest) { m.ABI, m.Syscalls = 2, []string{"hostCall:"} }, api.Invalid, "no system call"},
		{"syscall twice", func(m *Manifest) { m.ABI, m.Syscalls = 2, []string{"fetchChunk", "fetchChunk"} }, api.Invalid, "twice"},
		{"deterministic sender", func(m *Manifest) {
			m.ABI, m.Deterministic, m.Syscalls = 2, true, []string{"fetchChunk", "storeChunk", "sendMessage"}
		}, api.Invalid, "deterministic module may call"},
		{"deterministic host call", func(m *Manifest) {
			m.ABI, m.Deterministic, m.Syscalls = 2, true, []string{"hostCall:kv"}
		}, api.Invalid, "deterministic module may call"},
		{"inbox", func(m *Manifest) { m.ABI, m.Inbox = 2, "image.post" }, api.Invalid, "none of the module's methods"},
		{"no units", func(m *Manifest) { m.Units = nil }, api.Invalid, "no units"},
		{"unit name", func(m *Manifest) { m.Units[0].Name = "a.b" }, api.Invalid, "unit's name"},
		{"method twice", func(m *Manifest) { m.Units[0].Methods[1].Name = "resize" }, api.Invalid, "twice"},
		{"media", func(m *Manifest) { m.Units[0].Methods[0].OutputMediaType = "png" }, api.Invalid, "media type"},
		{"schema json", func(m *Manifest) { m.Units[0].Methods[1].ParamsSchema = "{" }, api.Invalid, "not JSON"},
		{"schema type", func(m *Manifest) { m.Units[0].Methods[1].ParamsSchema = `{"type":"array"}` }, api.Invalid, "type object"},
		{"schema keyword", func(m *Manifest) {
			m.Units[0].Methods[1].ParamsSchema = `{"type":"object","properties":{"a":{"pattern":"x"}}}`
		}, api.Invalid, "pattern"},
		{"schema default", func(m *Manifest) {
			m.Units[0].Methods[1].ParamsSchema = `{"type":"object","properties":{"a":{"type":"string","default":1}}}`
		}, api.Invalid, "default"},
		{"schema depth", func(m *Manifest) {
			m.Units[0].Methods[1].ParamsSchema = strings.Repeat(`{"items":`, 20) + "{}" + strings.Repeat("}", 20)
		}, api.Invalid, "nested"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := sample()
			tt.change(&m)
			if _, err := Parse(guestModule(t, m)); api.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want %v with %q", err, tt.kind, tt.words)
			}
		})
	}
	for _, v := range []string{"0.0.0", "1.2.3-rc.1", "1.2.3+build.5", "10.20.30-alpha-1+x"} {
		if !validVersion(v) {
			t.Errorf("%s is refused", v)
		}
	}
}

func TestPrepare(t *testing.T) {
	d, err := Parse(guestModule(t, sample()))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ params, want, words string }{
		{`{"width":256}`, `{"fit":"contain","width":256}`, ""},
		{`{ "width" : 2.56e2, "fit":"cover" }`, `{"fit":"cover","width":256}`, ""},
		{`{"width":1,"crop":{}}`, `{"crop":{"x":0},"fit":"contain","width":1}`, ""},
		{`{"width":1,"name":"<é>"}`, `{"fit":"contain","name":"<é>","width":1}`, ""},
		{`{"width":1,"quality":0.5}`, `{"fit":"contain","quality":0.5,"width":1}`, ""},
		{``, "", "width is missing"},
		{`[]`, "", "of type object"},
		{`{"width":1}{}`, "", "follows"},
		{`{"width":"1"}`, "", "width must be of type integer"},
		{`{"width":1.5}`, "", "width must be of type integer"},
		{`{"width":0}`, "", "at least 1"},
		{`{"width":99999}`, "", "at most 16384"},
		{`{"width":1,"fit":"x"}`, "", `one of "contain", "cover"`},
		{`{"width":1,"quality":0}`, "", "greater than 0"},
		{`{"width":1,"name":""}`, "", "at least 1 characters"},
		{`{"width":1,"name":"éèàüö"}`, "", "at most 4"},
		{`{"width":1,"tags":[]}`, "", "at least 1 entries"},
		{`{"width":1,"tags":["a",2]}`, "", "tags[1] must be of type string"},
		{`{"width":1,"crop":{"y":1}}`, "", "no parameter crop.y; there are x"},
		{`{"widht":1,"width":1}`, "", "no parameter widht"},
		{"{\"width\":1,\"name\":\"\xff\"}", "", "UTF-8"},
		{`{"width":1e999}`, "", "too large"},
	}
	for _, tt := range tests {
		c := Call{Unit: "image", Method: "resize", Params: json.RawMessage(tt.params), Input: []byte{}}
		err := d.Prepare(&c)
		if tt.words != "" {
			if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%s: got %v, want %q", tt.params, err, tt.words)
			}
			continue
		}
		if err != nil || string(c.Params) != tt.want {
			t.Errorf("%s: %s, %v", tt.params, c.Params, err)
		}
		if c.Limits.Gas != 7 || c.Limits.WallMS != 9 || c.Limits.MemoryBytes != api.DefaultMemory {
			t.Errorf("limits %+v", c.Limits)
		}
	}
	for _, c := range []Call{
		{Unit: "image", Method: "crop"},
		{Unit: "image", Method: "resize", Params: json.RawMessage(`{"width":1}`)},
		{Unit: "image", Method: "none", Params: json.RawMessage(`{"a":1}`)},
		{Unit: "image", Method: "none", Params: make(json.RawMessage, api.MaxParams+1)},
		{Unit: "image", Method: "none", Name: strings.Repeat("x", 200)},
	} {
		if err := d.Prepare(&c); !errors.Is(err, api.Invalid) && !errors.Is(err, api.NotFound) {
			t.Errorf("%s: %v", c.Method, err)
		}
	}
	c := Call{Unit: "image", Method: "none"}
	if err := d.Prepare(&c); err != nil || string(c.Params) != "{}" {
		t.Errorf("%s, %v", c.Params, err)
	}
}

// FuzzParse: no file makes Parse panic, and what it accepts it can prepare.
func FuzzParse(f *testing.F) {
	f.Add(guestModule(f, sample()))
	f.Add([]byte(bin.Header))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			return
		}
		for _, u := range d.Manifest.Units {
			for _, m := range u.Methods {
				_ = d.Prepare(&Call{Unit: u.Name, Method: m.Name, Input: []byte{}})
			}
		}
	})
}

// FuzzParams: canonical parameters are a fixed point.
func FuzzParams(f *testing.F) {
	f.Add(`{"width":1,"name":"ab"}`)
	f.Add(`{"width":1e2,"crop":{"x":-0}}`)
	s, err := parseSchema(resizeSchema)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := s.apply(json.RawMessage(text))
		if err != nil {
			return
		}
		twice, err := s.apply(once)
		if err != nil || string(once) != string(twice) {
			t.Errorf("%s becomes %s, then %s (%v)", text, once, twice, err)
		}
	})
}
