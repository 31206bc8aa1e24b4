//go:build linux

package opfs

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilledBrowser ends a whole browser with SIGKILL while a tab puts blocks, and
// looks from the next browser whether all that was acknowledged is there. It is
// the native side of two programs in opfs_js_test.go.
func TestKilledBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts browsers")
	}
	if _, err := exec.LookPath("chromium"); err != nil && os.Getenv("CHROMIUM") == "" {
		t.Skip("needs Chromium: run make setup")
	}
	state, wasm := t.TempDir(), filepath.Join(t.TempDir(), "opfs.wasm")
	build := exec.Command("go", "test", "-c", "-o", wasm, ".")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	acked := 0
	all := map[string]bool{}
	for range 2 {
		for _, a := range killBrowser(t, state, wasm, 20+rand.Intn(200)) {
			all[a] = true
			acked++
		}
		have := listBlocks(t, state, wasm)
		for a := range all {
			if !have[a] {
				t.Fatalf("an acknowledged block is lost: %s", a)
			}
		}
	}
	t.Logf("%d acknowledged blocks survived 2 killed browsers", acked)
}

// browser is a program in a browser whose profile is kept.
func browser(t *testing.T, state, wasm, env string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "node", "../../frontend/go-browser/exec.mjs", wasm)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends its browser
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), env+"=killed", "INOS_BROWSER_STATE="+state)
	return cmd
}

// killBrowser lets a tab put blocks, kills its browser after some lines, and
// returns the addresses that were acknowledged in whole lines.
func killBrowser(t *testing.T, state, wasm string, lines int) (acked []string) {
	t.Helper()
	cmd := browser(t, state, wasm, "INOS_OPFS_CRASH_PLACE")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break // the pipe ends with the browser; what is left is no whole line
		}
		if strings.HasPrefix(line, "error") {
			t.Fatal(line)
		}
		if acked = append(acked, strings.TrimSpace(line)); len(acked) == lines {
			if err := syscall.Kill(browserOf(t, state), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it fails with its browser
	if len(acked) < lines {
		t.Fatalf("the tab acknowledged only %d blocks", len(acked))
	}
	return acked
}

// browserOf finds the browser that has a profile: not its helpers, which name a type.
func browserOf(t *testing.T, state string) int {
	t.Helper()
	profile := []byte("--user-data-dir=" + filepath.Join(state, "profile"))
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		args, err := os.ReadFile(name)
		if err == nil && bytes.Contains(args, profile) && bytes.Contains(args, []byte("--remote-debugging-pipe")) && !bytes.Contains(args, []byte("--type=")) && !bytes.HasPrefix(args, []byte("/bin/sh")) {
			pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
			return pid
		}
	}
	t.Fatal("there is no browser with that profile")
	return 0
}

// listBlocks returns what the store of the next browser has.
func listBlocks(t *testing.T, state, wasm string) map[string]bool {
	t.Helper()
	cmd := browser(t, state, wasm, "INOS_OPFS_LIST_PLACE")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.Discard
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	have := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		have[strings.TrimSpace(line)] = true
	}
	return have
}
