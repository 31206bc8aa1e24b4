package disk

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"inos/kernel/api"
)

// The folder's parts.
const (
	formatFile    = "FORMAT"
	lockFile      = "LOCK"
	uncleanFile   = "UNCLEAN" // there while the store is open, and after a crash
	blocksDir     = "blocks"  // 256 folders named by an address's first byte
	tempDir       = "tmp"
	quarantineDir = "quarantine"
	metaDir       = "meta"

	formatV1 = "inos-store 1\n"
)

// claim locks dir, checks or writes its format, and empties the temporary
// folder. unclean reports that the last process to open it did not close it.
func claim(dir string) (lock io.Closer, unclean bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, err
	}
	lock, err = vfs.Default.Lock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, false, api.Errorf("disk.lock", api.Conflict, "another process uses the store in "+dir+"; stop it or choose another folder")
	}
	unclean, err = prepare(dir)
	if err != nil {
		_ = lock.Close() // the first error matters
		return nil, false, err
	}
	return lock, unclean, nil
}

func prepare(dir string) (unclean bool, err error) {
	got, err := os.ReadFile(filepath.Join(dir, formatFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = create(dir)
	case err == nil && string(got) != formatV1:
		err = unknownFormat(dir, string(got))
	}
	if err != nil {
		return false, err
	}
	if err := os.RemoveAll(filepath.Join(dir, tempDir)); err != nil {
		return false, err
	}
	if err := os.Mkdir(filepath.Join(dir, tempDir), 0o700); err != nil {
		return false, err
	}
	mark := filepath.Join(dir, uncleanFile)
	_, err = os.Lstat(mark)
	unclean = err == nil
	if err := writeSynced(mark, nil); err != nil {
		return false, err
	}
	return unclean, syncDir(dir)
}

// create lays out an empty store. The format file comes last, so a crash
// before it means starting over.
func create(dir string) error {
	for _, d := range []string{blocksDir, quarantineDir, metaDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	for b := range 256 {
		if err := os.MkdirAll(filepath.Join(dir, blocksDir, hex.EncodeToString([]byte{byte(b)})), 0o700); err != nil {
			return err
		}
	}
	if err := syncDir(filepath.Join(dir, blocksDir)); err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(dir, formatFile), []byte(formatV1)); err != nil {
		return err
	}
	return syncDir(dir)
}

func unknownFormat(dir, got string) error {
	if strings.HasPrefix(got, "inos-store ") {
		return api.Errorf("disk.format", api.Unsupported, "the store in "+dir+" has the format "+strings.TrimSpace(got)+
			", and this build reads only "+strings.TrimSpace(formatV1)+"; use the newer inos that wrote it")
	}
	return api.Errorf("disk.format", api.Invalid, "the folder "+dir+" is not a block store; choose another")
}

// markClean says that the next Open need not look for orphans.
func (s *Store) markClean() error {
	if err := os.Remove(filepath.Join(s.dir, uncleanFile)); err != nil {
		return err
	}
	return syncDir(s.dir)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// syncDir makes renames and removals in dir durable. Systems that cannot sync a
// folder make them durable on their own.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// blockPath returns where a large block's file is.
func (s *Store) blockPath(a api.Address) string {
	return filepath.Join(s.blockDir(a[0]), hex.EncodeToString(a[:]))
}

func (s *Store) blockDir(first byte) string {
	return filepath.Join(s.dir, blocksDir, hex.EncodeToString([]byte{first}))
}
