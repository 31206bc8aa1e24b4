package module

import (
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/module/bin"
	"inos/kernel/wire"
)

// residentModule assembles the smallest file that Parse accepts as a resident.
func residentModule(t testing.TB, name string, r Region) []byte {
	t.Helper()
	m := sample()
	m.Name, m.ABI, m.Resident = name, 2, true
	raw, err := wire.EncodeModuleManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	memory := append(bin.AppendName(bin.AppendName([]byte{1}, "env"), "memory"), bin.KindMemory, 3)
	memory = bin.AppendU32(bin.AppendU32(memory, 512), 65536)
	b := bin.AppendSection([]byte(bin.Header), bin.Type, []byte{1, 0x60, 0, 0})
	b = bin.AppendSection(b, bin.Import, memory)
	b = bin.AppendSection(b, bin.Function, []byte{1, 0})
	linked := r.linked()
	globals := []byte{byte(len(linked) + 1), 0x7f, 1, 0x41, 0, 0x0b} // the stack pointer is no constant
	exports := []byte{byte(len(linked) + len(residentExports))}
	i := byte(1)
	for name, v := range linked {
		globals = append(bin.AppendS64(append(globals, 0x7f, 0, 0x41), int64(int32(*v))), 0x0b)
		exports = append(bin.AppendName(exports, name), bin.KindGlobal, i)
		i++
	}
	for _, name := range residentExports {
		exports = append(bin.AppendName(exports, name), bin.KindFunc, 0)
	}
	b = bin.AppendSection(b, bin.Global, globals)
	b = bin.AppendSection(b, bin.Export, exports)
	b = bin.AppendSection(b, bin.Code, []byte{1, 2, 0, 0x0b})
	return bin.AppendSection(b, bin.Custom, append(bin.AppendName(nil, Section), raw...))
}

// at is a region that keeps the rules, in the place with the given index.
func at(place int) Region {
	base := uint64(layout.ResidentsOffset + place*layout.ResidentsStride)
	return Region{Base: base, DataEnd: base + 1000, StackLow: base + 1008, StackHigh: base + 66_544, HeapBase: base + 66_544, TLSSize: 16, TLSAlign: 8}
}

func TestResidentsSideBySide(t *testing.T) {
	files := map[string][]byte{"a": residentModule(t, "a", at(0)), "b": residentModule(t, "b", at(7))}
	if err := CheckResidents(files); err != nil {
		t.Fatal(err)
	}
	d, err := Parse(files["b"])
	if err != nil || d.Region != at(7) || d.Region.Place() != 7 {
		t.Errorf("%+v, %v", d, err)
	}
	files["c"] = residentModule(t, "c", at(7))
	err = CheckResidents(files)
	if api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "b and c overlap") {
		t.Errorf("two in one place: %v", err)
	}
	if err := CheckResidents(map[string][]byte{"g": guestModule(t, sample())}); api.KindOf(err) != api.Invalid {
		t.Errorf("a guest among residents: %v", err)
	}
}

func TestRegionRules(t *testing.T) {
	for words, change := range map[string]func(r *Region){
		"does not begin a place":     func(r *Region) { r.Base += 4096 },
		"does not begin a place of":  func(r *Region) { r.Base = layout.HeapOffset },
		"does not begin a place of ": func(r *Region) { r.Base = 1024 },
		"--no-stack-first":           func(r *Region) { r.StackLow, r.StackHigh = 0, 65536 },
		"behind its data":            func(r *Region) { r.StackLow = r.DataEnd - 16 },
		"does not fit":               func(r *Region) { r.HeapBase = r.End() + 16 },
		"thread-local":               func(r *Region) { r.TLSAlign = 3 },
	} {
		r := at(2)
		change(&r)
		if _, err := Parse(residentModule(t, "a", r)); api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func FuzzRegion(f *testing.F) {
	f.Add(residentModule(f, "a", at(0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil || !d.Manifest.Resident {
			return
		}
		if r := d.Region; r.Base < layout.ResidentsOffset || r.HeapBase > r.End() || r.End() > layout.HeapOffset {
			t.Errorf("a region outside its place: %+v", r)
		}
	})
}
