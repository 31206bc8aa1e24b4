package meter

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/module/bin"
)

// build assembles a module of one function type () -> () with the given bodies.
func build(bodies ...[]byte) []byte {
	b := bin.AppendSection([]byte(bin.Header), bin.Type, []byte{1, typeFunc, 0, 0})
	funcs := bin.AppendU32(nil, uint32(len(bodies)))
	code := bin.AppendU32(nil, uint32(len(bodies)))
	for _, body := range bodies {
		funcs = append(funcs, 0)
		code = append(bin.AppendU32(code, uint32(len(body)+1)), 0)
		code = append(code, body...)
	}
	b = bin.AppendSection(b, bin.Function, funcs)
	return bin.AppendSection(b, bin.Code, code)
}

func TestRefused(t *testing.T) {
	deep := append(bytes.Repeat([]byte{opBlock, blockVoid}, maxNesting+1), bytes.Repeat([]byte{opEnd}, maxNesting+2)...)
	tests := []struct {
		name  string
		wasm  []byte
		words string
	}{
		{"a local beyond", build([]byte{opLocalGet, 0, 0x1a, opEnd}), "local"},
		{"the gas global", build([]byte{opGlobalGet, 0, 0x1a, opEnd}), "global"},
		{"the slice function", build([]byte{opCall, 1, opEnd}), "function"},
		{"an added type", build([]byte{opBlock, 1, opEnd, opEnd}), "type"},
		{"a negative type", build([]byte{opBlock, 0x50, opEnd, opEnd}), "type"},
		{"a branch outside", build([]byte{opBr, 1, opEnd}), "branch"},
		{"a return call", build([]byte{0x12, 0, opEnd}), "instruction"},
		{"an atomic", build([]byte{0xfe, 0, opEnd}), "instruction"},
		{"relaxed SIMD", build([]byte{opVec, 0x80, 0x02, opEnd}), "SIMD"},
		{"a long SIMD number", build([]byte{opVec, 0x8b, 0x00, opEnd}), "SIMD"},
		{"else without if", build([]byte{opBlock, blockVoid, opElse, opEnd, opEnd}), "else"},
		{"bytes after the end", build([]byte{opEnd, opEnd}), "left over"},
		{"no end", build([]byte{0x01}), "ends"},
		{"nested too deep", build(deep), "nested"},
		{"sections out of order", append(build(), build()[len(bin.Header):]...), "out of order"},
		{"data segments without bytes", bin.AppendSection(build(), bin.Data, bin.AppendU32(nil, 1<<30)), "more entries than"},
		{"a data segment without bytes", bin.AppendSection(build(), bin.Data, bin.AppendU32([]byte{1, 1}, 1<<30)), "ends"},
		{"a data segment of no known form", bin.AppendSection(build(), bin.Data, []byte{1, 3, 0}), "unknown form"},
		{"a bulk copy without memory", build([]byte{opI32Const, 0, opI32Const, 0, opI32Const, 0, opMisc, miscMemoryCopy, 0, 0, opEnd}), "has none"},
	}
	for _, tt := range tests {
		_, _, err := Instrument(tt.wasm)
		if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.words)
		}
	}
}

func TestLocalsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		funcs  int
		locals uint32
	}{
		{"of one function", 1, 0xffff_ffff},
		{"of all functions", 200, 49_000},
	} {
		body := append(bin.AppendU32([]byte{1}, tt.locals), typeI64, opEnd)
		funcs, code := bin.AppendU32(nil, uint32(tt.funcs)), bin.AppendU32(nil, uint32(tt.funcs))
		for range tt.funcs {
			funcs = append(funcs, 0)
			code = append(append(code, byte(len(body))), body...)
		}
		b := bin.AppendSection([]byte(bin.Header), bin.Type, []byte{1, typeFunc, 0, 0})
		b = bin.AppendSection(bin.AppendSection(b, bin.Function, funcs), bin.Code, code)
		if _, _, err := Instrument(b); api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "locals") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestReservedNames(t *testing.T) {
	b := bin.AppendSection([]byte(bin.Header), bin.Type, []byte{1, typeFunc, 0, 0})
	imp := append(bin.AppendName(bin.AppendName([]byte{1}, ImportModule), ImportSlice), bin.KindFunc, 0)
	if _, _, err := Instrument(bin.AppendSection(b, bin.Import, imp)); err == nil || !strings.Contains(err.Error(), "belongs to the host") {
		t.Errorf("got %v", err)
	}
}

const goldenCode = "023a02017e017f230021000240024003400240034020004200530d01200042027d21000c000b0c020b20004100100021000c000b000b0b200024000b5402017e017f23002100230141086a220124012001418080104b044020004101100021000b0240200042067d21002000420053044020004100100021000b200024001001230021000b230141086b2401200024000b"

// The rewriting is part of what a job costs: a change must be deliberate and
// raise Version.
func TestGoldenRewriting(t *testing.T) {
	out, info, err := Instrument(build([]byte{opLoop, blockVoid, opBr, 0, opEnd, opEnd}, []byte{opCall, 0, opEnd}))
	if err != nil {
		t.Fatal(err)
	}
	if info.Sticky || len(info.Globals) != 0 {
		t.Errorf("%+v", info)
	}
	sections, err := bin.Sections(out)
	if err != nil {
		t.Fatal(err)
	}
	code := sections[len(sections)-1].Body
	if got := hex.EncodeToString(code); got != goldenCode {
		t.Errorf("the code is\n%s, want\n%s", got, goldenCode)
	}
}

func TestSpelledOutSchedule(t *testing.T) {
	for op, want := range map[byte]int64{
		opLocalGet: 0, opI64Const: 0, opBlock: 0, opEnd: 0, opLoop: 1, opBrIf: 1, opI32Add: 1, 0x28: 1, opCall: 6,
		opCallIndirect: 10, 0x6d: 8, 0x7f: 12, 0xa3: 6, opMemoryGrow: 200, opBrTable: 3, opReturn: 0,
	} {
		if got := opCost(op); got != want {
			t.Errorf("opcode %#x costs %d, want %d", op, got, want)
		}
	}
}

// Instrument neither panics nor grows without bound, and its output is framed
// like a module.
func FuzzInstrument(f *testing.F) {
	f.Add(build([]byte{opLoop, blockVoid, opBr, 0, opEnd, opEnd}, []byte{opCall, 0, opEnd}))
	f.Add(build([]byte{opBlock, blockVoid, opBlock, blockVoid, opI32Const, 1, opBrTable, 1, 0, 1, opEnd, opEnd, opEnd}))
	f.Add(build([]byte{opI32Const, 1, opIf, typeI32, opI32Const, 2, opElse, opUnreachable, opEnd, 0x1a, opEnd}))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		out, _, err := Instrument(wasm)
		if err != nil {
			return
		}
		if len(out) > 64*len(wasm)+4096 {
			t.Errorf("%d bytes become %d", len(wasm), len(out))
		}
		if _, err := bin.Sections(out); err != nil {
			t.Error(err)
		}
	})
}
