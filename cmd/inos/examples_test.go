package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"inos/kernel/api"
)

// TestExamples adds each example module on one node, runs it on another and
// checks the bytes; then it has the method verified as deterministic.
func TestExamples(t *testing.T) {
	c := processes(t, "oak", "cedar")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir()) // an author's key of this test's own
	oak := c.Nodes[0]
	for _, e := range []struct {
		module, method, input string
		params                []string
		want                  func(t *testing.T, out []byte)
	}{
		{"wordcount", "text.count", "The cat and the dog.\nA dog!\n", []string{"-p", "top=2"}, exactly(
			`{"lines":2,"words":7,"bytes":28,"distinct":5,"top":[{"word":"dog","count":2},{"word":"the","count":2}]}` + "\n")},
		{"mandelbrot", "fractal.tile", "", []string{"-p", "zoom=1", "-p", "x=0", "-p", "y=1", "-p", "size=48", "-p", "iterations=200"}, mandelbrotTile},
		{"csv-clean", "table.clean", "name , age\n  Ann   Lee ,41\n,\n\"Bob, Jr.\",7\nAnn Lee,41\n", nil, exactly(
			"name,age\r\nAnn Lee,41\r\n\"Bob, Jr.\",7\r\n")},
		{"levenshtein", "lines.distances", "kitten\nsitting\n\nsitting\nsitting", nil, exactly("3\n7\n7\n0\n")},
	} {
		t.Run(e.module, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, e.module+".wasm")
			if err := os.WriteFile(file, example(t, e.module), 0o600); err != nil {
				t.Fatal(err)
			}
			var info api.ModuleInfo
			if err := json.Unmarshal([]byte(must(t, oak, "--json", "module", "add", file)), &info); err != nil {
				t.Fatal(err)
			}
			if info.Ref != e.module+"@1.0.0" || !info.Verified {
				t.Errorf("added as %s, signed: %v", info.Ref, info.Verified)
			}
			args := append([]string{"run", info.Ref + "/" + e.method, "--node", "cedar", "--out", filepath.Join(dir, "out")}, e.params...)
			check := append([]string{"module", "verify-determinism", info.Ref + "/" + e.method, "--nodes", "oak,cedar"}, e.params...)
			if e.input != "" {
				input := filepath.Join(dir, "input.txt")
				if err := os.WriteFile(input, []byte(e.input), 0o600); err != nil {
					t.Fatal(err)
				}
				var obj api.Object
				if err := json.Unmarshal([]byte(lastLine(must(t, oak, "--json", "put", input))), &obj); err != nil {
					t.Fatal(err)
				}
				args = append(args, obj.Link.String())
				check = append(check, input)
			}
			must(t, oak, args...)
			e.want(t, onlyFile(t, filepath.Join(dir, "out")))
			if out := must(t, oak, check...); !strings.HasPrefix(out, "same") {
				t.Errorf("verify-determinism: %s", out)
			}
		})
	}
}

// example unpacks a built example.
func example(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile("../../examples/dist/" + name + ".wasm.br")
	if err != nil {
		t.Fatal(err)
	}
	var wasm bytes.Buffer
	if _, err := wasm.ReadFrom(brotli.NewReader(bytes.NewReader(packed))); err != nil {
		t.Fatal(err)
	}
	return wasm.Bytes()
}

func exactly(want string) func(*testing.T, []byte) {
	return func(t *testing.T, out []byte) {
		if string(out) != want {
			t.Errorf("got %q, want %q", out, want)
		}
	}
}

func lastLine(s string) string {
	if s = strings.TrimSpace(s); strings.HasPrefix(s, "{\n") {
		return s
	}
	return s[strings.LastIndex(s, "\n")+1:]
}

func onlyFile(t *testing.T, dir string) []byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d outputs, %v", len(entries), err)
	}
	b, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mandelbrotTile computes the lower left quarter of the set anew.
func mandelbrotTile(t *testing.T, out []byte) {
	img, err := png.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	gray, ok := img.(*image.Gray)
	if !ok || gray.Bounds() != image.Rect(0, 0, 48, 48) {
		t.Fatalf("%T of %v", img, img.Bounds())
	}
	inside := 0
	for row := range 48 {
		for column := range 48 {
			re, im := -2+(float64(column)+0.5)*2/48, (float64(row)+0.5)*2/48
			n := escape(re, im, 200)
			want := uint8(255 - n%64*3)
			if n == 200 {
				want = 0
				inside++
			}
			if got := gray.GrayAt(column, row).Y; got != want {
				t.Fatalf("pixel %d, %d is %d, want %d", column, row, got, want)
			}
		}
	}
	if inside == 0 || inside == 48*48 {
		t.Errorf("%d pixels are inside", inside)
	}
}

// escape rounds after each operation: the conversions forbid fused ones.
func escape(re, im float64, limit int) int {
	var x, y float64
	for n := range limit {
		xx, yy := float64(x*x), float64(y*y)
		if float64(xx+yy) > 4 {
			return n
		}
		y = float64(float64(2*x)*y) + im
		x = float64(xx-yy) + re
	}
	return limit
}
