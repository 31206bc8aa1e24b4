package main

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/kernel/api"
	"inos/node"
	"inos/server"
)

// askTime bounds the question for a running node's settings: whoever asks for
// the configuration may have none running.
const askTime = time.Second

// setting is one row of `inos config`.
type setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Source string `json:"source"`
	Node   bool   `json:"node,omitempty"`    // of the running node, which read it when it started
	Next   any    `json:"pending,omitempty"` // what it would be after a restart, where that differs
	Doc    string `json:"doc"`
}

// configCmd prints the settings in force and where they came from.
func (a *app) configCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show the settings in force and where each came from", Args: cobra.NoArgs,
		Long: `Show every setting, its value in force and whether that is the default or came from the file, the
environment or a flag. Settings of a node are those of the running node, where one runs in the data
folder; one that was changed since it started is marked, and applies after a restart.`,
	}
	var docs bool
	run := func(cmd *cobra.Command, _ []string) error {
		rows := a.settingRows(cmd.Context())
		return a.show(rows, func() { a.settingTable(rows, docs) })
	}
	cmd.RunE = run
	show := &cobra.Command{Use: "show", Short: "Show the settings in force and where each came from", Args: cobra.NoArgs, RunE: run}
	for _, c := range []*cobra.Command{cmd, show} {
		nodeFlags(c.Flags())
		c.Flags().BoolVar(&docs, "docs", false, "also say what each setting means")
	}
	cmd.AddCommand(show)
	return cmd
}

// settingRows puts the running node's settings over this command's own.
func (a *app) settingRows(ctx context.Context) []setting {
	running := a.runningSettings(ctx)
	rows := make([]setting, 0, len(keys()))
	for _, s := range a.settings(nil) {
		row := setting{Key: s.Key, Value: s.Value, Source: s.Source, Doc: docOf(s.Key)}
		if theirs, ok := running[s.Key]; ok && slices.Contains(nodeKeys, s.Key) {
			if s.Source != sourceDefault && valueText(s.Value) != valueText(theirs.Value) {
				row.Next = s.Value
			}
			row.Value, row.Source, row.Node = theirs.Value, theirs.Source, true
		}
		rows = append(rows, row)
	}
	return rows
}

// runningSettings asks the node; nil when none answers in time.
func (a *app) runningSettings(ctx context.Context) map[string]api.Setting {
	c, err := a.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	list, err := c.Settings(ctx)
	if err != nil {
		return nil
	}
	out := make(map[string]api.Setting, len(list))
	for _, s := range list {
		out[s.Key] = s
	}
	return out
}

// settings lists the configuration with the defaults that hold where nothing
// was set. st is the status of the node that this process runs, if it does.
func (a *app) settings(st *api.Status) []api.Setting {
	v := reflect.ValueOf(a.config)
	out := make([]api.Setting, 0, v.NumField())
	for i, key := range keys() {
		s := api.Setting{Key: key, Value: v.Field(i).Interface(), Source: a.sources[key], Doc: docOf(key)}
		if v.Field(i).IsZero() || key == "name" && st != nil {
			if d := inForce(key, st); d != nil {
				s.Value = d
			}
		}
		out = append(out, s)
	}
	return out
}

// inForce is what a setting means that was left at its zero value; nil where
// that is nothing.
func inForce(key string, st *api.Status) any {
	switch key {
	case "name":
		if st != nil {
			return st.Name // an invite may have chosen it
		}
		return node.DefaultName()
	case "ui_listen":
		return server.DefaultPage
	case "host":
		return node.DefaultHost
	case "port":
		if st != nil {
			return portOf(st.Addrs)
		}
	case "copies":
		return api.DefaultCopies
	case "workers":
		return runtime.GOMAXPROCS(0)
	case "price_storage":
		return node.DefaultPrices.StorageGiBMonth.String()
	case "price_serve":
		return node.DefaultPrices.ServeGiB.String()
	case "price_compute":
		return node.DefaultPrices.ComputeGgas.String()
	}
	return nil
}

// portOf is the port of the first address that names one; nil without.
func portOf(addrs []string) any {
	for _, addr := range addrs {
		parts := strings.Split(addr, "/")
		for i := 0; i+1 < len(parts); i++ {
			if n, err := strconv.Atoi(parts[i+1]); err == nil && (parts[i] == "tcp" || parts[i] == "udp") {
				return n
			}
		}
	}
	return nil
}

func (a *app) settingTable(rows []setting, docs bool) {
	t := table{head: []string{"SETTING", "VALUE", "FROM"}}
	if docs {
		t.head = append(t.head, "MEANING")
	}
	running := false
	for _, r := range rows {
		from := r.Source
		if r.Node {
			running = true
			if r.Next != nil {
				from += "; " + valueText(r.Next) + " after a restart"
			}
		}
		row := []string{r.Key, printable(valueText(r.Value)), printable(from)}
		if docs {
			row = append(row, r.Doc)
		}
		t.rows = append(t.rows, row)
	}
	a.print(t)
	if running {
		a.note("the node in %s is running: its settings are the ones it started with", a.config.Dir)
	} else {
		a.note("no node is running in %s: this is what inos up would use", a.config.Dir)
	}
}

func valueText(v any) string {
	switch list := v.(type) {
	case nil:
		return "-"
	case []string:
		v = strings.Join(list, ",")
	case []any: // through JSON
		parts := make([]string, len(list))
		for i := range list {
			parts[i] = fmt.Sprint(list[i])
		}
		v = strings.Join(parts, ",")
	}
	if s := fmt.Sprint(v); s != "" && s != "0" {
		return s
	}
	return "-"
}
