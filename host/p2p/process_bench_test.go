//go:build unix

package p2p

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"inos/kernel/api"
)

// helperEnv makes the test binary a node of its own: the value is the seed of
// its key in hex and the number of blocks and their size.
const helperEnv = "INOS_P2P_HELPER"

func TestMain(m *testing.M) {
	if arg := os.Getenv(helperEnv); arg != "" {
		helper(arg)
		return
	}
	os.Exit(m.Run())
}

// helper serves blocks until its standard input ends.
func helper(arg string) {
	var seedHex string
	var count, size int
	if _, err := fmt.Sscan(arg, &seedHex, &count, &size); err != nil {
		panic(err)
	}
	seed, err := hex.DecodeString(seedHex)
	if err != nil {
		panic(err)
	}
	h, err := New(Config{Key: ed25519.NewKeyFromSeed(seed), Listen: ListenOn("127.0.0.1", 0), Member: func(api.NodeID) bool { return true }})
	if err != nil {
		panic(err)
	}
	var blocks []api.Block
	for i := range count {
		blocks = append(blocks, block(i, size))
	}
	serve(h, blocks...)
	_ = h.Subscribe("news", nil, func(api.NodeID, []byte) {})
	runtime.GC()
	fmt.Println(strings.Join(h.Addrs(), " "))
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = h.Close()
}

// startHelper runs a helper and returns its process and addresses.
func startHelper(b *testing.B, count, size int) (*exec.Cmd, []string) {
	b.Helper()
	key, _ := newKey(b)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%x %d %d", helperEnv, key.Seed(), count, size))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return cmd, strings.Fields(line)
}

func openMesh(b *testing.B) *Host {
	key, _ := newKey(b)
	return newTestMesh().host(b, key, func(c *Config) { c.Member = func(api.NodeID) bool { return true } })
}

// BenchmarkTwoProcesses fetches 1 MiB blocks from another process, from memory:
// what the network alone allows. cpu-ms/MiB, both sides together, does not
// depend on what else the machine does.
func BenchmarkTwoProcesses(b *testing.B) {
	cmd, addrs := startHelper(b, 32, api.MaxBlock)
	h := openMesh(b)
	peer, err := h.Connect(testContext(b), addrs...)
	if err != nil {
		b.Fatal(err)
	}
	var ask []api.Address
	for i := range 32 {
		ask = append(ask, block(i, api.MaxBlock).Addr)
	}
	b.SetBytes(api.MaxBlock)
	before := ownCPU() + cpuOf(b, cmd.Process.Pid)
	b.ResetTimer()
	for n := 0; n < b.N; n += len(ask) {
		if err := h.Fetch(context.Background(), peer, ask[:min(len(ask), b.N-n)], func(api.Address, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	used := ownCPU() + cpuOf(b, cmd.Process.Pid) - before
	b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/MiB")
}

// BenchmarkIdle reports what a connected node in a process of its own costs
// while nothing happens for ten seconds. Run it with -benchtime 1x.
func BenchmarkIdle(b *testing.B) {
	cmd, addrs := startHelper(b, 1, 10)
	for range 2 {
		h := openMesh(b)
		if _, err := h.Connect(testContext(b), addrs...); err != nil {
			b.Fatal(err)
		}
		if err := h.Subscribe("news", nil, func(api.NodeID, []byte) {}); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	const span = 10 * time.Second
	before := cpuOf(b, cmd.Process.Pid)
	for range b.N {
		time.Sleep(span)
	}
	used := cpuOf(b, cmd.Process.Pid) - before
	b.ReportMetric(100*used.Seconds()/span.Seconds()/float64(b.N), "%core")
	b.ReportMetric(float64(rssOf(b, cmd.Process.Pid))/(1<<20), "MiB-RSS")
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf sums the run time of a process's threads, to the nanosecond.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tasks, err := os.ReadDir(dir)
	if err != nil {
		b.Skip("needs /proc")
	}
	var total time.Duration
	for _, t := range tasks {
		raw, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
		if err != nil {
			continue
		}
		if f := strings.Fields(string(raw)); len(f) > 0 {
			ns, _ := strconv.ParseInt(f[0], 10, 64)
			total += time.Duration(ns)
		}
	}
	return total
}

func rssOf(b *testing.B, pid int) int64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Skip("needs /proc")
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
