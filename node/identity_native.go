//go:build !js

package node

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"inos/kernel/api"
	"inos/kernel/identity"
)

// loadIdentity reads the node's key or, on the first start, makes one.
func loadIdentity(cfg Config, _ records) (identity.Identity, error) {
	id, err := ReadIdentity(cfg.Dir)
	if api.KindOf(err) != api.NotFound {
		return id, err
	}
	var seed [identity.SeedSize]byte
	_, _ = rand.Read(seed[:])
	id = identity.NewFromSeed(seed)
	return id, keepSeed(cfg.Dir, seed)
}

// ReadIdentity returns the identity that a data folder keeps, running or not.
// NotFound if it keeps none: the first start makes it.
func ReadIdentity(dir string) (identity.Identity, error) {
	const op = "node.identity"
	name := filepath.Join(dir, identityFile)
	seed, err := os.ReadFile(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return identity.Identity{}, api.Errorf(op, api.NotFound, dir+" has no identity yet; the first start of a node makes one")
	case err != nil:
		return identity.Identity{}, api.E(op, api.Denied, err)
	case len(seed) != identity.SeedSize:
		return identity.Identity{}, api.Errorf(op, api.Corrupt, name+" is damaged: it must hold 32 bytes; restore it from a copy")
	}
	return identity.NewFromSeed([identity.SeedSize]byte(seed)), nil
}

// ImportIdentity makes an exported identity that of a data folder, which may be
// new. A folder that has the same identity is left as it is; Exists if it has
// another, because what the folder keeps is that one's.
func ImportIdentity(dir, text string) (api.NodeID, error) {
	const op = "node.identity"
	id, err := identity.ParseSecret(text)
	if err != nil {
		return api.NodeID{}, err
	}
	have, err := ReadIdentity(dir)
	switch {
	case err == nil && have.ID() == id.ID():
		return id.ID(), nil
	case err == nil:
		return api.NodeID{}, api.Errorf(op, api.Exists, dir+" has the identity "+have.ID().String()+" already; import into a new folder")
	case api.KindOf(err) != api.NotFound:
		return api.NodeID{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return api.NodeID{}, api.E(op, api.Denied, err)
	}
	return id.ID(), keepSeed(dir, id.Seed())
}

// keepSeed writes the key file, which must not be there.
func keepSeed(dir string, seed [identity.SeedSize]byte) error {
	const op = "node.identity"
	f, err := os.OpenFile(filepath.Join(dir, identityFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return api.E(op, api.Denied, err)
	}
	defer f.Close()
	if _, err := f.Write(seed[:]); err != nil {
		return api.E(op, api.NoSpace, err)
	}
	return f.Sync()
}
