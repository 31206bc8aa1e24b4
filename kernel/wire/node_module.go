package wire

import (
	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// ModuleRecord says where a module that was added to the mesh is, and who signed
// it as what. Author, Content and Sig are zero together.
type ModuleRecord struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Hash    api.Hash    `json:"hash"`
	Root    api.Address `json:"root"` // public object with the file
	Size    uint64      `json:"size"`

	Author     api.NodeID `json:"author"`
	Content    api.Hash   `json:"content"`    // of the file without its signature
	Sig        [64]byte   `json:"sig"`        // the author's, over Content, Name and Version
	Withdrawal [64]byte   `json:"withdrawal"` // the author's, over Content; zero while the module stands
}

// Withdrawn reports whether the record carries a withdrawal.
func (r *ModuleRecord) Withdrawn() bool { return r.Withdrawal != [64]byte{} }

// ModuleName gives a name to an author, signed by the mesh's root.
type ModuleName struct {
	Name   string     `json:"name"`
	Author api.NodeID `json:"author"`
	Issued int64      `json:"issued"` // Unix seconds
	Sig    [64]byte   `json:"sig"`
}

func writeModules(m meshv1.News, modules []ModuleRecord) error {
	l, err := m.NewModules(int32(len(modules)))
	if err != nil {
		return err
	}
	for i, v := range modules {
		e := l.At(i)
		e.SetSize(v.Size)
		if err := firstOf(
			e.SetName(v.Name), e.SetVersion(v.Version), e.SetHash(v.Hash[:]), e.SetRoot(v.Root[:]), e.SetAuthor(unlessZero(v.Author[:])),
			e.SetContent(unlessZero(v.Content[:])), e.SetSignature(unlessZero(v.Sig[:])), e.SetWithdrawal(unlessZero(v.Withdrawal[:])),
		); err != nil {
			return err
		}
	}
	return nil
}

func readModules(m meshv1.News) ([]ModuleRecord, error) {
	l, err := m.Modules()
	if err != nil {
		return nil, err
	}
	var r reader
	count := r.count(l.Len(), MaxNewsModules)
	if count == 0 {
		return nil, r.err
	}
	out := make([]ModuleRecord, 0, count)
	for i := 0; r.err == nil && i < l.Len(); i++ {
		e := l.At(i)
		v := ModuleRecord{Size: e.Size()}
		v.Name = r.text(64, e.Name)
		v.Version = r.text(64, e.Version)
		r.fixed(v.Hash[:], e.Hash)
		r.fixed(v.Root[:], e.Root)
		r.optional(v.Author[:], e.Author)
		r.optional(v.Content[:], e.Content)
		r.optional(v.Sig[:], e.Signature)
		r.optional(v.Withdrawal[:], e.Withdrawal)
		out = append(out, v)
	}
	return out, r.err
}

func writeModuleNames(m meshv1.News, names []ModuleName) error {
	l, err := m.NewModuleNames(int32(len(names)))
	if err != nil {
		return err
	}
	for i, v := range names {
		e := l.At(i)
		e.SetIssued(v.Issued)
		if err := firstOf(e.SetName(v.Name), e.SetAuthor(v.Author[:]), e.SetSignature(v.Sig[:])); err != nil {
			return err
		}
	}
	return nil
}

func readModuleNames(m meshv1.News) ([]ModuleName, error) {
	l, err := m.ModuleNames()
	if err != nil {
		return nil, err
	}
	var r reader
	count := r.count(l.Len(), MaxNewsModules)
	if count == 0 {
		return nil, r.err
	}
	out := make([]ModuleName, 0, count)
	for i := 0; r.err == nil && i < l.Len(); i++ {
		e := l.At(i)
		v := ModuleName{Issued: e.Issued()}
		v.Name = r.text(MaxModuleName, e.Name)
		r.fixed(v.Author[:], e.Author)
		r.fixed(v.Sig[:], e.Signature)
		out = append(out, v)
	}
	return out, r.err
}
