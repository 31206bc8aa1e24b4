package node

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"inos/kernel/api"
	"inos/kernel/chunk"
	"inos/kernel/module"
)

// candidate is a module that a reference may mean.
type candidate struct {
	item   *shelfItem
	record module.Record // as it was when the shelf was searched
}

// find resolves a reference (module.ParseRef) to a description and, for added
// modules, the object with the file. A name without an author means its owner's
// module; while nobody owns it, the only author's; an unsigned module's name
// counts on the node that added it.
func (s *moduleShelf) find(ctx context.Context, text string) (*module.Description, api.Link, error) {
	const op = "node.module"
	ref, err := module.ParseRef(text)
	if err != nil {
		return nil, api.Link{}, err
	}
	if d, err := s.builtinOf(ctx, ref); d != nil || err != nil {
		return d, api.Link{}, err
	}
	found, err := s.search(ref)
	if err != nil {
		return nil, api.Link{}, err
	}
	// Several records of one content are the same module, all but one of them false.
	for _, c := range found {
		var d *module.Description
		if d, err = s.describe(ctx, c.item); err != nil {
			continue
		}
		if ref.ByHash(d.Hash) || ref.ByName(d.Manifest.Name, d.Manifest.Version, d.Signature.Author) && d.Signature.Author == c.record.Author {
			return d, api.Link{Root: c.record.Root}, nil
		}
		err = api.Errorf(op, api.Conflict, fmt.Sprintf("a member announced %s@%s as %q; use its own name", d.Manifest.Name, d.Manifest.Version, text))
	}
	return nil, api.Link{}, err
}

// search returns the records that ref means, at least one: a single module's.
func (s *moduleShelf) search(ref module.Ref) ([]candidate, error) {
	const op = "node.module"
	s.mu.Lock()
	defer s.mu.Unlock()
	var found, others []candidate
	owner, owned := s.names[ref.Name]
	withdrawn := false
	for _, it := range s.items {
		c := candidate{it, it.Record}
		byName := ref.ByName(c.record.Name, c.record.Version, c.record.Author)
		switch {
		case !ref.ByHash(c.record.Hash) && !byName, it.Hidden:
		case c.record.Withdrawn():
			withdrawn = true
		case ref.ByHash(c.record.Hash), ref.Author != "", owned && owner.Author == c.record.Author,
			!owned && (it.Local || !c.record.Author.IsZero()):
			found = append(found, c)
		default:
			others = append(others, c)
		}
	}
	if ref.Version == "" && ref.Name != "" {
		found = highest(found)
	}
	switch {
	case len(found) > 0 && !oneModule(found):
		return nil, api.Errorf(op, api.Conflict, fmt.Sprintf("%q means several modules: %s", cmp.Or(ref.Name, ref.Hash), listed(found)))
	case len(found) > 0:
		return found, nil
	case withdrawn:
		return nil, api.Errorf(op, api.NotFound, "the module was withdrawn by its author; inos module ls lists what there is")
	case len(others) > 0:
		return nil, api.Errorf(op, api.NotFound, fmt.Sprintf("the name %q is not the author's of any such module; there is %s", ref.Name, listed(others)))
	}
	return nil, s.missing(ref)
}

// missing says that ref means nothing. When it is only the version that is not there,
// it names those that are. mu is held.
func (s *moduleShelf) missing(ref module.Ref) error {
	const op = "node.module"
	var there []candidate
	for _, it := range s.items {
		if c := (candidate{it, it.Record}); ref.Version != "" && !it.Hidden && !c.record.Withdrawn() && c.record.Name == ref.Name {
			there = append(there, c)
		}
	}
	switch {
	case len(there) > 0:
		return api.Errorf(op, api.NotFound, fmt.Sprintf("the module %s has no version %s; there is %s", ref.Name, ref.Version, listed(there)))
	case ref.Version != "" && s.isBuiltin(ref.Name):
		return api.Errorf(op, api.NotFound, fmt.Sprintf("the module %s has no version %s; inos module ls shows the one that is part of inos", ref.Name, ref.Version))
	}
	return api.Errorf(op, api.NotFound, fmt.Sprintf("no module is called %q; inos module ls lists them, inos module add FILE adds one", cmp.Or(ref.Name, ref.Hash)))
}

// highest keeps the candidates of the highest version.
func highest(found []candidate) []candidate {
	var out []candidate
	for _, c := range found {
		order := 1
		if len(out) > 0 {
			order = module.CompareVersions(c.record.Version, out[0].record.Version)
		}
		switch {
		case order > 0:
			out = append(out[:0:0], c)
		case order == 0:
			out = append(out, c)
		}
	}
	return out
}

// named reports whether a module's name is its own on this node: that of a
// built-in one, of the mesh's author of that name, or, while nobody owns it, of a
// module that was added here. Anything else may call itself whatever it likes.
func (s *moduleShelf) named(d *module.Description) bool {
	name, author := d.Manifest.Name, d.Signature.Author
	if s.isBuiltin(name) {
		return s.builtinHas(name, d.Hash)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, owned := s.names[name]; owned {
		return !author.IsZero() && owner.Author == author
	}
	it := s.items[d.Hash]
	return it != nil && it.Local
}

// allows reports whether one of the modules that a reference may mean satisfies
// a rule, by what its record says and before its file is read. NotFound when the
// reference means none.
func (s *moduleShelf) allows(ctx context.Context, text string, rule func(*module.Description) bool) (bool, error) {
	ref, err := module.ParseRef(text)
	if err != nil {
		return false, err
	}
	if d, err := s.builtinOf(ctx, ref); d != nil && err == nil {
		return rule(d), nil
	}
	found, err := s.search(ref)
	return slices.ContainsFunc(found, func(c candidate) bool {
		d := &module.Description{Hash: c.record.Hash, Manifest: module.Manifest{Name: c.record.Name}}
		d.Signature.Author = c.record.Author
		return rule(d)
	}), err
}

// oneModule reports whether all candidates are records of one module.
func oneModule(found []candidate) bool {
	first := found[0].record
	return !slices.ContainsFunc(found[1:], func(c candidate) bool {
		return first.Author.IsZero() || c.record.Author != first.Author || c.record.Content != first.Content
	})
}

// listed names candidates by what means each alone, for error messages; at most five.
func listed(found []candidate) string {
	var names []string
	for _, c := range found {
		name := c.record.Hash.Short() + " (unsigned)"
		if !c.record.Author.IsZero() {
			name = c.record.Name + "@" + c.record.Version + ":" + c.record.Author.Short() + " (" + c.record.Hash.Short() + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > 5 {
		names = append(names[:5], "...")
	}
	return strings.Join(names, ", ")
}

// describe reads an added module's file through the mesh. The record takes
// what the file says, whatever a member said.
func (s *moduleShelf) describe(ctx context.Context, it *shelfItem) (*module.Description, error) {
	s.mu.Lock()
	d, record := it.desc, it.Record
	s.mu.Unlock()
	if d != nil {
		return d, nil
	}
	wasm, err := s.file(ctx, record.Hash, api.Link{Root: record.Root})
	if err != nil {
		return nil, err
	}
	if d, err = module.Parse(wasm); err != nil {
		return nil, err
	}
	info := d.Info()
	info.Link = api.Link{Root: record.Root}
	s.mu.Lock()
	it.desc, it.Info = d, &info
	withdrawal := it.Record.Withdrawal
	it.Record = recordOf(d, record.Root)
	if it.Record.Content == record.Content {
		it.Record.Withdrawal = withdrawal
	}
	s.mu.Unlock()
	return d, s.save(it)
}

// recordOf is what the registry says of a module whose file is the object root.
func recordOf(d *module.Description, root api.Address) module.Record {
	sig := d.Signature
	return module.Record{
		Name: d.Manifest.Name, Version: d.Manifest.Version, Hash: d.Hash, Root: root, Size: d.Size,
		Author: sig.Author, Content: sig.Content, Sig: sig.Sig,
	}
}

// file brings a module's bytes and checks them against the hash.
func (s *moduleShelf) file(ctx context.Context, hash api.Hash, link api.Link) ([]byte, error) {
	const op = "node.module"
	for _, name := range s.builtinNames() {
		if s.builtinHas(name, hash) {
			return s.loadBuiltin(ctx, name)
		}
	}
	if link.IsZero() {
		s.mu.Lock()
		if it := s.items[hash]; it != nil {
			link = api.Link{Root: it.Record.Root}
		}
		s.mu.Unlock()
	}
	if link.IsZero() {
		return nil, api.Errorf(op, api.NotFound, "the module "+hash.Short()+" is not known here")
	}
	obj, err := chunk.Open(ctx, link, s.n.reader(link.Root))
	if err != nil {
		return nil, notHere(link, err)
	}
	if obj.Info().Size > api.MaxModule {
		return nil, api.Errorf(op, api.Invalid, "a module has at most 64 MiB")
	}
	var b bytes.Buffer
	if err := readObject(ctx, obj, "", &b); err != nil {
		return nil, err
	}
	if module.HashOf(b.Bytes()) != hash {
		return nil, api.Errorf(op, api.Corrupt, "the module's file does not match its hash")
	}
	return b.Bytes(), nil
}
