//go:build !js

package node

import (
	"context"
	"os"
	"path/filepath"

	"inos/host/consensus"
	"inos/host/disk"
	"inos/kernel/api"
)

// openStore opens the data folder's blocks and records.
func openStore(_ context.Context, cfg Config) (BlockStore, records, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, records{}, api.E("node.store", api.Denied, err)
	}
	s, err := disk.Open(filepath.Join(cfg.Dir, "store"), disk.Options{Quota: cfg.Quota})
	if err != nil {
		return nil, records{}, err
	}
	return s, records{diskRecords{s.Meta("node")}}, nil
}

// diskRecords is a space of host/disk's as a RecordStore.
type diskRecords struct{ *disk.Meta }

func (r diskRecords) Batch() RecordBatch { return r.Meta.Batch() }

// openLedger opens the ledger that the seed of a mesh keeps.
func openLedger(cfg Config, mesh api.NodeID) (ledgerStore, error) {
	return consensus.Open(filepath.Join(cfg.Dir, "ledger"), consensus.Options{Mesh: mesh})
}

// identityFile holds the node's secret seed: 32 bytes, mode 0600.
const identityFile = "identity.key"

// keyFile is what the owner signs with.
func keyFile(cfg Config) string { return filepath.Join(cfg.Dir, identityFile) }

// rekey is what to do about a membership of another key.
const rekey = "restore " + identityFile + " or join again in a new folder"
