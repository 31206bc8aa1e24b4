package enginetest

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/zeebo/blake3"
)

// FlockParams start the flock whose versions flock.json knows.
const FlockParams = `{"agents":1000,"seed":7}`

// Flock are the versions of the built-in flock that were seen: it is the same on
// every engine, whatever the number of its workers.
type Flock map[string]string

// See notes what a version of the state "boids" holds. Two sights of one version
// must agree.
func (f Flock) See(t testing.TB, version uint32, state []byte) {
	t.Helper()
	sum := blake3.Sum256(state)
	name, text := strconv.Itoa(int(version)), hex.EncodeToString(sum[:8])
	if was, ok := f[name]; ok && was != text {
		t.Errorf("version %d is %s, then %s", version, was, text)
	}
	f[name] = text
}

// Check compares the versions seen with those that the file has.
func (f Flock) Check(t testing.TB) {
	t.Helper()
	path := filepath.Join(dir, "flock.json")
	if *update {
		b, err := json.MarshalIndent(f, "", "  ")
		if err == nil {
			err = os.WriteFile(path, append(b, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Flock{}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for v, sum := range f {
		if w, ok := want[v]; ok {
			compared++
			if w != sum {
				t.Errorf("version %s is %s, natively it is %s", v, sum, w)
			}
		}
	}
	if compared < 5 {
		t.Errorf("%d versions compared", compared)
	}
}
