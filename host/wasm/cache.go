package wasm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/zeebo/blake3"

	"inos/host/internal/machine"
	"inos/kernel/api"
	"inos/kernel/module/meter"
)

// codeCache is one module's compiled code on disk:
//
//	CacheDir/<module hash>-m<meter version>-<key of the engine>/
//	    ...        what the engine writes
//	    metered    the rewritten module
//	    info       what the meter says of it, in JSON
//	    sum        BLAKE3 over the paths and bytes of the above
//
// An engine trusts what it finds, so a folder is used only when its sum is right.
// The sum guards against torn writes and rot, not against somebody who can
// write to the folder; that is why it is private to the node.
type codeCache struct {
	dir   string // "" without a cache
	whole bool   // the sum was right when opened, or seal wrote it
}

// Names in the entry beside the engine's.
const (
	sumFile     = "sum"
	meteredFile = "metered"
	infoFile    = "info"
)

func openCache(root string, hash api.Hash, e machine.Engine) *codeCache {
	if root == "" {
		return &codeCache{}
	}
	c := &codeCache{dir: filepath.Join(root, hash.String()+"-m"+strconv.Itoa(meter.Version)+"-"+e.Key())}
	want, err := os.ReadFile(filepath.Join(c.dir, sumFile))
	got, ok := c.sum()
	c.whole = err == nil && ok && bytes.Equal(want, got)
	if !c.whole {
		c.discard()
	}
	return c
}

// trusted reports whether the code was compiled by us from a module that passed
// validation.
func (c *codeCache) trusted() bool { return c.whole }

// rewritten returns the module as the meter rewrote it when it was compiled; false
// when it is not there.
func (c *codeCache) rewritten() (metered []byte, info meter.Info, ok bool) {
	if !c.whole {
		return nil, info, false
	}
	text, err := os.ReadFile(filepath.Join(c.dir, infoFile))
	if err == nil {
		err = json.Unmarshal(text, &info)
	}
	if err == nil {
		metered, err = os.ReadFile(filepath.Join(c.dir, meteredFile))
	}
	return metered, info, err == nil
}

// keep writes down what rewritten returns. A disk that cannot be written costs speed,
// not the call.
func (c *codeCache) keep(metered []byte, info meter.Info) {
	if c.dir == "" || c.whole {
		return
	}
	text, err := json.Marshal(info)
	if err == nil {
		err = os.MkdirAll(c.dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, infoFile), text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, meteredFile), metered, 0o600)
	}
	if err != nil {
		c.discard()
	}
}

// seal records the sum of what the engine wrote.
func (c *codeCache) seal() {
	if c.dir == "" || c.whole {
		return
	}
	sum, ok := c.sum()
	if !ok {
		return
	}
	tmp := filepath.Join(c.dir, sumFile+".tmp")
	if os.WriteFile(tmp, sum, 0o600) == nil && os.Rename(tmp, filepath.Join(c.dir, sumFile)) == nil {
		c.whole = true
	}
}

// discard removes the entry.
func (c *codeCache) discard() {
	c.whole = false
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

// sum hashes every file of the entry but the sum itself, in path order.
func (c *codeCache) sum() ([]byte, bool) {
	if c.dir == "" {
		return nil, false
	}
	h, files := blake3.New(), 0
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == sumFile || filepath.Ext(path) == ".tmp" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.dir, path)
		if err != nil {
			return err
		}
		one := blake3.Sum256(b)
		_, _ = h.WriteString(filepath.ToSlash(rel) + "\x00")
		_, _ = h.Write(one[:])
		files++
		return nil
	})
	return []byte(hex.EncodeToString(h.Sum(nil))), err == nil && files > 0
}
