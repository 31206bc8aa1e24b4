package mesh

import "math/bits"

// costBits is the number of fraction bits of a cost. The integer part is at
// most 65, so a cost fits 64 bits.
const costBits = 57

// logTable holds log2(1 + i/256) with costBits of fraction.
var logTable = makeLogTable()

// makeLogTable takes logarithms by repeated squaring in integers, so that no
// two machines differ in the last bit as their floating point might.
func makeLogTable() (t [257]uint64) {
	for i := range 256 {
		x := uint64(256+i) << 55 // 1 + i/256 with 63 bits of fraction
		var log uint64
		for range costBits {
			hi, lo := bits.Mul64(x, x)
			log <<= 1
			if hi>>63 == 1 { // x*x is 2 or more
				log |= 1
				x = hi
			} else {
				x = hi<<1 | lo>>63
			}
		}
		t[i] = log
	}
	t[256] = 1 << costBits
	return t
}

// cost maps a uniform 64-bit draw u to -log2(u/2^64), exponentially
// distributed, by the table and linear interpolation.
func cost(u uint64) uint64 {
	u |= 1
	zeros := bits.LeadingZeros64(u)
	m := u << zeros // 1.f with 63 bits of fraction
	i := m >> 55 & 0xff
	part, _ := bits.Mul64(logTable[i+1]-logTable[i], m<<9)
	return uint64(zeros+1)<<costBits - logTable[i] - part
}

// costBound is at most cost(u), from -log2(x) >= (1-x)/ln 2, and cheaper.
func costBound(u uint64) uint64 {
	gap := ^u >> (64 - costBits)
	return gap + gap>>2 + gap>>3 // 1.375 of the 1.4427
}

// mix folds the 128-bit product of two keyed words, as wyhash does.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo
}
