package consensus

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/ledger/ledgertest"
	"inos/kernel/wire"
)

// childEnv makes the test binary a process that submits commands until it is
// killed, and prints each one after it was acknowledged.
const childEnv = "INOS_CONSENSUS_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		crashChild(dir)
		return
	}
	os.Exit(m.Run())
}

func clock() int64 { return time.Now().UnixMilli() }

func crashChild(dir string) {
	root := ledgertest.NewActor(1)
	l, err := Open(dir, Options{Mesh: root.ID})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	ctx := context.Background()
	_, _ = l.Submit(ctx, root.Command(clock(), api.Genesis{Supply: 1_000_000 * api.Credit}))
	actors := []*ledgertest.Actor{ledgertest.NewActor(2), ledgertest.NewActor(3)}
	for _, a := range actors {
		_, _ = l.Submit(ctx, root.CommandAs(api.RandomID(), clock(), api.Grant{Node: a.ID, Amount: 1000 * api.Credit}))
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for i := range 4 {
		a, b := actors[i%2], actors[1-i%2]
		wg.Go(func() {
			for {
				cmd := a.CommandAs(api.RandomID(), clock(), api.Transfer{To: b.ID, Amount: 1})
				if _, err := l.Submit(ctx, cmd); err != nil {
					continue // the other may be out of credits for a moment
				}
				raw, _ := wire.EncodeCommand(cmd)
				out.Lock()
				fmt.Println(hex.EncodeToString(raw))
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

// Killed at random points, the ledger opens, verifies, and knows every command
// it had acknowledged.
func TestKilledAtRandomPoints(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	root := ledgertest.NewActor(1)
	rng := rand.New(rand.NewSource(1))
	for range rounds {
		acked := runAndKill(t, dir, 1+rng.Intn(400))
		l := open(t, dir, root.ID, clock)
		for _, cmd := range acked {
			if out, err := l.Submit(context.Background(), cmd); err != nil || !out.Repeated {
				t.Fatalf("an acknowledged command is gone: %+v, %v", out, err)
			}
		}
		n, err := l.Verify(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n < uint64(len(acked)) {
			t.Fatalf("%d commands in the log, %d acknowledged", n, len(acked))
		}
		totals, err := l.Totals(context.Background())
		if err != nil || totals.Treasury+totals.Nodes != totals.Supply {
			t.Fatalf("%+v, %v", totals, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill lets a child work on dir, kills it after it has acknowledged n
// commands, and returns all that it acknowledged.
func runAndKill(t *testing.T, dir string, n int) []api.Command {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childEnv+"="+dir)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []api.Command
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		raw, err := hex.DecodeString(lines.Text())
		if err != nil {
			break // a line cut off by the kill, or an error message
		}
		cmd, err := wire.DecodeCommand(raw)
		if err != nil {
			break
		}
		if acked = append(acked, cmd); len(acked) == n {
			_ = child.Process.Kill()
		}
	}
	_ = child.Wait()
	if len(acked) < n {
		t.Fatalf("the child ended after %d of %d commands: %s", len(acked), n, lines.Text())
	}
	return acked
}
