package node

import (
	"context"

	"inos/kernel/module"
)

// The built-in modules are the same on every node of a version. A native node
// has them embedded; a tab knows their names and hashes and loads them from
// where its page came from, when one is first needed.

// builtin parses a built-in module, once.
func (s *moduleShelf) builtin(ctx context.Context, name string) (*module.Description, error) {
	s.mu.Lock()
	d := s.builtins[name]
	s.mu.Unlock()
	if d != nil {
		return d, nil
	}
	wasm, err := s.loadBuiltin(ctx, name)
	if err != nil {
		return nil, err
	}
	if d, err = module.Parse(wasm); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.builtins[name] = d
	return d, nil
}
