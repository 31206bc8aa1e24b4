package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
	"inos/server"
)

// noPage is the value of ui_listen that serves no page.
const noPage = "off"

func (a *app) uiCmd() *cobra.Command {
	return &cobra.Command{
		Use: "ui", Short: "Print a one-time link that opens the node's page in a browser", Args: cobra.NoArgs,
		Long: `Print a link that signs a browser in to the page of the running node. It works once and for a
day. The page is served on loopback only; for a node on another machine forward its port, such
as with ssh -L 4270:127.0.0.1:4270 HOST, and open the link on this one.`,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			s, err := c.SignIn(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(s, func() { _, _ = fmt.Fprintln(a.stdout, s.URL) })
		}),
	}
}

// pageAddr is where the page listens: empty for nowhere.
func pageAddr(c Config) string {
	switch c.UIListen {
	case "":
		return server.DefaultPage
	case noPage:
		return ""
	}
	return c.UIListen
}

// maxRecent bounds the log lines kept for the page.
const maxRecent = 500

// recentLog passes records on and keeps the newest as lines.
type recentLog struct {
	slog.Handler
	keep   *recentLines
	fields []api.LogField // of the logger itself
	group  string         // of what comes next, with a dot after it
}

type recentLines struct {
	mu    sync.Mutex
	lines []api.LogLine // mu; at most maxRecent, oldest first
}

// Handle keeps the record and passes it on.
func (r *recentLog) Handle(ctx context.Context, rec slog.Record) error {
	line := api.LogLine{Time: rec.Time.UnixMilli(), Level: rec.Level.String(), Message: rec.Message, Fields: slices.Clone(r.fields)}
	rec.Attrs(func(at slog.Attr) bool {
		line.Fields = appendField(line.Fields, r.group, at)
		return true
	})
	r.keep.add(line)
	if !r.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return r.Handler.Handle(ctx, rec)
}

// appendField adds an attribute, or those of a group.
func appendField(to []api.LogField, group string, at slog.Attr) []api.LogField {
	v := at.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if at.Key == "" {
			return to // slog.Attr{}: handlers ignore it
		}
		return append(to, api.LogField{Key: group + at.Key, Value: v.String()})
	}
	if at.Key != "" {
		group += at.Key + "."
	}
	for _, in := range v.Group() {
		to = appendField(to, group, in)
	}
	return to
}

// Enabled takes every record: what is too quiet for standard error is still
// worth a look on the page.
func (r *recentLog) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs shares the lines.
func (r *recentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *r
	with.Handler, with.fields = r.Handler.WithAttrs(attrs), slices.Clone(r.fields)
	for _, at := range attrs {
		with.fields = appendField(with.fields, r.group, at)
	}
	return &with
}

// WithGroup shares the lines.
func (r *recentLog) WithGroup(name string) slog.Handler {
	with := *r
	with.Handler = r.Handler.WithGroup(name)
	if name != "" {
		with.group += name + "."
	}
	return &with
}

func (l *recentLines) add(line api.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == maxRecent {
		l.lines = append(l.lines[:0], l.lines[maxRecent/2:]...)
	}
	l.lines = append(l.lines, line)
}

// newest copies what is kept.
func (l *recentLines) newest() []api.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]api.LogLine(nil), l.lines...)
}

// signInLink is a link for the banner, or "" where no page is served.
func signInLink(s *server.Server) string {
	v, err := s.SignIn()
	if err != nil {
		return ""
	}
	return v.URL
}
