package ledger_test

import (
	"testing"

	"inos/kernel/api"
	"inos/kernel/ledger"
	"inos/kernel/ledger/ledgertest"
)

func TestMemory(t *testing.T) {
	ledgertest.Run(t, func(_ testing.TB, mesh api.NodeID, now func() int64) api.Ledger {
		return ledger.NewMemory(mesh, now)
	})
}
