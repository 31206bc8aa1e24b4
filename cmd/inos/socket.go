package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// maxSocketPath leaves room in sun_path on every system; see server.
const maxSocketPath = 103

// socketPath is the socket of a data folder: inside it, or, where that is too
// long for the system, in the user's runtime folder under a name made of the
// folder's.
func (a *app) socketPath(dir string) string {
	if p := filepath.Join(dir, "inos.sock"); len(p) <= maxSocketPath {
		return p
	}
	sum := blake3.Sum256([]byte(dir))
	return filepath.Join(a.runtimeDir(), hex.EncodeToString(sum[:8])+".sock")
}

func (a *app) runtimeDir() string {
	if v := a.env("XDG_RUNTIME_DIR"); filepath.IsAbs(v) && len(v) < 60 {
		return filepath.Join(v, "inos")
	}
	return "/tmp/inos-" + strconv.Itoa(os.Getuid())
}

// checkSocketDir refuses a folder under /tmp that another user may have made
// first, to catch what is meant for our node.
func checkSocketDir(socket string) error {
	dir := filepath.Dir(socket)
	if filepath.Dir(dir) != "/tmp" || filepath.Base(dir) != "inos-"+strconv.Itoa(os.Getuid()) {
		return nil
	}
	fi, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return api.E("cli.socket", api.Denied, err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || fi.Mode().Perm()&0o077 != 0 || ok && int(st.Uid) != os.Getuid() {
		return api.Errorf("cli.socket", api.Denied, fmt.Sprintf("%s does not belong to you alone; set --socket to a path in a folder of yours", dir))
	}
	return nil
}

// isNoSpace tells a full disk or quota from other failures to write.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
