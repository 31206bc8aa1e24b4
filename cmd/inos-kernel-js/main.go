//go:build js

// Command inos-kernel-js is the kernel of a browser tab's node. It runs in a
// worker that frontend/src/tab/kernel.worker.ts prepared: globalThis.inosHost has
// the boot message, the ports and what makes threads.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall/js"

	"inos/host/browser"
	"inos/kernel/api"
	"inos/node"
	"inos/server/tab"
)

// boot is what the page says at the start; frontend/src/tab/boot.ts makes it.
type boot struct {
	Store    string              `json:"store"` // name of the folder in the origin's private file system
	Name     string              `json:"name"`  // in the mesh, unless the invite has one
	Cores    int                 `json:"cores"`
	Quota    uint64              `json:"quota"` // bytes of blocks; 0 for what the browser gives
	Settings tab.Settings        `json:"settings"`
	Builtins []api.BuiltinModule `json:"builtins"`
	Modules  string              `json:"modules"` // where their files are
	Version  string              `json:"version"`
}

// Bounds of what a tab takes.
const (
	minWorkers = 2 // module workers that run at once: the user's own jobs do not wait for one that rests
	maxWorkers = 8
	putWindow  = 16 << 20 // bytes of blocks in flight in one put
	arenaBytes = 32 << 20 // the light tier; ARENA_BYTES of frontend/src/bridge/memory.ts
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "inos:", err)
		os.Exit(1)
	}
}

func run() error {
	var b boot
	if err := json.Unmarshal([]byte(js.Global().Get("inosHost").Get("boot").String()), &b); err != nil {
		return api.E("kernel.boot", api.Invalid, err)
	}
	port, err := browser.Open("api")
	if err != nil {
		return err
	}
	_, err = browser.OpenShared()
	l := newLife(b, node.Config{
		Dir: b.Store, Name: b.Name, Quota: b.Quota, Workers: min(max(b.Cores, minWorkers), maxWorkers), PutWindow: putWindow, ArenaBytes: arenaBytes,
		Sensors: browser.OpenSensors(),
		Host:    node.HostConfig{Builtins: b.Builtins, ModulesURL: b.Modules},
		Log:     func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
	}, err == nil)
	go l.start()
	return tab.Serve(context.Background(), port, l)
}
