package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inos/kernel/api"
)

// Config is every setting of the program. A setting comes from, later ones
// winning: the default, the YAML file, the environment (INOS_ and the key in
// capitals), the flag of the same name. The zero value of each field is its
// default unless doc says otherwise.
type Config struct {
	Dir       string `koanf:"dir" doc:"data folder; $XDG_DATA_HOME/inos by default"`
	Socket    string `koanf:"socket" doc:"Unix socket of the local API; inos.sock in the data folder by default"`
	URL       string `koanf:"url" doc:"speak to a node at this URL instead of the socket; needs its token file"`
	TokenFile string `koanf:"token_file" doc:"bearer token of the API over TCP; api-token in the data folder by default"`

	Name     string   `koanf:"name" doc:"name in the mesh, of a-z, 0-9 and -; the machine's name by default"`
	Host     string   `koanf:"host" doc:"address to listen on for other nodes; 127.0.0.1 by default, 0.0.0.0 for all interfaces"`
	Port     int      `koanf:"port" doc:"port for other nodes, TCP and UDP; 0 lets the system choose once and keeps the choice"`
	Listen   []string `koanf:"listen" doc:"multiaddrs to listen on instead of host and port"`
	Announce []string `koanf:"announce" doc:"multiaddrs to announce besides those listened on, such as /dns4/inos.example/tcp/443/tls/ws of a proxy that passes WebSockets of tabs on"`
	Tabs     string   `koanf:"tabs" doc:"listen for browser tabs: auto, once an edge is invited or known or the page asks; on, from the start; off; auto by default"`
	API      string   `koanf:"api" doc:"also serve the API on this loopback host:port, such as 127.0.0.1:4280"`
	UIListen string   `koanf:"ui_listen" doc:"loopback host:port of the web page, unix:PATH behind a proxy, or off; 127.0.0.1:4270 by default, or any free port when that is taken"`
	Origins  []string `koanf:"origins" doc:"browser origins that may use the API over TCP"`

	Domain  string `koanf:"domain" doc:"failure domain, such as rack-2; copies go to different ones first"`
	Region  string `koanf:"region" doc:"region label"`
	Copies  int    `koanf:"copies" doc:"copies of what this machine puts; 0 means 3"`
	Quota   string `koanf:"quota" doc:"most bytes of blocks to keep, such as 200GiB; the disk's free space by default"`
	Arena   string `koanf:"arena" doc:"size of the shared memory: light 32, moderate 64, heavy 128 or dedicated 256 MiB; moderate by default"`
	Workers int    `koanf:"workers" doc:"jobs run at once; the number of cores by default"`
	Engine  string `koanf:"engine" doc:"what executes guests: wazero, or wasmtime in binaries that were built with it; wazero by default"`

	PriceStorage string `koanf:"price_storage" doc:"credits per GiB kept for 30 days; the mesh's default when empty, 0 for free"`
	PriceServe   string `koanf:"price_serve" doc:"credits per GiB sent"`
	PriceCompute string `koanf:"price_compute" doc:"credits per 10^9 units of gas"`

	Syscalls       []string `koanf:"syscalls" doc:"a rule for the system calls of a module, such as 'counter deny=hostCall:http rate=50 budget=1 receive=yes'; * for all modules; may be repeated"`
	SyscallBudget  string   `koanf:"syscall_budget" doc:"credits that all modules together may spend through system calls in 24 hours; 100 by default"`
	SyscallOrigins []string `koanf:"syscall_origins" doc:"origins that modules may reach by hostCall:http, such as https://api.example.org; none by default"`
	SyscallPrivate bool     `koanf:"syscall_private" doc:"let hostCall:http reach those origins at addresses of private networks and this machine too"`

	LogLevel string `koanf:"log_level" doc:"debug, info, warn or error"`
}

// Where a setting came from.
const (
	sourceDefault = "default"
	sourceFile    = "file"
	sourceEnv     = "environment"
	sourceFlag    = "flag"
)

const envPrefix = "INOS_"

// nodeKeys are the settings that have a flag only where a node is started.
var nodeKeys = []string{
	"name", "host", "port", "listen", "announce", "tabs", "api", "ui_listen", "origins", "domain", "region", "quota", "arena", "workers", "engine",
	"price_storage", "price_serve", "price_compute", "syscalls", "syscall_budget", "syscall_origins", "syscall_private", "log_level",
}

func flagName(key string) string { return strings.ReplaceAll(key, "_", "-") }

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print JSON, one value or one per line")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only, no summaries, hints or progress")
	f.StringVar(&a.file, "config", "", "configuration file (default $XDG_CONFIG_HOME/inos/config.yaml)")
	for _, key := range []string{"dir", "socket", "url", "token_file"} {
		f.String(flagName(key), "", docOf(key))
	}
}

// nodeFlags adds the flags of a command that starts a node.
func nodeFlags(f *pflag.FlagSet) {
	for _, key := range nodeKeys {
		switch key {
		case "port", "workers":
			f.Int(flagName(key), 0, docOf(key))
		case "syscalls": // rules hold commas
			f.StringArray(flagName(key), nil, docOf(key))
		case "syscall_private":
			f.Bool(flagName(key), false, docOf(key))
		case "listen", "announce", "origins", "syscall_origins":
			f.StringSlice(flagName(key), nil, docOf(key))
		default:
			f.String(flagName(key), "", docOf(key))
		}
	}
}

// docOf is the documentation of a setting.
func docOf(key string) string {
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("koanf") == key {
			return f.Tag.Get("doc")
		}
	}
	panic("cmd: no setting is called " + key) // a defect every test would find
}

// keys lists the settings in the order of the struct.
func keys() []string {
	t := reflect.TypeFor[Config]()
	out := make([]string, t.NumField())
	for i := range out {
		out[i] = t.Field(i).Tag.Get("koanf")
	}
	return out
}

// settings is a koanf.Provider of values already known.
type settings map[string]any

func (s settings) ReadBytes() ([]byte, error)    { return nil, errors.ErrUnsupported }
func (s settings) Read() (map[string]any, error) { return s, nil }

// configure reads every layer into a.config and notes where each came from.
func (a *app) configure(cmd *cobra.Command) error {
	const op = "cli.config"
	k := koanf.New(".")
	a.sources = map[string]string{}
	for _, key := range keys() {
		a.sources[key] = sourceDefault
	}
	if err := k.Load(structs.Provider(Config{LogLevel: "info"}, "koanf"), nil); err != nil {
		return api.E(op, api.Other, err)
	}
	path, err := a.configFile()
	if err != nil {
		return err
	}
	if path != "" {
		layer := koanf.New(".")
		if err := layer.Load(file.Provider(path), yaml.Parser()); err != nil {
			return api.Errorf(op, api.Invalid, path+" is not readable YAML: "+err.Error())
		}
		if err := a.overlay(k, layer, sourceFile, path); err != nil {
			return err
		}
	}
	for _, layer := range []struct {
		source string
		from   koanf.Provider
	}{
		{sourceEnv, env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: envSetting, EnvironFunc: a.environ})},
		{sourceFlag, changedFlags(cmd)},
	} {
		l := koanf.New(".")
		if err := l.Load(layer.from, nil); err != nil {
			return api.E(op, api.Invalid, err)
		}
		if err := a.overlay(k, l, layer.source, layer.source); err != nil {
			return err
		}
	}
	if err := k.Unmarshal("", &a.config); err != nil {
		return api.Errorf(op, api.Invalid, "a setting has the wrong type: "+err.Error())
	}
	return a.derive()
}

// overlay merges a layer and refuses settings that do not exist, which are most
// often misspelt.
func (a *app) overlay(k, layer *koanf.Koanf, source, where string) error {
	known := keys()
	for _, key := range layer.Keys() {
		if !slices.Contains(known, key) {
			return api.Errorf("cli.config", api.Invalid, fmt.Sprintf("%s: there is no setting %q; `inos config` lists them", where, key))
		}
		a.sources[key] = source
	}
	return k.Merge(layer)
}

// configFile finds the file to read: the one named, which must exist, or the
// default one, which need not.
func (a *app) configFile() (string, error) {
	named := a.file
	if named == "" {
		named = a.env("INOS_CONFIG")
	}
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", api.E("cli.config", api.NotFound, err)
		}
		return named, nil
	}
	path := filepath.Join(a.xdg("XDG_CONFIG_HOME", ".config"), "inos", "config.yaml")
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return "", nil
		}
		return "", api.E("cli.config", api.Denied, err)
	}
	return path, nil
}

func envSetting(name, value string) (string, any) {
	key := strings.ToLower(strings.TrimPrefix(name, envPrefix))
	switch key {
	case "config":
		return "", nil // read before the layers
	case "listen", "origins", "syscall_origins":
		return key, splitList(value)
	case "syscalls":
		return key, strings.FieldsFunc(value, func(r rune) bool { return r == ';' })
	}
	if !slices.Contains(keys(), key) {
		return "", nil // other programs may use the prefix
	}
	return key, value
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// changedFlags are the flags given on the command line that are settings.
func changedFlags(cmd *cobra.Command) settings {
	out := settings{}
	known := keys()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		key := strings.ReplaceAll(f.Name, "-", "_")
		if !slices.Contains(known, key) {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			out[key] = list.GetSlice()
			return
		}
		out[key] = f.Value.String()
	})
	return out
}

// derive fills the defaults that depend on the machine or on other settings,
// and checks the values that only this program reads.
func (a *app) derive() error {
	c := &a.config
	if c.Dir == "" {
		c.Dir = filepath.Join(a.xdg("XDG_DATA_HOME", ".local", "share"), "inos")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return api.E("cli.config", api.Invalid, err)
	}
	c.Dir = dir
	if c.Socket == "" {
		c.Socket = a.socketPath(dir)
	}
	if c.TokenFile == "" {
		c.TokenFile = filepath.Join(dir, "api-token")
	}
	if c.Copies < 0 || c.Copies > api.MaxCopies {
		return api.Errorf("cli.config", api.Invalid, fmt.Sprintf("copies is between 1 and %d", api.MaxCopies))
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		return api.Errorf("cli.config", api.Invalid, "log_level is debug, info, warn or error")
	}
	return nil
}

// xdg is a base folder of the XDG specification, under the home by default.
func (a *app) xdg(variable string, fallback ...string) string {
	if v := a.env(variable); filepath.IsAbs(v) {
		return v
	}
	home := a.env("HOME")
	if home == "" {
		home, _ = os.UserHomeDir() // empty makes the path relative, as without a home there is no better place
	}
	return filepath.Join(append([]string{home}, fallback...)...)
}
