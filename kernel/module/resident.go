package module

import (
	"fmt"
	"sort"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/module/bin"
	"inos/kernel/module/meter"
)

// Region is what a resident takes of the arena, from the addresses that it was
// linked to. All numbers are offsets in the arena, in bytes.
type Region struct {
	Base, DataEnd       uint64 // static data
	StackLow, StackHigh uint64 // the first worker's stack
	HeapBase            uint64 // behind both; what follows in the place is the node's to divide
	TLSSize, TLSAlign   uint64 // of a worker's thread-local block
}

// linked names the globals that a resident exports, beside the place each has in
// a Region.
func (r *Region) linked() map[string]*uint64 {
	return map[string]*uint64{
		"__global_base": &r.Base, "__data_end": &r.DataEnd, "__stack_low": &r.StackLow, "__stack_high": &r.StackHigh,
		"__heap_base": &r.HeapBase, "__tls_size": &r.TLSSize, "__tls_align": &r.TLSAlign,
	}
}

// Place is the index of the place in the arena that the region lies in.
func (r Region) Place() int { return int((r.Base - layout.ResidentsOffset) / layout.ResidentsStride) }

// End is the end of the region's place.
func (r Region) End() uint64 {
	return layout.ResidentsOffset + uint64(r.Place()+1)*layout.ResidentsStride
}

// residentImports are what a resident may import, beside the arena.
var residentImports = map[string]bool{"log": true, "state": true, "reserve": true, "advance": true}

// residentExports are the functions that a resident exports.
var residentExports = []string{"inos_abi", "inos_alloc", "inos_call", "inos_region", "inos_step"}

func checkResident(info meter.Info) error {
	const op = "module.parse"
	arena := false
	for _, i := range info.Imports {
		switch {
		case i.Kind == bin.KindMemory && i.Module == "env" && i.Name == "memory" && info.Shared:
			arena = true
		case i.Kind == bin.KindFunc && i.Module == "inos" && residentImports[i.Name]:
		default:
			return api.Errorf(op, api.Invalid, "the resident imports "+printable(i.Module+"."+i.Name)+", which no INOS host provides; see docs/abi.md for what there is")
		}
	}
	if !arena {
		return api.Errorf(op, api.Invalid, "the resident does not import the arena, a shared memory env.memory; link it with --import-memory --shared-memory")
	}
	for _, name := range residentExports {
		if kind, ok := info.Exports[name]; !ok || kind != bin.KindFunc {
			return api.Errorf(op, api.Invalid, "the resident does not export the function "+name+"; see docs/abi.md")
		}
	}
	return nil
}

// regionOf reads the addresses that the linker chose and proves that they lie in
// one place of the arena, one behind the other.
func regionOf(sections []bin.Section) (Region, error) {
	const op = "module.region"
	values, err := constants(sections)
	if err != nil {
		return Region{}, err
	}
	var r Region
	for name, to := range r.linked() {
		v, ok := values[name]
		if !ok {
			return Region{}, api.Errorf(op, api.Invalid, "the resident does not export "+name+" as a constant; link it with --export="+name)
		}
		*to = v
	}
	first, last := uint64(layout.ResidentsOffset), uint64(layout.ResidentsOffset+layout.ResidentsBytes)
	at := fmt.Sprintf("static data %#x-%#x, stack %#x-%#x, heap base %#x", r.Base, r.DataEnd, r.StackLow, r.StackHigh, r.HeapBase)
	if r.Base < first || r.Base >= last || (r.Base-first)%layout.ResidentsStride != 0 {
		return Region{}, api.Errorf(op, api.Invalid, fmt.Sprintf("the resident does not begin a place of the arena (%s); link it with --global-base=%#x or another of the %d places", at, first, layout.ResidentsCount))
	}
	switch {
	case r.DataEnd < r.Base || r.StackLow < r.DataEnd || r.StackHigh <= r.StackLow || r.HeapBase < r.StackHigh:
		return Region{}, api.Errorf(op, api.Invalid, "the resident's stack does not lie behind its data ("+at+"); link it with --no-stack-first")
	case r.HeapBase > r.End():
		return Region{}, api.Errorf(op, api.Invalid, fmt.Sprintf("the resident does not fit in its place, which ends at %#x (%s); give it less static data or stack", r.End(), at))
	case r.TLSSize > layout.ResidentsStride || r.TLSAlign&(r.TLSAlign-1) != 0 || r.TLSAlign > 4096:
		return Region{}, api.Errorf(op, api.Invalid, "the resident's thread-local block is larger than its place or aligned to more than a page")
	}
	return r, nil
}

// constants are the exported globals that hold an i32 known when linking.
func constants(sections []bin.Section) (map[string]uint64, error) {
	var imported int
	var values []int64 // of the defined globals; -1 when not constant
	out := map[string]uint64{}
	for _, s := range sections {
		r := bin.NewReader(s.Body)
		switch s.ID {
		case bin.Import:
			for range r.Count() {
				r.Name()
				r.Name()
				if kind := r.Byte(); kind == bin.KindGlobal {
					imported++
					r.Bytes(2)
				} else {
					skipImport(r, kind)
				}
			}
		case bin.Global:
			for range r.Count() {
				values = append(values, constant(r))
			}
		case bin.Export:
			for range r.Count() {
				name, kind, i := r.Name(), r.Byte(), int(r.U32())-imported
				if kind == bin.KindGlobal && i >= 0 && i < len(values) && values[i] >= 0 {
					out[name] = uint64(values[i])
				}
			}
		default:
			continue
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
	}
	return out, nil
}

func skipImport(r *bin.Reader, kind byte) {
	switch kind {
	case bin.KindFunc:
		r.U32()
	case bin.KindTable, bin.KindMemory:
		if kind == bin.KindTable {
			r.Byte()
		}
		if flags := r.Byte(); flags&1 != 0 {
			r.U32()
		}
		r.U32()
	default:
		r.Fail("an import has an unknown kind")
	}
}

// constant reads a global; -1 unless it is an immutable i32 given by a constant.
func constant(r *bin.Reader) int64 {
	const i32, i32Const, end = 0x7f, 0x41, 0x0b
	typ, mutable, op := r.Byte(), r.Byte(), r.Byte()
	var v int64 = -1
	if op == i32Const {
		v = int64(uint32(signed(r.SkipLEB(5))))
	} else {
		r.At(r.Pos() - 1)
		switch r.Byte() { // a resident's globals hold constants of one instruction
		case 0x42:
			r.SkipLEB(10)
		case 0x43:
			r.Bytes(4)
		case 0x44:
			r.Bytes(8)
		case 0xd0:
			r.Byte()
		case 0x23, 0xd2:
			r.U32()
		default:
			r.Fail("a global of the resident is not a plain constant")
		}
	}
	if r.Byte() != end {
		r.Fail("a global of the resident is not a plain constant")
	}
	if typ != i32 || mutable != 0 {
		return -1
	}
	return v
}

// signed decodes a signed LEB128 of at most 5 bytes.
func signed(b []byte) int64 {
	var v int64
	shift := 0
	for _, c := range b {
		v |= int64(c&0x7f) << shift
		shift += 7
	}
	if len(b) > 0 && b[len(b)-1]&0x40 != 0 {
		v |= -1 << shift
	}
	return v
}

// CheckResidents proves that the given module files, by name, can be resident in
// one arena together: each lies in a place of its own. The error names the first
// two that overlap, or the file that is no resident.
func CheckResidents(files map[string][]byte) error {
	const op = "module.residents"
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	taken := map[int]string{}
	for _, name := range names {
		d, err := Parse(files[name])
		if err != nil {
			return api.E(op+" "+name, api.KindOf(err), err)
		}
		if !d.Manifest.Resident {
			return api.Errorf(op, api.Invalid, name+" is not a resident")
		}
		if other, ok := taken[d.Region.Place()]; ok {
			return api.Errorf(op, api.Conflict, fmt.Sprintf("%s and %s overlap: both lie in the arena from %#x to %#x; link one with another --global-base", other, name, d.Region.Base, d.Region.End()))
		}
		taken[d.Region.Place()] = name
	}
	return nil
}
