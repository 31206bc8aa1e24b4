package p2p

import (
	"context"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// BenchmarkTransport compares bare libp2p stacks for bulk (one stream, 256 KiB
// writes) and for a 64-byte round trip. It chose TCP with TLS; see
// docs/rationale.md.
func BenchmarkTransport(b *testing.B) {
	window := func(max uint32) *yamux.Transport {
		c := *yamux.DefaultTransport
		c.InitialStreamWindowSize = 1 << 20
		c.MaxStreamWindowSize = max
		c.MaxMessageSize = 64 << 10
		return &c
	}
	big := window(32 << 20)
	big.MaxMessageSize = 256 << 10
	stacks := []struct {
		name   string
		listen string
		opts   []libp2p.Option
	}{
		{"tcp-tls", "/ip4/127.0.0.1/tcp/0", []libp2p.Option{libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(tls.ID, tls.New), libp2p.Muxer(yamux.ID, window(16<<20))}},
		{"tcp-tls-256k", "/ip4/127.0.0.1/tcp/0", []libp2p.Option{libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(tls.ID, tls.New), libp2p.Muxer(yamux.ID, big)}},
		{"tcp-noise", "/ip4/127.0.0.1/tcp/0", []libp2p.Option{libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New), libp2p.Muxer(yamux.ID, window(16<<20))}},
		{"quic", "/ip4/127.0.0.1/udp/0/quic-v1", []libp2p.Option{libp2p.Transport(libp2pquic.NewTransport)}},
	}
	for _, st := range stacks {
		opts := append([]libp2p.Option{libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay()}, st.opts...)
		server, err := libp2p.New(append(opts, libp2p.ListenAddrStrings(st.listen))...)
		if err != nil {
			b.Fatal(err)
		}
		defer server.Close()
		server.SetStreamHandler("/sink", func(s network.Stream) {
			_, _ = io.Copy(struct{ io.Writer }{io.Discard}, s)
			_, _ = s.Write([]byte{1})
			_ = s.Close()
		})
		server.SetStreamHandler("/echo", func(s network.Stream) {
			buf := make([]byte, 64)
			for {
				if _, err := io.ReadFull(s, buf); err != nil {
					return
				}
				_, _ = s.Write(buf)
			}
		})
		client, err := libp2p.New(append(opts, libp2p.NoListenAddrs)...)
		if err != nil {
			b.Fatal(err)
		}
		defer client.Close()
		ctx := context.Background()
		if err := client.Connect(ctx, peer.AddrInfo{ID: server.ID(), Addrs: server.Addrs()}); err != nil {
			b.Fatal(err)
		}
		b.Run(st.name+"/bulk", func(b *testing.B) {
			s, err := client.NewStream(ctx, server.ID(), "/sink")
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 1<<20)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := s.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			_ = s.CloseWrite()
			_, _ = s.Read(buf[:1])
		})
		b.Run(st.name+"/rtt", func(b *testing.B) {
			s, err := client.NewStream(ctx, server.ID(), "/echo")
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 64)
			for range b.N {
				_, _ = s.Write(buf)
				if _, err := io.ReadFull(s, buf); err != nil {
					b.Fatal(err)
				}
			}
			_ = s.Reset()
		})
		b.Run(st.name+"/newstream", func(b *testing.B) {
			buf := make([]byte, 64)
			for range b.N {
				s, err := client.NewStream(ctx, server.ID(), "/echo")
				if err != nil {
					b.Fatal(err)
				}
				_, _ = s.Write(buf)
				if _, err := io.ReadFull(s, buf); err != nil {
					b.Fatal(err)
				}
				_ = s.Reset()
			}
		})
	}
}
