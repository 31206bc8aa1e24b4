//go:build linux || darwin

package disk

import "golang.org/x/sys/unix"

// statfs returns the bytes available to this user and the size of dir's file system.
func statfs(dir string) (avail, total uint64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, false
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), true
}
