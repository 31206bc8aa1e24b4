package wire

import (
	"encoding/binary"

	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	modulev1 "inos/protocols/gen/go/module/v1"
)

// Bounds of a module's manifest, in bytes or entries. docs/abi.md repeats them
// for authors.
const (
	MaxModuleManifest = 256 << 10
	MaxModuleName     = 32
	MaxModuleVersion  = 64
	MaxModuleAuthor   = 128
	MaxModuleDoc      = 4096
	MaxModuleUnits    = 32
	MaxModuleMethods  = 64 // of one unit
	MaxModuleSchema   = 16 << 10
	MaxModuleTypes    = 32 // media types of one method
	MaxModuleSyscalls = 32
	MaxModuleSyscall  = 64 // "hostCall:" and a service's name

	// MaxModuleMedia bounds a media type and an input's name.
	MaxModuleMedia = 128

	// maxModuleSegments bounds the segments of a message that a guest or its
	// toolchain wrote.
	maxModuleSegments = 16
)

// ModuleManifest is what a module says about itself.
type ModuleManifest struct {
	Name          string       `json:"name"`
	Version       string       `json:"version"`
	Author        string       `json:"author,omitempty"`
	Doc           string       `json:"doc,omitempty"`
	ABI           uint16       `json:"abi"`
	Deterministic bool         `json:"deterministic"`
	Resident      bool         `json:"resident"` // else guest
	Units         []ModuleUnit `json:"units"`
	Limits        api.Limits   `json:"limits"`             // defaults of its calls; zero means the node's
	Syscalls      []string     `json:"syscalls,omitempty"` // what it may call
	Inbox         string       `json:"inbox,omitempty"`    // unit.method that takes messages; "" takes none
}

// ModuleUnit is a named group of methods.
type ModuleUnit struct {
	Name    string         `json:"name"`
	Doc     string         `json:"doc,omitempty"`
	Methods []ModuleMethod `json:"methods"`
}

// ModuleMethod is one method of a unit.
type ModuleMethod struct {
	Name            string   `json:"name"`
	Doc             string   `json:"doc,omitempty"`
	ParamsSchema    string   `json:"params_schema,omitempty"` // JSON Schema; empty: takes none
	InputMediaTypes []string `json:"input_media_types,omitempty"`
	OutputMediaType string   `json:"output_media_type,omitempty"`
	InputRequired   bool     `json:"input_required"`
}

// EncodeModuleManifest is the content of the custom section "inos.manifest". It
// refuses what DecodeModuleManifest would.
func EncodeModuleManifest(m ModuleManifest) ([]byte, error) {
	const op = "wire.encodemodulemanifest"
	b, err := newModuleRecord(op, func(seg *capnp.Segment) error {
		root, err := modulev1.NewRootManifest(seg)
		if err != nil {
			return err
		}
		root.SetAbi(m.ABI)
		root.SetDeterministic(m.Deterministic)
		if m.Resident {
			root.SetKind(modulev1.Kind_resident)
		}
		return firstOf(
			root.SetName(m.Name), root.SetVersion(m.Version), root.SetAuthor(m.Author), root.SetDoc(m.Doc),
			putModuleLimits(root, m.Limits),
			putTexts(root.NewSyscalls, m.Syscalls), root.SetInbox(m.Inbox),
			putModuleUnits(root, m.Units),
		)
	})
	if err != nil {
		return nil, err
	}
	if _, err := DecodeModuleManifest(b); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	return b, nil
}

func putModuleLimits(root modulev1.Manifest, l api.Limits) error {
	v, err := root.NewLimits()
	if err != nil {
		return err
	}
	v.SetGas(l.Gas)
	v.SetMemoryBytes(l.MemoryBytes)
	v.SetOutputBytes(l.OutputBytes)
	v.SetWallMs(l.WallMS)
	return nil
}

func putTexts(list func(int32) (capnp.TextList, error), texts []string) error {
	if len(texts) == 0 {
		return nil
	}
	l, err := list(int32(len(texts)))
	if err != nil {
		return err
	}
	for i, t := range texts {
		if err := l.Set(i, t); err != nil {
			return err
		}
	}
	return nil
}

func putModuleUnits(root modulev1.Manifest, units []ModuleUnit) error {
	l, err := root.NewUnits(int32(len(units)))
	if err != nil {
		return err
	}
	for i, u := range units {
		v := l.At(i)
		if err := firstOf(v.SetName(u.Name), v.SetDoc(u.Doc), putModuleMethods(v, u.Methods)); err != nil {
			return err
		}
	}
	return nil
}

func putModuleMethods(unit modulev1.Unit, methods []ModuleMethod) error {
	l, err := unit.NewMethods(int32(len(methods)))
	if err != nil {
		return err
	}
	for i, m := range methods {
		v := l.At(i)
		v.SetInputRequired(m.InputRequired)
		err := firstOf(
			v.SetName(m.Name), v.SetDoc(m.Doc), v.SetParamsSchema(m.ParamsSchema),
			putTexts(v.NewInputMediaTypes, m.InputMediaTypes), v.SetOutputMediaType(m.OutputMediaType),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// DecodeModuleManifest reads the custom section "inos.manifest". It checks sizes
// and counts; kernel/module checks names, versions and schemas.
func DecodeModuleManifest(b []byte) (ModuleManifest, error) {
	const op = "wire.decodemodulemanifest"
	var m ModuleManifest
	msg, err := openModuleRecord(op, b, MaxModuleManifest)
	if err != nil {
		return m, err
	}
	root, err := modulev1.ReadRootManifest(msg)
	if err != nil {
		return m, api.E(op, api.Invalid, err)
	}
	r := &reader{}
	m.Name = r.text(MaxModuleName, root.Name)
	m.Version = r.text(MaxModuleVersion, root.Version)
	m.Author = r.text(MaxModuleAuthor, root.Author)
	m.Doc = r.text(MaxModuleDoc, root.Doc)
	m.ABI = root.Abi()
	m.Deterministic = root.Deterministic()
	switch root.Kind() {
	case modulev1.Kind_guest:
	case modulev1.Kind_resident:
		m.Resident = true
	default:
		r.invalid("a module is a guest or a resident")
	}
	if l, err := root.Limits(); err != nil {
		r.fail(err)
	} else {
		m.Limits = api.Limits{Gas: l.Gas(), MemoryBytes: l.MemoryBytes(), OutputBytes: l.OutputBytes(), WallMS: l.WallMs()}
	}
	m.Syscalls = texts(r, MaxModuleSyscalls, MaxModuleSyscall, root.Syscalls)
	m.Inbox = r.text(2*MaxModuleName+1, root.Inbox)
	m.Units = moduleUnits(r, root)
	if r.err != nil {
		return ModuleManifest{}, api.E(op, api.Invalid, r.err)
	}
	return m, nil
}

func texts(r *reader, max, size int, get func() (capnp.TextList, error)) []string {
	l, err := get()
	if err != nil {
		r.fail(err)
		return nil
	}
	var out []string
	for i := range r.count(l.Len(), max) {
		out = append(out, r.text(size, func() (string, error) { return l.At(i) }))
	}
	return out
}

func moduleUnits(r *reader, root modulev1.Manifest) []ModuleUnit {
	l, err := root.Units()
	if err != nil {
		r.fail(err)
		return nil
	}
	var out []ModuleUnit
	for i := range r.count(l.Len(), MaxModuleUnits) {
		u := l.At(i)
		out = append(out, ModuleUnit{
			Name: r.text(MaxModuleName, u.Name), Doc: r.text(MaxModuleDoc, u.Doc), Methods: moduleMethods(r, u),
		})
	}
	return out
}

func moduleMethods(r *reader, u modulev1.Unit) []ModuleMethod {
	l, err := u.Methods()
	if err != nil {
		r.fail(err)
		return nil
	}
	var out []ModuleMethod
	for i := range r.count(l.Len(), MaxModuleMethods) {
		m := l.At(i)
		out = append(out, ModuleMethod{
			Name: r.text(MaxModuleName, m.Name), Doc: r.text(MaxModuleDoc, m.Doc),
			ParamsSchema:    r.text(MaxModuleSchema, m.ParamsSchema),
			InputMediaTypes: texts(r, MaxModuleTypes, MaxModuleMedia, m.InputMediaTypes),
			OutputMediaType: r.text(MaxModuleMedia, m.OutputMediaType),
			InputRequired:   m.InputRequired(),
		})
	}
	return out
}

// newModuleRecord builds one message of one segment that grows as it must.
func newModuleRecord(op string, fill func(*capnp.Segment) error) ([]byte, error) {
	msg, seg, err := capnp.NewMessage(capnp.SingleSegment(nil))
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	defer msg.Release()
	if err := fill(seg); err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	b, err := msg.Marshal()
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	return b, nil
}

// openModuleRecord opens a message that a guest or its toolchain wrote: several
// segments are fine, trailing bytes are not.
func openModuleRecord(op string, b []byte, limit int) (*capnp.Message, error) {
	if len(b) > limit {
		return nil, api.Errorf(op, api.Invalid, "the message is larger than its bound")
	}
	if len(b) < 8 {
		return nil, api.Errorf(op, api.Invalid, "the message is shorter than its header")
	}
	n := uint64(binary.LittleEndian.Uint32(b)) + 1
	header := (4*(n+1) + 7) &^ 7
	if n > maxModuleSegments || uint64(len(b)) < header {
		return nil, api.Errorf(op, api.Invalid, "the message has more segments than allowed, or is cut off")
	}
	total := header
	for i := range n {
		total += 8 * uint64(binary.LittleEndian.Uint32(b[4*(i+1):]))
	}
	if total != uint64(len(b)) {
		return nil, api.Errorf(op, api.Invalid, "the message's length is not the sum of its segments")
	}
	return openRecord(op, b, limit)
}
