package module

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/module/bin"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
)

// Description is a parsed module file. What it says is immutable.
type Description struct {
	Manifest Manifest
	Hash     api.Hash
	Size     uint64

	Signature Signature // zero when the file is not signed
	Region    Region    // of a resident; zero of a guest
	Windows   bool      // a guest that takes large inputs in a window (inos_window)

	methods map[string]*method // "unit.method"
}

type method struct {
	Method
	schema *schema // nil: takes no parameters
	last   atomic.Pointer[applied]
}

// applied remembers the parameters of a method's last call: callers often
// repeat them, and a worker sees what its payer has made canonical. Both are
// never changed.
type applied struct{ given, canonical json.RawMessage }

// maxApplied bounds the bytes of parameters that are remembered.
const maxApplied = 4 << 10

// HashOf is the identity of a module file.
func HashOf(wasm []byte) api.Hash { return blake3.Sum256(wasm) }

// Parse reads a module file. It keeps nothing of wasm. Every error is
// api.Invalid, Unsupported for what a later version may accept, or Unverified
// for a signature that does not hold; an unsigned file is fine.
func Parse(wasm []byte) (*Description, error) {
	const op = "module.parse"
	if len(wasm) > meter.MaxModule {
		return nil, api.Errorf(op, api.Invalid, "the module is larger than 64 MiB")
	}
	sections, err := bin.Sections(wasm)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	raw, err := manifestSection(sections)
	if err != nil {
		return nil, err
	}
	m, err := wire.DecodeModuleManifest(raw)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	d := &Description{Manifest: m, Hash: HashOf(wasm), Size: uint64(len(wasm)), methods: map[string]*method{}}
	if err := d.validate(); err != nil {
		return nil, err
	}
	if d.Signature, err = Verify(wasm); err != nil && api.KindOf(err) != api.NotFound {
		return nil, err
	}
	info, err := meter.Inspect(wasm)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	if d.Manifest.Resident {
		if err := checkResident(info); err != nil {
			return nil, err
		}
		d.Region, err = regionOf(sections)
		return d, err
	}
	if info.Shared {
		return nil, api.Errorf(op, api.Invalid, "the module has a shared memory, which only residents may have; see docs/abi.md")
	}
	if err := checkImports(m.ABI, m.Deterministic, info.Imports); err != nil {
		return nil, err
	}
	_, window := info.Exports["inos_window"]
	d.Windows = window && m.ABI >= 2
	return d, checkExports(info.Exports)
}

func manifestSection(sections []bin.Section) ([]byte, error) {
	const op = "module.parse"
	var raw []byte
	n := 0
	for _, s := range sections {
		if s.ID == bin.Custom && s.Name == Section {
			raw = s.Body
			n++
		}
	}
	switch n {
	case 1:
		return raw, nil
	case 0:
		return nil, api.Errorf(op, api.Invalid, "the module has no manifest (custom section "+Section+"); build it with an INOS SDK")
	}
	return nil, api.Errorf(op, api.Invalid, "the module has more than one manifest (custom section "+Section+")")
}

// WASI is the module name of the imports that the deterministic subset of WASI
// preview 1 serves.
const WASI = "wasi_snapshot_preview1"

func checkImports(abi uint16, deterministic bool, imports []meter.Import) error {
	const op = "module.parse"
	for _, i := range imports {
		name := printable(i.Module + "." + i.Name)
		switch {
		case i.Kind != bin.KindFunc:
			return api.Errorf(op, api.Invalid, "the module imports "+name+", which is not a function; a guest has its own memory, tables and globals")
		case i.Module == "inos" && i.Name == "log", i.Module == WASI:
		case i.Module == "inos" && i.Name == "syscall" && abi >= 2:
		case i.Module == "inos" && i.Name == "epoch_wait" && abi >= 2 && deterministic:
			return api.Errorf(op, api.Invalid, "the module imports "+name+" and says that it is deterministic; what it waits for comes from outside the call")
		case i.Module == "inos" && i.Name == "epoch_wait" && abi >= 2:
		case i.Module == "inos" && (i.Name == "syscall" || i.Name == "epoch_wait"):
			return api.Errorf(op, api.Unsupported, "the module imports "+name+", which is reserved and not served to guests of ABI "+strconv.Itoa(int(abi)))
		default:
			return api.Errorf(op, api.Invalid, "the module imports "+name+", which no INOS host provides; see docs/abi.md for what there is")
		}
	}
	return nil
}

func checkExports(exports map[string]byte) error {
	for _, name := range []string{"inos_abi", "inos_alloc", "inos_call"} {
		if kind, ok := exports[name]; !ok || kind != bin.KindFunc {
			return api.Errorf("module.parse", api.Invalid, "the module does not export the function "+name+"; see docs/abi.md")
		}
	}
	if kind, ok := exports["memory"]; !ok || kind != bin.KindMemory {
		return api.Errorf("module.parse", api.Invalid, "the module does not export its memory as \"memory\"")
	}
	return nil
}

// printable makes a name from a file safe to show.
func printable(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}

// Info is the description as surfaces show it.
func (d *Description) Info() api.ModuleInfo {
	m := d.Manifest
	info := api.ModuleInfo{
		Name: m.Name, Version: m.Version, Hash: d.Hash, Size: d.Size, Resident: m.Resident,
		Deterministic: m.Deterministic, Description: m.Doc, Limits: m.Limits, Syscalls: m.Syscalls,
		Author: d.Signature.Author, Verified: !d.Signature.IsZero(), Content: d.Signature.Content,
	}
	for _, u := range m.Units {
		unit := api.ModuleUnit{Name: u.Name, Description: u.Doc}
		for _, f := range u.Methods {
			mm := api.ModuleMethod{Name: f.Name, Description: f.Doc, Accepts: f.InputMediaTypes, Returns: []string{OutputType(f)}}
			if f.ParamsSchema != "" {
				mm.Params = json.RawMessage(f.ParamsSchema)
			}
			unit.Methods = append(unit.Methods, mm)
		}
		info.Units = append(info.Units, unit)
	}
	return info
}
