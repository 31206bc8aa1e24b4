package supervise

import "testing"

// BenchmarkCall is what supervision adds to a call that succeeds.
func BenchmarkCall(b *testing.B) {
	m := machine(b, Config{})
	h, p := module(0), id(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now := int64(i)
		m.Step(now, Arrived{h, p})
		m.Step(now, Began{h, p})
		m.Step(now, Ended{Module: h, Payer: p, Outcome: Success, Gas: 1})
	}
}
