package node

import (
	"runtime"

	"inos/kernel/api"
)

// HostConfig is what only a tab's hosts need.
type HostConfig struct {
	// Builtins are the built-in modules of the node that served the page, and
	// ModulesURL is where their files are: ModulesURL NAME-HASH.wasm.
	Builtins   []api.BuiltinModule
	ModulesURL string
}

// firstOffer is what Offer begins with: the page says when to contribute.
func (c Config) firstOffer() int { return 0 }

func absolute(dir string) (string, error) { return dir, nil }

func hostname() string { return "tab" }

// residentBytes is what Go took of the tab's memory.
func residentBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys
}
