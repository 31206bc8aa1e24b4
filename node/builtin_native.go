//go:build !js

package node

import (
	"context"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/modules"
)

func (s *moduleShelf) builtinNames() []string {
	var names []string
	for _, b := range modules.Builtin() {
		names = append(names, b.Name)
	}
	return names
}

// loadBuiltin unpacks a built-in module's file.
func (s *moduleShelf) loadBuiltin(_ context.Context, name string) ([]byte, error) {
	return modules.Load(name)
}

// builtinHas reports whether the built-in module of a name has a hash.
func (s *moduleShelf) builtinHas(name string, hash api.Hash) bool {
	d, err := s.builtin(context.Background(), name)
	return err == nil && d.Hash == hash
}

// builtinOf returns the built-in module that ref means, nil when it means none.
func (s *moduleShelf) builtinOf(ctx context.Context, ref module.Ref) (*module.Description, error) {
	for _, name := range s.builtinNames() {
		d, err := s.builtin(ctx, name)
		if err != nil {
			return nil, err
		}
		if ref.ByHash(d.Hash) || ref.ByName(d.Manifest.Name, d.Manifest.Version, d.Signature.Author) {
			return d, nil
		}
	}
	return nil, nil
}
