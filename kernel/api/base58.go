package api

import "math/bits"

// Base58 with the Bitcoin alphabet, as did:key requires. Inputs are public keys
// of 34 bytes; the quadratic conversion works on 58^10, the largest power that
// leaves room in a word, so it takes 35 divisions.
//
// Source: draft-msporny-base58-03.

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58MaxLen bounds what base58Decode accepts; a node id has 48 characters.
const base58MaxLen = 64

const (
	limbDigits = 10
	limbBase   = 430_804_206_899_405_824 // 58^limbDigits
)

// base58Digits maps a character to its digit, or 255.
var base58Digits = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range len(base58Alphabet) {
		t[base58Alphabet[i]] = byte(i)
	}
	return t
}()

func base58Encode(src []byte) string {
	zeros := 0
	for zeros < len(src) && src[zeros] == 0 {
		zeros++
	}
	limbs := make([]uint64, 0, 8) // little-endian, below limbBase
	for rest := src[zeros:]; len(rest) > 0; {
		take := (len(rest)-1)%7 + 1 // words of 7 bytes: a limb times 2^56 fits two words
		var word uint64
		for _, b := range rest[:take] {
			word = word<<8 | uint64(b)
		}
		rest = rest[take:]
		for i := range limbs {
			hi, lo := bits.Mul64(limbs[i], 1<<(8*take))
			lo, carry := bits.Add64(lo, word, 0)
			word, limbs[i] = bits.Div64(hi+carry, lo, limbBase)
		}
		if word > 0 {
			limbs = append(limbs, word)
		}
	}
	out := make([]byte, zeros+limbDigits*len(limbs))
	at := len(out)
	for i, v := range limbs {
		for d := 0; d < limbDigits && (i+1 < len(limbs) || v > 0); d++ {
			at--
			out[at] = base58Alphabet[v%58]
			v /= 58
		}
	}
	for range zeros {
		at--
		out[at] = base58Alphabet[0]
	}
	return string(out[at:])
}

func base58Decode(s string) ([]byte, bool) {
	if len(s) > base58MaxLen {
		return nil, false
	}
	ones := 0
	for ones < len(s) && s[ones] == base58Alphabet[0] {
		ones++
	}
	words := make([]uint64, 0, 8) // little-endian
	for rest := s[ones:]; len(rest) > 0; {
		take := min(limbDigits, len(rest))
		limb, base := uint64(0), uint64(1)
		for i := range take {
			d := base58Digits[rest[i]]
			if d == 255 {
				return nil, false
			}
			limb, base = limb*58+uint64(d), base*58
		}
		rest = rest[take:]
		for i := range words {
			hi, lo := bits.Mul64(words[i], base)
			lo, carry := bits.Add64(lo, limb, 0)
			words[i], limb = lo, hi+carry
		}
		if limb > 0 {
			words = append(words, limb)
		}
	}
	out := make([]byte, ones, ones+8*len(words))
	for i := len(words) - 1; i >= 0; i-- {
		for shift := 56; shift >= 0; shift -= 8 {
			if b := byte(words[i] >> shift); b != 0 || len(out) > ones {
				out = append(out, b)
			}
		}
	}
	return out, true
}
