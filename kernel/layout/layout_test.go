package layout

import (
	"errors"
	"testing"

	"inos/kernel/api"
)

func TestTiers(t *testing.T) {
	for i, tier := range Tiers {
		if got, err := TierOf(tier.Size); got != i || err != nil {
			t.Error(tier, got, err)
		}
		if got, err := TierNamed(tier.Name); got != i || err != nil {
			t.Error(tier, got, err)
		}
	}
	if Tiers[DefaultTier].Size != 64<<20 {
		t.Error("the default tier has not 64 MiB")
	}
	if _, err := TierOf(12345); !errors.Is(err, api.Invalid) {
		t.Error(err)
	}
	if _, err := TierNamed("huge"); !errors.Is(err, api.Invalid) {
		t.Error(err)
	}
}

func TestWordsAliasTheirBytes(t *testing.T) {
	mem := make([]byte, 64)
	U32(mem, 4).Store(0x01020304)
	U64(mem, 8).Store(0x1122334455667788)
	if mem[4] != 4 || mem[7] != 1 || mem[8] != 0x88 {
		t.Fatalf("% x", mem[:16])
	}
	words := Words(mem)
	if len(words) != 8 || words[1].Load() != 0x1122334455667788 || Words(nil) != nil {
		t.Fatal(len(words))
	}
}

func TestBadWordsPanic(t *testing.T) {
	mem := make([]byte, 64)
	for name, access := range map[string]func(){
		"beyond the end":   func() { U32(mem, 61) },
		"far beyond":       func() { U64(mem, ^uint64(0)-3) },
		"unaligned 32 bit": func() { U32(mem, 2) },
		"unaligned 64 bit": func() { U64(mem, 4) },
		"half a word":      func() { Words(mem[:12]) },
		"unaligned words":  func() { Words(mem[4:12]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			access()
		}()
	}
}

func TestAlignUp(t *testing.T) {
	for _, c := range [][3]uint64{{0, 8, 0}, {1, 8, 8}, {8, 8, 8}, {9, 64, 64}} {
		if got := AlignUp(c[0], c[1]); got != c[2] {
			t.Error(c, got)
		}
	}
}
