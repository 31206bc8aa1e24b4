package consensus

import (
	"context"
	"testing"

	"inos/kernel/api"
	"inos/kernel/ledger/ledgertest"
)

func open(t testing.TB, dir string, mesh api.NodeID, now func() int64) *Ledger {
	t.Helper()
	l, err := Open(dir, Options{Mesh: mesh, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestSuite(t *testing.T) {
	ledgertest.Run(t, func(t testing.TB, mesh api.NodeID, now func() int64) api.Ledger {
		l := open(t, t.TempDir(), mesh, now)
		t.Cleanup(func() {
			if _, err := l.Verify(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return l
	})
}
