//go:build wasmtime && linux && cgo && (amd64 || arm64)

package wasmtime

import (
	"inos/host/internal/machine"
	"inos/kernel/module/bin"
)

// imported is one import of a function.
type imported struct {
	module, name string
	t            machine.Type
}

// types reads what a module imports, which is functions alone, and the functions
// that it exports. The types are read here because Wasmtime's C API ends the
// process over some that a module may name.
func types(wasm []byte) (imports []imported, exports map[string]machine.Type, err error) {
	sections, err := bin.Sections(wasm)
	if err != nil {
		return nil, nil, err
	}
	var known []machine.Type // by index of type
	var funcs []machine.Type // by index of function
	at := func(r *bin.Reader, of []machine.Type, i uint32) machine.Type {
		if uint64(i) >= uint64(len(of)) {
			r.Fail("a function or type is named that does not exist")
			return ""
		}
		return of[i]
	}
	exports = map[string]machine.Type{}
	for _, s := range sections {
		r := bin.NewReader(s.Body)
		switch s.ID {
		case bin.Type:
			for range r.Count() {
				known = append(known, funcType(r))
			}
		case bin.Import:
			for range r.Count() {
				im := imported{module: r.Name(), name: r.Name()}
				if r.Byte() != bin.KindFunc {
					r.Fail("the module imports other than functions")
				}
				im.t = at(r, known, r.U32())
				imports, funcs = append(imports, im), append(funcs, im.t)
			}
		case bin.Function:
			for range r.Count() {
				funcs = append(funcs, at(r, known, r.U32()))
			}
		case bin.Export:
			for range r.Count() {
				name, kind, i := r.Name(), r.Byte(), r.U32()
				if kind == bin.KindFunc {
					exports[name] = at(r, funcs, i)
				}
			}
		}
		if r.Err() != nil {
			return nil, nil, r.Err()
		}
	}
	return imports, exports, nil
}

// funcType reads one type.
func funcType(r *bin.Reader) machine.Type {
	const tag = 0x60
	if r.Byte() != tag {
		r.Fail("a type is not that of a function")
	}
	var t []byte
	for range r.Count() {
		t = append(t, letter(r.Byte()))
	}
	t = append(t, ':')
	for range r.Count() {
		t = append(t, letter(r.Byte()))
	}
	return machine.Type(t)
}

func letter(b byte) byte {
	switch b {
	case 0x7f:
		return 'i'
	case 0x7e:
		return 'I'
	case 0x7d:
		return 'f'
	case 0x7c:
		return 'F'
	}
	return '?'
}
