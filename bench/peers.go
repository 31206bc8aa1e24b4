package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// peers does the same work on other systems whose binaries are on the PATH.
// Without them there is nothing to compare and no row.
func (s *suite) peers(ctx context.Context) error {
	if exe, err := exec.LookPath("ipfs"); err == nil {
		if err := s.kubo(ctx, exe); err != nil {
			fmt.Fprintf(s.opt.Log, "bench: ipfs: %v\n", err)
		}
	}
	if exe, err := exec.LookPath("nats-server"); err == nil {
		if err := s.nats(ctx, exe); err != nil {
			fmt.Fprintf(s.opt.Log, "bench: nats-server: %v\n", err)
		}
	}
	return nil
}

// compareWith attaches a peer's figure to a row of this run.
func (s *suite) compareWith(row, peer string, values []float64) {
	for i := range s.rows {
		if s.rows[i].Name == row && len(values) > 0 {
			s.rows[i].Peers = append(s.rows[i].Peers, Peer{peer, median(values)})
			fmt.Fprintf(s.opt.Log, "  %-44s %10s %s (%s)\n", row, figure(median(values)), s.rows[i].Unit, peer)
		}
	}
}

// kubo adds a file on one Kubo node and reads it from another over loopback.
func (s *suite) kubo(ctx context.Context, exe string) error {
	var nodes []*peerProcess
	defer func() {
		for _, n := range nodes {
			n.stop()
		}
	}()
	ipfs := func(repo string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, exe, args...)
		cmd.Env = append(os.Environ(), "IPFS_PATH="+repo)
		return cmd
	}
	var repos, ids []string
	for _, name := range []string{"kubo-a", "kubo-b"} {
		repo := filepath.Join(s.dir, name)
		if err := ipfs(repo, "init", "--profile=test").Run(); err != nil {
			return err
		}
		p, err := startPeer(ipfs(repo, "daemon", "--offline=false"))
		if err != nil {
			return err
		}
		nodes, repos = append(nodes, p), append(repos, repo)
		if err := until(ctx, func() bool { return ipfs(repo, "swarm", "peers").Run() == nil }); err != nil {
			return err
		}
		out, err := ipfs(repo, "id", "-f", "<addrs>").Output()
		if err != nil {
			return err
		}
		ids = append(ids, strings.Fields(string(out))[0])
	}
	if err := ipfs(repos[1], "swarm", "connect", ids[0]).Run(); err != nil {
		return err
	}
	size := 256 << 20
	if s.opt.Quick {
		size = 32 << 20
	}
	var adds, cats []float64
	for i := range s.reps {
		file := filepath.Join(s.dir, "kubo.bin")
		if err := os.WriteFile(file, random(int64(500+i), size), 0o600); err != nil {
			return err
		}
		t := time.Now()
		cid, err := ipfs(repos[0], "add", "-Q", file).Output()
		if err != nil {
			return err
		}
		adds = append(adds, float64(size)/mb/time.Since(t).Seconds())
		t = time.Now()
		if err := ipfs(repos[1], "cat", strings.TrimSpace(string(cid))).Run(); err != nil {
			return err
		}
		cats = append(cats, float64(size)/mb/time.Since(t).Seconds())
	}
	s.compareWith("put 256 MiB random, sealed, fsynced, 1 copy", "Kubo add", adds)
	s.compareWith("get 256 MiB from another node", "Kubo cat", cats)
	return nil
}

// peerProcess is another system's server.
type peerProcess struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func startPeer(cmd *exec.Cmd) (*peerProcess, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peerProcess{cmd: cmd, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }()
	return p, nil
}

func (p *peerProcess) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func until(ctx context.Context, cond func() bool) error {
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			return errors.New("it did not come up within 20 s")
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
