//go:build !linux

package server

import "net"

// peerAllowed relies on the socket file's mode where the kernel is not asked.
func peerAllowed(*net.UnixConn) bool { return true }
