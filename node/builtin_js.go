package node

import (
	"context"
	"net/url"

	"inos/host/browser"
	"inos/kernel/api"
	"inos/kernel/module"
)

func (s *moduleShelf) builtinNames() []string {
	var names []string
	for _, b := range s.n.cfg.Host.Builtins {
		names = append(names, b.Name)
	}
	return names
}

// shipped finds an entry of the page's list.
func (s *moduleShelf) shipped(ok func(api.BuiltinModule) bool) (api.BuiltinModule, bool) {
	for _, b := range s.n.cfg.Host.Builtins {
		if ok(b) {
			return b, true
		}
	}
	return api.BuiltinModule{}, false
}

// loadBuiltin brings a built-in module's file from the page's origin and checks
// it against the list's hash.
func (s *moduleShelf) loadBuiltin(ctx context.Context, name string) ([]byte, error) {
	const op = "node.module"
	b, ok := s.shipped(func(b api.BuiltinModule) bool { return b.Name == name })
	if !ok {
		return nil, api.Errorf(op, api.NotFound, "no built-in module is named "+name)
	}
	wasm, err := browser.Fetch(ctx, s.n.cfg.Host.ModulesURL+url.PathEscape(b.Name)+"-"+b.Hash.String()+".wasm", api.MaxModule)
	if err != nil {
		return nil, err
	}
	if module.HashOf(wasm) != b.Hash {
		return nil, api.Errorf(op, api.Corrupt, "the page's server sent another module than it lists; reload the page")
	}
	return wasm, nil
}

// builtinHas reports whether the built-in module of a name has a hash.
func (s *moduleShelf) builtinHas(name string, hash api.Hash) bool {
	_, ok := s.shipped(func(b api.BuiltinModule) bool { return b.Name == name && b.Hash == hash })
	return ok
}

// builtinOf returns the built-in module that ref means, nil when it means none.
func (s *moduleShelf) builtinOf(ctx context.Context, ref module.Ref) (*module.Description, error) {
	b, ok := s.shipped(func(b api.BuiltinModule) bool {
		return ref.ByHash(b.Hash) || ref.ByName(b.Name, b.Version, api.NodeID{})
	})
	if !ok {
		return nil, nil
	}
	return s.builtin(ctx, b.Name)
}
