package api

import (
	"bytes"
	"math/big"
	"testing"
)

// schoolbook is base58 by big integers.
func schoolbook(src []byte) string {
	var out []byte
	n, base, digit := new(big.Int).SetBytes(src), big.NewInt(58), new(big.Int)
	for n.Sign() > 0 {
		n.DivMod(n, base, digit)
		out = append([]byte{base58Alphabet[digit.Int64()]}, out...)
	}
	for _, b := range src {
		if b != 0 {
			break
		}
		out = append([]byte{'1'}, out...)
	}
	return string(out)
}

func FuzzBase58(f *testing.F) {
	f.Add([]byte{}, "")
	f.Add([]byte{0, 0, 1}, "112")
	f.Add(bytes.Repeat([]byte{255}, 34), "6MkwXG2WjeQnNxSoynSGYU8V9j3QzP3JSqhdmkHc6SaVWoT")
	f.Add(bytes.Repeat([]byte{255, 0}, 17), "zzzzzzzzzz1zzzzzzzzz0")
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "1111111111111111111")
	f.Fuzz(func(t *testing.T, src []byte, text string) {
		if len(src) <= base58MaxLen/2 {
			s := base58Encode(src)
			if want := schoolbook(src); s != want {
				t.Errorf("%x is %s, want %s", src, s, want)
			}
			if back, ok := base58Decode(s); !ok || !bytes.Equal(back, src) {
				t.Errorf("%x comes back as %x", src, back)
			}
		}
		if b, ok := base58Decode(text); ok && schoolbook(b) != text {
			t.Errorf("%q decodes to %x, which is %q", text, b, schoolbook(b))
		}
	})
}

func BenchmarkBase58(b *testing.B) {
	src := bytes.Repeat([]byte{0xed, 1, 255, 7}, 9)[:34]
	for b.Loop() {
		if _, ok := base58Decode(base58Encode(src)); !ok {
			b.Fatal("not decoded")
		}
	}
}
