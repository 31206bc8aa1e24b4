package ring

import "testing"

// BenchmarkRing64 moves 64-byte messages from one goroutine to another: singly,
// in batches of 32, and over a Go channel of the same depth as a peer.
func BenchmarkRing64(b *testing.B) {
	const size, depth, batch = 64, 1024, 32
	capacity := depth * 128
	b.Run("single", func(b *testing.B) {
		r, _, _ := newRing(b, capacity, size)
		n, msg, buf := b.N, make([]byte, size), make([]byte, size)
		b.SetBytes(size)
		b.ReportAllocs()
		go func() {
			for range n {
				_ = r.Writer().Send(background, msg)
			}
		}()
		for range n {
			if _, err := r.Reader().Receive(background, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("batch32", func(b *testing.B) {
		r, _, _ := newRing(b, capacity, size)
		n, buf := b.N, make([]byte, size)
		msgs := make([][]byte, batch)
		for i := range msgs {
			msgs[i] = make([]byte, size)
		}
		b.SetBytes(size)
		b.ReportAllocs()
		go func() {
			for left := n; left > 0; left -= batch {
				_, _ = r.Writer().SendBatch(background, msgs[:min(batch, left)])
			}
		}()
		for got := 0; got < n; {
			k, err := r.Reader().ReceiveBatch(background, buf, batch, func([]byte) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			got += k
		}
	})
	b.Run("chan", func(b *testing.B) {
		c := make(chan [size]byte, depth)
		n := b.N
		b.SetBytes(size)
		go func() {
			for range n {
				c <- [size]byte{}
			}
		}()
		for range n {
			<-c
		}
	})
}
