package main

import (
	"context"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/syscall"
	"inos/node"
	"inos/server"
)

// startNode starts a node in this process. done is closed when somebody asked
// it through the API to stop; shutdown drains and closes it.
func startNode(ctx context.Context, c Config, logf, warnf func(format string, args ...any)) (b server.Backend, done <-chan struct{}, shutdown func(context.Context) error, err error) {
	cfg, err := nodeConfig(c, logf)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg.Warn = warnf
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	return n, n.Done(), func(ctx context.Context) error { return within(ctx, n.Close) }, nil
}

// joinMesh redeems an invite for the node that the configuration describes,
// which does not run. leave says that it may leave a mesh in use.
func joinMesh(ctx context.Context, c Config, invite string, leave bool) (api.Membership, error) {
	cfg, err := nodeConfig(c, nil)
	if err != nil {
		return api.Membership{}, err
	}
	cfg.LeaveMesh = leave
	return node.Join(ctx, cfg, invite)
}

// within runs fn and stops waiting for it when ctx ends: a process about to
// exit leaves to the next start what it could not close in time.
func within(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return api.Errorf("cli.stop", api.Timeout, "the node did not close in time; the next start recovers")
	}
}

// nodeConfig translates the program's settings into the node's.
func nodeConfig(c Config, logf func(string, ...any)) (node.Config, error) {
	cfg := node.Config{
		Dir: c.Dir, Name: c.Name, Listen: c.Listen, ListenHost: c.Host, ListenPort: c.Port, Announce: c.Announce, Tabs: c.Tabs,
		Domain: c.Domain, Region: c.Region, Workers: c.Workers, Engine: c.Engine, Log: logf,
	}
	var err error
	if c.Quota != "" {
		if cfg.Quota, err = parseBytes(c.Quota); err != nil {
			return cfg, err
		}
	}
	if c.Arena != "" {
		tier, err := layout.TierNamed(c.Arena)
		if err != nil {
			return cfg, err
		}
		cfg.ArenaBytes = int(layout.Tiers[tier].Size)
	}
	prices := node.DefaultPrices
	for _, p := range []struct {
		text string
		to   *api.Credits
	}{
		{c.PriceStorage, &prices.StorageGiBMonth}, {c.PriceServe, &prices.ServeGiB}, {c.PriceCompute, &prices.ComputeGgas},
	} {
		if p.text == "" {
			continue
		}
		if *p.to, err = api.ParseCredits(p.text); err != nil {
			return cfg, err
		}
		if *p.to < 0 {
			return cfg, api.Errorf("cli.config", api.Invalid, "a price is not negative")
		}
	}
	cfg.Prices = &prices
	if cfg.Syscalls, err = syscallConfig(c); err != nil {
		return cfg, err
	}
	return cfg, nil
}

// syscallConfig translates what modules may ask of the node.
func syscallConfig(c Config) (node.SyscallConfig, error) {
	out := node.SyscallConfig{HTTPOrigins: c.SyscallOrigins, HTTPPrivate: c.SyscallPrivate}
	for _, text := range c.Syscalls {
		r, err := syscall.ParseRule(text)
		if err != nil {
			return out, err
		}
		out.Policy.Rules = append(out.Policy.Rules, r)
	}
	if c.SyscallBudget == "" {
		return out, nil
	}
	total, err := api.ParseCredits(c.SyscallBudget)
	if err == nil && total <= 0 {
		err = api.Errorf("cli.config", api.Invalid, "syscall_budget is an amount of credits above 0; deny system calls by the rule '* deny=*'")
	}
	out.Policy.Total = total
	return out, err
}
