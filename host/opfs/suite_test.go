package opfs

import (
	"sync"
	"testing"

	"inos/host/storetest"
	"inos/kernel/api"
)

// metaRecords is a space of the store, for the suite.
type metaRecords struct{ *Meta }

func (m metaRecords) Batch() storetest.Batch { return m.Meta.Batch() }

// hostOf is the suite's view of stores that open opens.
func hostOf(place func(testing.TB) string, open func(string, Options) (*Store, error)) storetest.Host {
	return storetest.Host{
		Place: place,
		Open: func(place string, quota uint64) (storetest.Store, error) {
			s, err := open(place, Options{Quota: quota})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Records: func(s storetest.Store, space string) storetest.Records {
			return metaRecords{s.(*Store).Meta(space)}
		},
		Damage: func(t testing.TB, s storetest.Store, addr api.Address) { damage(t, s.(*Store), addr, 1) },
	}
}

// damage flips bits of a block in its file.
func damage(t testing.TB, s *Store, addr api.Address, mask byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.state.has(addr)
	if !ok {
		t.Fatal("no such block")
	}
	at := int64(e.at[0].at) * unit
	b := make([]byte, 1)
	if _, err := s.files.blocks.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= mask
	if err := s.files.blocks.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// places are memory files by name, which one store at a time may have.
type places struct {
	mu    sync.Mutex
	files map[string]*files // guarded by mu
	taken map[string]bool   // guarded by mu
}

func (p *places) open(name string, opt Options) (*Store, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[name] {
		return nil, api.Errorf("opfs.open", api.Conflict, "taken")
	}
	if p.files[name] == nil {
		p.files[name] = inMemory(1 << 30)
	}
	f := *p.files[name]
	f.close = func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken[name] = false
		return nil
	}
	p.taken[name] = true
	return openOn(&f, "a test", opt)
}

func TestSuiteInMemory(t *testing.T) {
	p := &places{files: map[string]*files{}, taken: map[string]bool{}}
	n := 0
	storetest.Run(t, hostOf(func(testing.TB) string { n++; return string(rune('a' + n)) }, p.open))
}
