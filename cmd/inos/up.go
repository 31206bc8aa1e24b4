package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
	"inos/server"
)

// Bounds of stopping. Requests that do not end in requestTime are cut off, so
// that the node has the rest to close its files.
const (
	drainTime   = 5 * time.Second
	requestTime = 3 * time.Second
)

// probeTime bounds the question whether a node already runs here.
const probeTime = 2 * time.Second

func (a *app) upCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "up", Short: "Run a node until Ctrl-C", Args: cobra.NoArgs,
		Long: `Run a node in the foreground. The first start makes a data folder, a key and a mesh of
one; join another mesh with inos join. SIGTERM or Ctrl-C drains and stops within 5 s; a second
one stops at once.

With --json, one line with the node's status is printed when it is ready.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context()) },
	}
	nodeFlags(cmd.Flags())
	return cmd
}

// up runs a node until ctx ends or the node is asked to stop.
func (a *app) up(ctx context.Context) error {
	if err := a.notRunning(ctx); err != nil {
		return err
	}
	a.recent = &recentLines{}
	backend, done, shutdown, err := startNode(ctx, a.config, a.logf, a.warnf)
	if err != nil {
		return err
	}
	st, err := backend.Status(ctx)
	if err != nil {
		return errors.Join(err, shutdown(context.WithoutCancel(ctx)))
	}
	s, err := server.Open(backend, server.Config{
		Socket: a.config.Socket, TCP: a.config.API, TokenFile: a.config.TokenFile,
		Origins: a.config.Origins, Version: version(), Log: a.logger(),
		Settings: a.settings(&st),
		Page:     pageAddr(a.config), PageSessions: filepath.Join(a.config.Dir, "page-sessions.json"), Recent: a.recent.newest,
	})
	if err != nil {
		return errors.Join(err, shutdown(context.WithoutCancel(ctx)))
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	if err := a.banner(ctx, backend, s); err != nil {
		a.logf("cannot show the banner: %v", err)
	}
	var failed error
	select {
	case <-ctx.Done():
	case <-done:
	case failed = <-served:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	a.note("stopping; once more to stop at once")
	requests, cancelRequests := context.WithTimeout(stop, requestTime)
	defer cancelRequests()
	err = s.Shutdown(requests)
	if errors.Is(err, api.Timeout) {
		err = nil // requests that did not end were cut off, as promised
	}
	return errors.Join(failed, err, shutdown(stop))
}

// notRunning refuses to start a second node over a running one.
func (a *app) notRunning(ctx context.Context) error {
	if err := checkSocketDir(a.config.Socket); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c := client.Unix(a.config.Socket)
	defer c.Close()
	st, err := c.Status(ctx)
	if err != nil {
		return nil // whoever answers wrongly is found by the store's lock or the socket
	}
	return api.Errorf("cli.up", api.Exists, fmt.Sprintf(
		"node %s already runs in %s; stop it with `inos stop`, or start another with --dir", st.Name, a.config.Dir))
}

// banner says that the node is ready and what to do with it.
func (a *app) banner(ctx context.Context, b server.Backend, s *server.Server) error {
	st, err := b.Status(ctx)
	if err != nil {
		return err
	}
	st.API = s.URL()
	if a.json {
		return a.line(st)
	}
	_, _ = fmt.Fprintf(a.stdout, "%s is up as %s\n\n", a.paint(a.outTTY, bold, st.Name), st.Roles)
	a.fields(
		"node", st.Node.String(),
		"mesh", st.Mesh.String(),
		"data", a.config.Dir,
		"addresses", strings.Join(st.Addrs, "\n           "),
		"api", strings.Join(nonEmpty(a.config.Socket, s.URL()), ", "),
	)
	if link := signInLink(s); link != "" {
		_, _ = fmt.Fprintf(a.stdout, "\nopen this link, once, to see the mesh in a browser:\n  %s\n", link)
	}
	_, err = io.WriteString(a.stdout, "\n"+a.nextSteps(st.Roles))
	return err
}

// nextSteps are commands that reach this node as they are typed. Only the node
// that founded the mesh invites.
func (a *app) nextSteps(roles api.Role) string {
	commands := []string{"put FOLDER", "invite", "status"}
	if roles&api.Seed == 0 {
		commands = []string{"put FOLDER", "status"}
	}
	node := a.dirFlag()
	if a.sources["socket"] != sourceDefault {
		node = " --socket " + shellWord(a.config.Socket)
	}
	var b strings.Builder
	b.WriteString("in another terminal:\n")
	for _, c := range commands {
		b.WriteString("  inos " + c + node + "\n")
	}
	b.WriteString("Ctrl-C stops\n")
	return b.String()
}

// dirFlag is what a command needs to find this node: nothing in the default
// folder.
func (a *app) dirFlag() string {
	if a.sources["dir"] == sourceDefault {
		return ""
	}
	return " --dir " + shellWord(a.config.Dir)
}

// shellWord quotes a path for a POSIX shell where it has to be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+@:,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func nonEmpty(in ...string) []string {
	var out []string
	for _, s := range in {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (a *app) logger() *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.config.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	var h slog.Handler = slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level})
	if a.recent != nil {
		h = &recentLog{Handler: h, keep: a.recent}
	}
	return slog.New(h)
}

// logf is one line of the node's own log, shown from level debug.
func (a *app) logf(format string, args ...any) {
	a.logger().Debug(fmt.Sprintf(format, args...))
}

// warnf is what the node's owner has to know whatever the log level is.
func (a *app) warnf(format string, args ...any) {
	a.logger().Warn(printable(fmt.Sprintf(format, args...)))
}
