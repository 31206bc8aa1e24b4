package chunk

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/chunk/chunktest"
	"inos/kernel/wire"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt")

// goldenChunks are the chunks whose blocks testdata/golden.txt pins.
func goldenChunks() []struct {
	name string
	data []byte
} {
	text, random := make([]byte, api.ChunkSize), make([]byte, api.ChunkSize)
	chunktest.Text(1, text)
	chunktest.Random(1, random)
	mixed := append(bytes.Clone(text[:400_000]), random[:300_000]...)
	ramp := make([]byte, 300_000)
	for i := range ramp {
		ramp[i] = byte(i * i >> 7)
	}
	return []struct {
		name string
		data []byte
	}{
		{"one-byte", []byte{'x'}},
		{"nine-bytes", []byte("aaaaaaaaa")},
		{"text-4096", text[:4096]},
		{"text-65536", text[:65536]},
		{"text-131072", text[:131072]},
		{"text-262145", text[:262145]},
		{"text-chunk", text},
		{"random-4096", random[:4096]},
		{"random-chunk", random},
		{"zeros-chunk", make([]byte, api.ChunkSize)},
		{"mixed-700000", mixed},
		{"ramp-300000", ramp},
		{"repeat-chunk", bytes.Repeat(random[:5000], 210)[:api.ChunkSize]},
	}
}

// TestGolden pins Compressed-1, the derivation of keys and the sealing. It runs
// in every build, GOOS=js among them: all have to give the same bytes.
func TestGolden(t *testing.T) {
	const path = "testdata/golden.txt"
	var lines []string
	for _, c := range goldenChunks() {
		for _, ns := range [][32]byte{{}, {1, 2, 3}} {
			ref, block, _ := encode(ns, append(make([]byte, 0, len(c.data)+wire.SealOverhead), c.data...), blake3.Sum256(c.data))
			lines = append(lines, fmt.Sprintf("%s sealed=%v encoding=%d bytes=%d %s %s", c.name, ns != [32]byte{}, ref.Encoding, len(block), ref.Addr, hex.EncodeToString(ref.Key[:])))
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for _, got := range lines {
		if !in.Scan() || in.Text() != got {
			t.Errorf("the bytes of a block changed, and with them the address of all such content:\n got %s\nwant %s", got, in.Text())
		}
	}
}

func TestCompressReusesEncoders(t *testing.T) {
	for round := range 2 {
		for _, c := range goldenChunks() {
			once := compress(c.data)
			e := &encoder{find: encoders.New().(*encoder).find}
			if once != nil && !bytes.Equal(once, e.run(c.data)) {
				t.Fatalf("round %d: %s differs between a used and a new encoder", round, c.name)
			}
			if once == nil {
				continue
			}
			back, err := decompress(nil, once, len(c.data))
			if err != nil || !bytes.Equal(back, c.data) {
				t.Fatalf("%s does not come back: %v", c.name, err)
			}
		}
	}
}

func TestDecompressRefuses(t *testing.T) {
	text := make([]byte, 10000)
	chunktest.Text(3, text)
	packed := compress(text)
	for name, c := range map[string]struct {
		src  []byte
		size int
	}{
		"longer than stated":  {packed, 9999},
		"shorter than stated": {packed, 10001},
		"cut off":             {packed[:len(packed)/2], 10000},
		"empty":               {nil, 10},
		"noise":               {text[:100], 100},
	} {
		if _, err := decompress(nil, c.src, c.size); api.KindOf(err) != api.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCompress checks that whatever is compressed comes back.
func FuzzCompress(f *testing.F) {
	for _, c := range goldenChunks() {
		f.Add(c.data[:min(len(c.data), 3000)], uint16(len(c.data)/3000))
	}
	f.Fuzz(func(t *testing.T, piece []byte, repeat uint16) {
		data := bytes.Repeat(piece, 1+int(repeat)%400)
		data = data[:min(len(data), 300_000)]
		out := compress(data)
		if out == nil {
			return
		}
		back, err := decompress(nil, out, len(data))
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%d bytes do not come back: %v", len(data), err)
		}
	})
}

func BenchmarkCompress(b *testing.B) {
	for _, c := range goldenChunks() {
		if len(c.data) < 100_000 && c.name != "text-4096" {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			n := len(c.data)
			for b.Loop() {
				if out := compress(c.data); out != nil {
					n = len(out)
				}
			}
			b.ReportMetric(float64(len(c.data))/float64(n), "ratio")
		})
	}
}
