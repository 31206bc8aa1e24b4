package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"

	"inos/kernel/module/bin"
	"inos/kernel/module/meter"
)

// What the meter makes of computed NaNs is tried on programs that are made up at
// random: each is written twice, as it is and with every computed NaN made canonical
// at once. The first, metered, must leave the same memory as the second, unmetered, on
// the compiler and on the interpreter, whose NaNs differ. Bits that are only moved must
// stay as they are in both.

// Types of values, and the first of their three locals.
const (
	tF32, tF64, tV128 = 0x7d, 0x7c, 0x7b
	counterLocal      = 9
	scratchLocals     = 10 // f32, f64, v128, of the eager program alone
)

// nanGen writes a program.
type nanGen struct {
	*rand.Rand
	plain, eager []byte
	stack        []byte // types
	store        uint32 // where the next store goes
}

func (g *nanGen) emit(b ...byte) {
	g.plain, g.eager = append(g.plain, b...), append(g.eager, b...)
}

func (g *nanGen) push(t byte) { g.stack = append(g.stack, t) }

// need makes the top of the stack be of the given types, the last on top.
func (g *nanGen) need(types ...byte) {
	if n := len(g.stack) - len(types); n >= 0 && bytes.Equal(g.stack[n:], types) {
		g.stack = g.stack[:n]
		return
	}
	for _, t := range types {
		g.leaf(t)
	}
	g.stack = g.stack[:len(g.stack)-len(types)]
}

// leaf pushes a constant, a local, or what lies in memory.
func (g *nanGen) leaf(t byte) {
	g.push(t)
	switch g.Intn(4) {
	case 0:
		g.constant(t)
	case 1, 2:
		g.emit(0x20, localOf(t)+byte(g.Intn(3)))
	default:
		g.emit(0x41)
		g.emit(bin.AppendS64(nil, int64(g.Intn(1000)))...)
		g.emit(map[byte][]byte{tF32: {0x2a}, tF64: {0x2b}, tV128: {0xfd, 0x00}}[t]...)
		g.emit(0, 0)
	}
}

func localOf(t byte) byte { return 3 * (tF32 - t) }

// constant is a number, an infinity, or a NaN of any payload.
func (g *nanGen) constant(t byte) {
	var b [16]byte
	for i := 0; i < 16; i += 4 {
		v := []uint32{0, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fa00001, 0xfff12345, g.Uint32()}[g.Intn(10)]
		binary.LittleEndian.PutUint32(b[i:], v)
	}
	switch t {
	case tF32:
		g.emit(append([]byte{0x43}, b[:4]...)...)
	case tF64:
		g.emit(append([]byte{0x44}, b[:8]...)...)
	default:
		g.emit(append([]byte{0xfd, 0x0c}, b[:]...)...)
	}
}

// compute emits an instruction whose NaN is computed; lanes is 32 or 64 for vectors.
func (g *nanGen) compute(t byte, lanes int, op ...byte) {
	g.emit(op...)
	g.push(t)
	local := scratchLocals + tF32 - t
	b := []byte{0x22, local}
	switch {
	case t == tF32:
		b = append(b, 0x43, 0, 0, 0xc0, 0x7f, 0x20, local, 0x20, local, 0x5b, 0x1b)
	case t == tF64:
		b = append(b, 0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0x20, local, 0x20, local, 0x61, 0x1b)
	case lanes == 32:
		b = append(append(b, 0xfd, 0x0c), bytes.Repeat([]byte{0, 0, 0xc0, 0x7f}, 4)...)
		b = append(b, 0x20, local, 0x20, local, 0xfd, 0x41, 0xfd, 0x52)
	default:
		b = append(append(b, 0xfd, 0x0c), bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, 2)...)
		b = append(b, 0x20, local, 0x20, local, 0xfd, 0x47, 0xfd, 0x52)
	}
	g.eager = append(g.eager, b...)
}

// vec is a SIMD instruction.
func vec(sub byte) []byte {
	if sub >= 0x80 {
		return []byte{0xfd, sub, 1}
	}
	return []byte{0xfd, sub}
}

func (g *nanGen) pick(ops string) byte { return ops[g.Intn(len(ops))] }

// step emits one instruction and what it needs.
func (g *nanGen) step() {
	t := []byte{tF32, tF64, tV128}[g.Intn(3)]
	switch g.Intn(15) {
	case 0:
		g.leaf(t)
	case 1: // local.set
		g.need(t)
		g.emit(0x21, localOf(t)+byte(g.Intn(3)))
	case 2: // local.tee
		g.need(t)
		g.emit(0x22, localOf(t)+byte(g.Intn(3)))
		g.push(t)
	case 3, 4:
		g.need(tF32, tF32)
		g.compute(tF32, 0, g.pick("\x92\x93\x94\x95\x96\x97"))
	case 5, 6:
		g.need(tF64, tF64)
		g.compute(tF64, 0, g.pick("\xa0\xa1\xa2\xa3\xa4\xa5"))
	case 7:
		g.need(tV128, tV128)
		g.compute(tV128, 32, vec(g.pick("\xe4\xe5\xe6\xe7\xe8\xe9"))...)
	case 8:
		g.need(tV128, tV128)
		g.compute(tV128, 64, vec(g.pick("\xf0\xf1\xf2\xf3\xf4\xf5"))...)
	case 9:
		g.unary(t)
	case 10:
		g.convert()
	case 11:
		g.moved()
	case 12:
		g.put()
	case 13: // select
		g.need(t, t)
		g.emit(0x20, counterLocal)
		if t == tV128 {
			g.emit(0x1c, 1, t)
		} else {
			g.emit(0x1b)
		}
		g.push(t)
	default:
		g.branch(t)
	}
}

// unary computes with one operand.
func (g *nanGen) unary(t byte) {
	g.need(t)
	switch t {
	case tF32:
		g.compute(t, 0, g.pick("\x8d\x8e\x8f\x90\x91"))
	case tF64:
		g.compute(t, 0, g.pick("\x9b\x9c\x9d\x9e\x9f"))
	default:
		if g.Intn(2) == 0 {
			g.compute(t, 32, vec(g.pick("\x67\x68\x69\x6a\xe3"))...)
		} else {
			g.compute(t, 64, vec(g.pick("\x74\x75\x7a\x94\xef"))...)
		}
	}
}

// convert goes between the types.
func (g *nanGen) convert() {
	switch g.Intn(8) {
	case 0:
		g.need(tF64)
		g.compute(tF32, 0, 0xb6)
	case 1:
		g.need(tF32)
		g.compute(tF64, 0, 0xbb)
	case 2:
		g.need(tV128)
		g.compute(tV128, 32, 0xfd, 0x5e)
	case 3:
		g.need(tV128)
		g.compute(tV128, 64, 0xfd, 0x5f)
	case 4: // splats
		g.need(tF32)
		g.emit(0xfd, 0x13)
		g.push(tV128)
	case 5:
		g.need(tF64)
		g.emit(0xfd, 0x14)
		g.push(tV128)
	case 6: // lanes
		g.need(tV128)
		g.emit(0xfd, 0x1f, byte(g.Intn(4)))
		g.push(tF32)
	default:
		g.need(tV128)
		g.emit(0xfd, 0x21, byte(g.Intn(2)))
		g.push(tF64)
	}
}

// moved takes bits apart and together.
func (g *nanGen) moved() {
	switch g.Intn(10) {
	case 0:
		g.need(tF32)
		g.emit(g.pick("\x8b\x8c")) // abs, neg
		g.push(tF32)
	case 1:
		g.need(tF64)
		g.emit(g.pick("\x99\x9a"))
		g.push(tF64)
	case 2:
		g.need(tF32, tF32)
		g.emit(0x98) // copysign
		g.push(tF32)
	case 3:
		g.need(tF64)
		g.emit(0xbd, 0xbf) // to an integer and back
		g.push(tF64)
	case 4:
		g.need(tF32)
		g.emit(0xbc, 0xbe)
		g.push(tF32)
	case 5:
		g.need(tV128, tV128)
		g.emit(vec(g.pick("\x4e\x50\x51\x6e\xae\xea\xeb\xf6\xf7\x41\x47"))...)
		g.push(tV128)
	case 6:
		g.need(tV128, tF32)
		g.emit(0xfd, 0x20, byte(g.Intn(4)))
		g.push(tV128)
	case 7:
		g.need(tV128, tF64)
		g.emit(0xfd, 0x22, byte(g.Intn(2)))
		g.push(tV128)
	case 8:
		g.need(tV128, tV128)
		g.emit(0xfd, 0x0d)
		for range 16 {
			g.emit(byte(g.Intn(32)))
		}
		g.push(tV128)
	default:
		g.need(tF32, tF64)
		g.emit(0x10, 0) // the function below
		g.push(tF64)
	}
}

// put stores the top of the stack.
func (g *nanGen) put() {
	if len(g.stack) == 0 {
		return
	}
	t := g.stack[len(g.stack)-1]
	g.stack = g.stack[:len(g.stack)-1]
	g.emit(0x21, localOf(t))
	g.keep(t, localOf(t))
}

// keep stores a local.
func (g *nanGen) keep(t, local byte) {
	g.emit(0x41)
	g.emit(bin.AppendS64(nil, int64(2048+16*(g.store%256)))...)
	g.store++
	g.emit(0x20, local)
	g.emit(map[byte][]byte{tF32: {0x38}, tF64: {0x39}, tV128: {0xfd, 0x0b}}[t]...)
	g.emit(0, 0)
}

// branch computes one of two values, with what lies on the stack below.
func (g *nanGen) branch(t byte) {
	outer := g.stack
	g.emit(0x20, counterLocal, 0x04, t)
	for i := range 2 {
		g.stack = nil
		for range g.Intn(6) {
			g.step()
		}
		g.need(t)
		for range g.stack { // below what the branch yields
			g.emit(0x21, localOf(t)+1)
			break
		}
		g.drain(t)
		if i == 0 {
			g.emit(0x05)
		}
	}
	g.emit(0x0b)
	g.stack = append(outer, t)
}

// drain drops everything but a value of type t, which is already in a local when
// there is more than that.
func (g *nanGen) drain(t byte) {
	if len(g.stack) == 0 {
		return
	}
	for range g.stack {
		g.emit(0x1a)
	}
	g.stack = nil
	g.emit(0x20, localOf(t)+1)
}

// nanProgram returns one program written in both ways.
func nanProgram(seed int64) (plain, eager []byte) {
	g := &nanGen{Rand: rand.New(rand.NewSource(seed))}
	g.emit(0x41, 3, 0x21, counterLocal, 0x03, 0x40) // three times
	for range 20 + g.Intn(60) {
		g.step()
	}
	for range g.stack {
		g.emit(0x1a)
	}
	g.emit(0x20, counterLocal, 0x41, 1, 0x6b, 0x22, counterLocal, 0x0d, 0, 0x0b)
	for _, t := range []byte{tF32, tF64, tV128} {
		for i := range byte(3) {
			g.keep(t, localOf(t)+i)
		}
	}
	data := make([]byte, 1024)
	for i := 0; i < len(data); i += 4 {
		v := g.Uint32()
		if g.Intn(2) == 0 {
			v |= 0x7f800000
		}
		binary.LittleEndian.PutUint32(data[i:], v)
	}
	locals := []byte{4, 3, tF32, 3, tF64, 3, tV128, 1, 0x7f}
	scratch := []byte{7, 3, tF32, 3, tF64, 3, tV128, 1, 0x7f, 1, tF32, 1, tF64, 1, tV128}
	helper := []byte{0, 0x20, 0, 0xbb} // f64(a) * b, whatever NaN that is
	mul := []byte{0x20, 1, 0xa2, 0x0b}
	eagerHelper := append(append([]byte{1, 1, tF64}, canonF64(2, helper[1:])...), canonF64(2, mul[:3])...)
	return nanModule(append(append([]byte{}, helper...), mul...), append(append(locals, g.plain...), 0x0b), data),
		nanModule(append(eagerHelper, 0x0b), append(append(scratch, g.eager...), 0x0b), data)
}

func canonF64(local byte, code []byte) []byte {
	return append(append([]byte{}, code...), 0x22, local, 0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0x20, local, 0x20, local, 0x61, 0x1b)
}

// nanModule links a helper (f32, f64) -> f64 and an exported run.
func nanModule(helper, run, data []byte) []byte {
	m := bin.AppendSection([]byte(bin.Header), bin.Type, []byte{2, 0x60, 2, tF32, tF64, 1, tF64, 0x60, 0, 0})
	m = bin.AppendSection(m, bin.Function, []byte{2, 0, 1})
	m = bin.AppendSection(m, bin.Memory, []byte{1, 0, 1})
	exports := append(bin.AppendName([]byte{2}, "memory"), 2, 0)
	m = bin.AppendSection(m, bin.Export, append(bin.AppendName(exports, "run"), 0, 1))
	code := []byte{2}
	for _, body := range [][]byte{helper, run} {
		code = append(bin.AppendU32(code, uint32(len(body))), body...)
	}
	m = bin.AppendSection(m, bin.Code, code)
	return bin.AppendSection(m, bin.Data, append(bin.AppendU32([]byte{1, 0, 0x41, 0, 0x0b}, uint32(len(data))), data...))
}

// nanMemory runs a program and returns its memory.
func nanMemory(t testing.TB, cfg wazero.RuntimeConfig, wasm []byte) []byte {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, cfg.WithCoreFeatures(wazeroapi.CoreFeaturesV2))
	defer r.Close(ctx)
	_, err := r.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoFunction(wazeroapi.GoFunc(func(_ context.Context, s []uint64) { s[0] = meter.Slice }), []wazeroapi.ValueType{i64, i32}, []wazeroapi.ValueType{i64}).
		Export(meter.ImportSlice).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.ExportedFunction("run").Call(ctx); err != nil {
		t.Fatal(err)
	}
	b, _ := m.Memory().Read(0, m.Memory().Size())
	return bytes.Clone(b)
}

// checkNaN tries one program and reports whether the engines' own NaNs differ in it.
func checkNaN(t testing.TB, seed int64) bool {
	t.Helper()
	plain, eager := nanProgram(seed)
	metered, _, err := meter.Instrument(plain)
	if err != nil {
		t.Fatal(err)
	}
	compiler, interpreter := wazero.NewRuntimeConfigCompiler(), wazero.NewRuntimeConfigInterpreter()
	want := nanMemory(t, compiler, eager)
	for name, cfg := range map[string]wazero.RuntimeConfig{"compiler": compiler, "interpreter": interpreter} {
		got := nanMemory(t, cfg, metered)
		for i := 0; i < len(want); i += 4 {
			if !bytes.Equal(got[i:i+4], want[i:i+4]) {
				t.Fatalf("seed %d on the %s: byte %d holds %x, want %x", seed, name, i, got[i:i+4], want[i:i+4])
			}
		}
	}
	return !bytes.Equal(nanMemory(t, compiler, plain), nanMemory(t, interpreter, plain))
}

func TestNaNsAreTheSameOnEveryEngine(t *testing.T) {
	differ := 0
	for seed := range int64(300) {
		if checkNaN(t, seed) {
			differ++
		}
	}
	t.Logf("%d of 300 programs give other bits on the interpreter when they are not metered", differ)
	if differ == 0 {
		t.Error("the engines agree without the meter, so nothing was tried")
	}
}

// V8 runs the same modules in tabs; Node has it.
func TestNaNsAreTheSameInV8(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node here")
	}
	const programs = 100
	dir := t.TempDir()
	for seed := range int64(programs) {
		plain, eager := nanProgram(seed)
		metered, _, err := meter.Instrument(plain)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{"plain": plain, "metered": metered, "want": nanMemory(t, wazero.NewRuntimeConfigCompiler(), eager)} {
			if err := os.WriteFile(filepath.Join(dir, strconv.FormatInt(seed, 10)+"."+name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const script = `
const fs = require("fs"), [dir, n] = process.argv.slice(-2), slice = () => 131072n;
const read = (i, what) => fs.readFileSync(dir + "/" + i + "." + what);
const memory = (wasm) => {
  const guest = new WebAssembly.Instance(new WebAssembly.Module(wasm), { "inos:meter": { slice } });
  guest.exports.run();
  return Buffer.from(guest.exports.memory.buffer);
};
let wrong = [], other = 0;
for (let i = 0; i < n; i++) {
  const want = read(i, "want");
  if (!memory(read(i, "metered")).equals(want)) wrong.push(i);
  if (!memory(read(i, "plain")).equals(want)) other++;
}
console.log(JSON.stringify({ wrong, other }));`
	for _, tier := range []string{"--liftoff-only", "--no-liftoff"} {
		out, err := exec.CommandContext(t.Context(), node, tier, "-e", script, dir, strconv.Itoa(programs)).Output()
		var got struct {
			Wrong []int
			Other int
		}
		if err == nil {
			err = json.Unmarshal(out, &got)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d of %d programs give other bits when they are not metered", tier, got.Other, programs)
		if len(got.Wrong) > 0 || got.Other == 0 {
			t.Errorf("%s: metered programs %v differ; not metered %d do, so there was something to try", tier, got.Wrong, got.Other)
		}
	}
}

func FuzzNaN(f *testing.F) {
	for seed := range int64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) { checkNaN(t, seed) })
}
