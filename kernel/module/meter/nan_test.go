package meter

import (
	"slices"
	"testing"
)

// marksOf plans a body of a function without parameters that has four locals of each
// float type and one i32, and returns the places that are made canonical.
func marksOf(t *testing.T, code ...byte) []int {
	t.Helper()
	decls := []byte{4, 4, typeF32, 4, typeF64, 4, typeV128, 1, typeI32}
	m := &module{types: []funcType{{}}}
	var p nanPlan
	m.planNaN(0, append(append([]byte{}, decls...), append(code, opEnd)...), &p)
	var at []int
	for _, k := range p.marks {
		at = append(at, k.at-len(decls))
	}
	return at
}

func TestNaNsAreMadeCanonicalLate(t *testing.T) {
	const add, mul, neg, store, load, i64bits = 0xa0, 0xa2, 0x9a, 0x39, 0x2b, 0xbd
	get := func(local byte) []byte { return []byte{opLocalGet, local} }
	set := func(local byte) []byte { return []byte{opLocalSet, local} }
	cat := slices.Concat[[]byte]
	sum := cat(get(4), get(5), []byte{add}) // at 0, 2, 4
	for name, tt := range map[string]struct {
		code []byte
		want []int
	}{
		"a chain ends in a store":        {cat([]byte{opI32Const, 0}, sum, sum, []byte{mul, mul, store, 3, 0}), []int{13}},
		"a comparison does not tell":     {cat(sum, sum, []byte{0x63, 0x1a}), nil},
		"a sign does":                    {cat(sum, []byte{neg, 0x1a}), []int{4}},
		"bits do":                        {cat(sum, []byte{i64bits, 0x1a}), []int{4}},
		"the end of the function":        {sum, []int{4}},
		"a branch with it on the stack":  {cat(sum, get(12), []byte{opBrIf, 0, 0x1a}), []int{4}},
		"dropped":                        {cat(sum, []byte{0x1a}), nil},
		"an accumulator in a loop":       {cat([]byte{opLoop, blockVoid}, get(6), get(7), []byte{mul}, get(4), []byte{add}, set(4), []byte{opBr, 0, opEnd}), nil},
		"and read where it shows":        {cat(sum, set(4), get(4), []byte{i64bits, 0x1a}), []int{7}},
		"loaded bits in the same local":  {cat([]byte{opI32Const, 0, load, 3, 0}, set(4), sum, set(4)), []int{11}},
		"a load and a store":             {cat([]byte{opI32Const, 0, opI32Const, 0, load, 3, 0, store, 3, 0}), nil},
		"a local copied to another":      {cat(sum, set(5), get(5), set(6), get(6), []byte{i64bits, 0x1a}), []int{11}},
		"that copies loaded bits later":  {cat(sum, set(5), get(5), set(6), []byte{opI32Const, 0, load, 3, 0}, set(5)), []int{4}},
		"lanes of another width":         {cat(get(8), get(9), []byte{opVec, 0xe4, 1}, get(10), []byte{opVec, 0xf0, 1, 0x1a}), []int{4}},
		"lanes of the same":              {cat(get(8), get(9), []byte{opVec, 0xe4, 1}, get(10), []byte{opVec, 0xe4, 1, 0x1a}), nil},
		"a constant NaN of some payload": {cat(sum, set(4), []byte{opF64Const, 1, 0, 0, 0, 0, 0, 0xf0, 0x7f}, set(4)), []int{4}},
		"a constant that is a number":    {cat(sum, set(4), []byte{opF64Const, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, set(4)), nil},
		"a parameter of a call":          {cat(sum, []byte{opCall, 0}), []int{4}},
		"integers only":                  {[]byte{opI32Const, 1, opI32Const, 2, opI32Add, 0x1a}, nil},
	} {
		if got := marksOf(t, tt.code...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: canonical at %v, want %v", name, got, tt.want)
		}
	}
}
