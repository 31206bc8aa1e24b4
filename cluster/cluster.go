// Package cluster runs real node processes on this machine for the
// demonstration, the benchmarks and the end-to-end tests: it starts the inos
// binary, joins nodes by invite, kills and stops them by their process id.
package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"inos/client"
	"inos/kernel/api"
)

// Cluster is a private mesh of local processes. Its methods are not safe for
// concurrent use.
type Cluster struct {
	Exe   string   // the inos binary
	Dir   string   // each node's data is in Dir/name
	Flags []string // added to every `inos up`
	Nodes []*Node  // in order of their start, killed ones included
}

// Node is one process.
type Node struct {
	Name   string
	Dir    string
	Client *client.Client
	ID     api.NodeID
	Ready  time.Duration // from exec until it served

	exe    string
	flags  []string
	cmd    *exec.Cmd
	log    lockedBuffer // what it wrote to standard error
	exited chan struct{}
}

// Enter starts a node: the first founds the mesh, the others join by invite as
// hubs.
func (c *Cluster) Enter(ctx context.Context, name string, flags ...string) (*Node, error) {
	return c.EnterAs(ctx, name, api.Hub, flags...)
}

// EnterAs is Enter with the roles of the invite. An edge keeps no durable
// blocks.
func (c *Cluster) EnterAs(ctx context.Context, name string, roles api.Role, flags ...string) (*Node, error) {
	n := &Node{Name: name, Dir: filepath.Join(c.Dir, name), exe: c.Exe, flags: append(append([]string{}, c.Flags...), flags...)}
	if len(c.Nodes) > 0 {
		inv, err := c.Nodes[0].Client.Invite(ctx, api.InviteRequest{Name: name, TTL: 600, Roles: roles})
		if err != nil {
			return nil, err
		}
		join := exec.CommandContext(ctx, c.Exe, "join", "--dir", n.Dir, "--name", name, "--start=false", inv.Text)
		if out, err := join.CombinedOutput(); err != nil {
			return nil, api.Errorf("cluster.enter", api.Unavailable, fmt.Sprintf("%s could not join: %s", name, bytes.TrimSpace(out)))
		}
	}
	if err := n.Start(ctx); err != nil {
		return nil, err
	}
	c.Nodes = append(c.Nodes, n)
	return n, nil
}

// Start runs the node's process and waits until it serves. A node that was
// killed or stopped can be started again on the same data.
func (n *Node) Start(ctx context.Context) error {
	n.exited = make(chan struct{})
	n.cmd = exec.Command(n.exe, append([]string{"up", "--dir", n.Dir, "--name", n.Name}, n.flags...)...)
	n.cmd.Stderr = &n.log
	begin := time.Now()
	if err := n.cmd.Start(); err != nil {
		return api.E("cluster.start", api.Unavailable, err)
	}
	cmd, exited := n.cmd, n.exited
	go func() { _ = cmd.Wait(); close(exited) }()
	if n.Client != nil {
		n.Client.Close()
	}
	n.Client = client.Unix(filepath.Join(n.Dir, "inos.sock"))
	err := Wait(ctx, 20*time.Second, n.Name+" to serve", func() bool {
		select {
		case <-exited:
			return true
		default:
		}
		st, err := n.Client.Status(ctx)
		n.ID = st.Node
		return err == nil && st.Ready
	})
	n.Ready = time.Since(begin)
	select {
	case <-exited:
		err = api.Errorf("cluster.start", api.Unavailable, n.Name+" stopped at once")
	default:
	}
	if err != nil {
		n.Stop()
		return fmt.Errorf("%w\n%s", err, n.Log())
	}
	return nil
}

// Together waits until every running node knows what all the others offer.
func (c *Cluster) Together(ctx context.Context) error {
	return Wait(ctx, 20*time.Second, "the nodes to find each other", func() bool {
		for _, n := range c.Running() {
			peers, err := n.Client.Peers(ctx)
			if err != nil {
				return false
			}
			online := 0
			for _, p := range peers {
				if (p.Online || p.Self) && p.Workers > 0 {
					online++
				}
			}
			if online < len(c.Running()) {
				return false
			}
		}
		return true
	})
}

// Running lists the nodes whose process lives.
func (c *Cluster) Running() []*Node {
	var out []*Node
	for _, n := range c.Nodes {
		if n.Alive() {
			out = append(out, n)
		}
	}
	return out
}

// NameOf is the name of a node's id.
func (c *Cluster) NameOf(id api.NodeID) string {
	for _, n := range c.Nodes {
		if n.ID == id {
			return n.Name
		}
	}
	return id.Short()
}

// Stop stops every node.
func (c *Cluster) Stop() {
	var all sync.WaitGroup
	for _, n := range c.Nodes {
		all.Add(1)
		go func() { defer all.Done(); n.Stop() }()
	}
	all.Wait()
}

// PID is the process id, 0 before the first start.
func (n *Node) PID() int {
	if n.cmd == nil || n.cmd.Process == nil {
		return 0
	}
	return n.cmd.Process.Pid
}

// Alive reports whether the process runs.
func (n *Node) Alive() bool {
	if n.PID() == 0 {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process at once, as a power cut would.
func (n *Node) Kill() {
	if n.PID() == 0 {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.exited
}

// Stop asks the process to drain and stop, and insists after six seconds. It
// returns how long that took.
func (n *Node) Stop() time.Duration {
	if !n.Alive() {
		return 0
	}
	begin := time.Now()
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.exited:
	case <-time.After(6 * time.Second):
		n.Kill()
	}
	return time.Since(begin)
}

// Log is what the process wrote to standard error.
func (n *Node) Log() string { return n.log.String() }

// Wait polls cond until it holds.
func Wait(ctx context.Context, limit time.Duration, what string, cond func() bool) error {
	deadline := time.Now().Add(limit)
	for !cond() {
		if err := ctx.Err(); err != nil {
			return api.E("cluster.wait", api.Canceled, err)
		}
		if time.Now().After(deadline) {
			return api.Errorf("cluster.wait", api.Timeout, fmt.Sprintf("waited %s for %s", limit, what))
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// lockedBuffer keeps the last maxLog bytes written to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  []byte
}

const maxLog = 64 << 10

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if len(l.b) > maxLog {
		l.b = append([]byte(nil), l.b[len(l.b)-maxLog/2:]...)
	}
	return len(p), nil
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimSpace(l.b))
}
