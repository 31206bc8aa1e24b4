package inos

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
)

// Module is everything a module says about itself.
type Module struct {
	Name             string // 1 to 32 of a-z 0-9 -
	Version          string // a semantic version
	Author           string // for people; at most 128 bytes
	Doc              string // one paragraph
	Nondeterministic bool   // true takes back the promise that the same call gives the same bytes everywhere
	Limits           Limits // of calls that name none

	// Syscalls are those that the module makes, such as SysFetch; a deterministic
	// module may list SysFetch and SysStore only.
	Syscalls []string

	// Inbox is the unit.method that takes messages of other modules as its input;
	// empty for a module that takes none. Parameters fromNode, fromModule and
	// sequence that it has are filled in.
	Inbox string

	Units []Unit // 1 to 32 with distinct names
}

// abi is the version of the ABI that the module needs: 2 for system calls and messages.
func (m *Module) abi() int32 {
	if m == nil || len(m.Syscalls) == 0 && m.Inbox == "" {
		return 1
	}
	return 2
}

// Limits of a call; zero means the node's default.
type Limits struct {
	Gas         uint64 `json:"gas,omitempty"`
	MemoryBytes uint64 `json:"memory_bytes,omitempty"`
	OutputBytes uint64 `json:"output_bytes,omitempty"`
	WallMS      uint32 `json:"wall_ms,omitempty"`
}

// Unit is a named group of 1 to 64 methods.
type Unit struct {
	Name    string
	Doc     string
	Methods []Method
}

// Method is one entry of a unit, made by MethodOf.
type Method struct {
	name, doc   string
	reads       []string
	writes      string
	withoutBody bool
	params      reflect.Type
	run         func(params []byte, call *Call) error
}

// Runner is a method: its fields are the parameters. The node checks them against
// the schema that their tags make, and fills in defaults, before Run sees them:
//
//	json:"name,omitempty"  the name; omitempty or a pointer makes it optional
//	doc:"..."              the description
//	default:"2"            the value when absent, in JSON (a string without quotes)
//	min:"1" max:"9"        bounds: of a number's value, a string's or list's length
//	enum:"a,b"             the texts there are
//
// Types: bool, integers, floats, string, slices and structs of these.
type Runner interface {
	Run(call *Call) error
}

// Option changes what a method declares.
type Option func(*Method)

// Reads names the media types of the input, such as "text/*"; without it the
// method reads anything.
func Reads(types ...string) Option { return func(m *Method) { m.reads = types } }

// Writes names the media type of the output; without it it is
// application/octet-stream.
func Writes(mediaType string) Option { return func(m *Method) { m.writes = mediaType } }

// NoInput lets a method be called without input.
func NoInput() Option { return func(m *Method) { m.withoutBody = true } }

// MethodOf is the table entry of R.
func MethodOf[R Runner](name, doc string, options ...Option) Method {
	m := Method{name: name, doc: doc, params: reflect.TypeFor[R](), run: func(params []byte, call *Call) error {
		var r R
		if err := json.Unmarshal(params, &r); err != nil {
			return Errorf(Invalid, "the parameters of "+name+": "+err.Error())
		}
		return r.Run(call)
	}}
	for _, o := range options {
		o(&m)
	}
	return m
}

// Run calls a method with a seed of zeros, for tests. params is a JSON object
// with every parameter that has no default; nil means {}.
func (m *Module) Run(unit, method string, params, input []byte) ([]byte, error) {
	call := &Call{input: input, limit: 1 << 40}
	if len(params) == 0 {
		params = []byte("{}")
	}
	f, err := m.method(unit, method)
	if err != nil {
		return nil, err
	}
	if params, err = withDefaults(f.params, params); err != nil {
		return nil, err
	}
	err = f.run(params, call)
	return call.output, err
}

func (m *Module) method(unit, name string) (*Method, error) {
	for i := range m.Units {
		if m.Units[i].Name != unit {
			continue
		}
		for j := range m.Units[i].Methods {
			if f := &m.Units[i].Methods[j]; f.name == name {
				return f, nil
			}
		}
	}
	return nil, Errorf(NotFound, "the module "+m.Name+" has no method "+unit+"."+name)
}

// Call is what a method sees of the call it serves. It is an io.Writer for the
// output; Reader is the input as a stream.
type Call struct {
	input     []byte
	output    []byte
	limit     uint64
	mediaType string
	inType    string
	inName    string
	seed      [32]byte
	submitted int64
}

// Input is the whole input; empty when the call has none. The method may change
// it and may write slices of it.
func (c *Call) Input() []byte { return c.input }

// Reader reads the input from its start.
func (c *Call) Reader() io.Reader { return &reader{b: c.input} }

// Write appends to the output. Beyond the call's limit it writes nothing and
// fails with Exhausted; return that error.
func (c *Call) Write(p []byte) (int, error) {
	if uint64(len(c.output))+uint64(len(p)) > c.limit {
		return 0, Errorf(Exhausted, "the output is longer than the call allows; raise its output limit")
	}
	c.output = append(c.output, p...)
	return len(p), nil
}

// WriteString is Write of a string.
func (c *Call) WriteString(s string) (int, error) { return c.Write([]byte(s)) }

// SetMediaType names the output's media type when it is not the declared one.
func (c *Call) SetMediaType(t string) { c.mediaType = t }

// InputMediaType is a hint from the job, often empty, never checked.
func (c *Call) InputMediaType() string { return c.inType }

// InputName is a hint for people, often empty, never a path.
func (c *Call) InputName() string { return c.inName }

// OutputLimit is how many bytes the output may have.
func (c *Call) OutputLimit() uint64 { return c.limit }

// Seed is the job's seed, the only source of randomness there is.
func (c *Call) Seed() [32]byte { return c.seed }

// SubmittedUnixMS is when the job was submitted, the only clock there is.
func (c *Call) SubmittedUnixMS() int64 { return c.submitted }

type reader struct{ b []byte }

func (r *reader) Read(p []byte) (int, error) {
	if len(r.b) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// WriteTo hands the rest over in one piece, for io.Copy.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(r.b)
	r.b = r.b[n:]
	return int64(n), err
}

// failure is err as a node understands it.
func failure(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var s *SyscallError
	if errors.As(err, &s) {
		return &Error{s.kind(), s.Message}
	}
	return &Error{Invalid, err.Error()}
}
