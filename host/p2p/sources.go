package p2p

import (
	"net/netip"
	"slices"
	"strings"
)

// TabSources turns a node's addresses into the sources that a page's
// Content-Security-Policy must name for a tab to reach the node: the WebSocket
// of each TCP port and the WebTransport of each QUIC port, whether or not they
// listen yet. An address that is no plain host and port gives none; neither does
// IPv6, which such policies cannot name.
//
// Source: Content Security Policy Level 3, section 2.3.1, host-source.
func TabSources(addrs []string) []string {
	var out []string
	for _, a := range addrs {
		part := strings.Split(a, "/")
		if len(part) < 5 || part[0] != "" || !policyHost(part[1], part[2]) || !policyPort(part[4]) {
			continue
		}
		host, rest := part[2]+":"+part[4], strings.Join(part[5:], "/")+"/"
		source := ""
		switch {
		case part[3] == "udp" && strings.HasPrefix(rest, "quic-v1/"):
			source = "https://" + host
		case part[3] == "tcp" && (strings.HasPrefix(rest, "tls/") || strings.HasPrefix(rest, "wss/")):
			source = "wss://" + host
		case part[3] == "tcp":
			source = "ws://" + host
		}
		if source != "" && !slices.Contains(out, source) {
			out = append(out, source)
		}
	}
	return out
}

// policyHost reports whether host may stand in a policy as it is: an address or a
// name, and nothing that begins another source or directive.
func policyHost(kind, host string) bool {
	switch kind {
	case "ip4":
		a, err := netip.ParseAddr(host)
		return err == nil && a.Is4()
	case "dns", "dns4", "dns6":
		return host != "" && len(host) <= 253 && strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == ""
	}
	return false
}

func policyPort(port string) bool {
	return port != "" && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

// TabDials returns those of a node's addresses that a tab dials, WebTransport
// first.
func TabDials(addrs []string) []string {
	var list []string
	for _, via := range []string{"webtransport", "websocket", "webrtc"} {
		for _, a := range addrs {
			if transportOf(a) == via {
				list = append(list, a)
			}
		}
	}
	return list
}

// Varied returns at most each addresses of every transport, in order.
func Varied(addrs []string, each int) []string {
	count := make(map[string]int)
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		via := transportOf(a)
		count[via]++
		return count[via] > each
	})
}

// Native leaves out the addresses that only browsers need: WebTransport, WebRTC,
// and WebSocket where plain TCP has the same port. When these are the only ones it
// keeps all of them. The slice is the caller's own; addrs stays as it is.
func Native(addrs []string) []string {
	plain := make(map[string]bool)
	for _, a := range addrs {
		plain[withoutPeer(a)] = true
	}
	some := slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		switch transportOf(a) {
		case "webtransport", "webrtc":
			return true
		case "websocket":
			return plain[strings.TrimSuffix(withoutPeer(a), "/ws")]
		}
		return false
	})
	if len(some) == 0 {
		return slices.Clone(addrs)
	}
	return some
}

// withoutPeer cuts the peer's id off.
func withoutPeer(addr string) string {
	at, _, _ := strings.Cut(addr, "/p2p/")
	return at
}

// fewer returns at most max addresses, as many of every transport as fit, so that
// a machine with many interfaces still announces each way to reach it.
func fewer(addrs []string, max int) []string {
	for each := max; each > 0; each-- {
		if some := Varied(addrs, each); len(some) <= max {
			return some
		}
	}
	return addrs[:min(len(addrs), max)]
}
