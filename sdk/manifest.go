package sdk

import (
	"bytes"
	"encoding/json"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/wire"
)

// maxManifestJSON bounds a manifest in JSON; the encoded one has its own bound.
const maxManifestJSON = 1 << 20

// manifestJSON is a manifest as people and toolchains write it.
type manifestJSON struct {
	Name          string     `json:"name"`
	Version       string     `json:"version"`
	Author        string     `json:"author"`
	Doc           string     `json:"doc"`
	ABI           uint16     `json:"abi"` // 1 when absent
	Deterministic bool       `json:"deterministic"`
	Limits        api.Limits `json:"limits"`
	Syscalls      []string   `json:"syscalls"`
	Inbox         string     `json:"inbox"`
	Units         []unitJSON `json:"units"`
}

type unitJSON struct {
	Name    string       `json:"name"`
	Doc     string       `json:"doc"`
	Methods []methodJSON `json:"methods"`
}

type methodJSON struct {
	Name    string          `json:"name"`
	Doc     string          `json:"doc"`
	Params  json.RawMessage `json:"params"` // JSON Schema; absent: takes none
	Reads   []string        `json:"reads"`
	Writes  string          `json:"writes"`
	NoInput bool            `json:"no_input"`
}

// parseManifest reads a manifest in JSON. Errors are Invalid and name the field.
func parseManifest(raw []byte) (module.Manifest, error) {
	const op = "sdk.manifest"
	if len(raw) > maxManifestJSON {
		return module.Manifest{}, api.Errorf(op, api.Invalid, "the manifest has more than 1 MiB of JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	in := manifestJSON{ABI: 1}
	if err := dec.Decode(&in); err != nil {
		return module.Manifest{}, api.Errorf(op, api.Invalid, "the manifest is not readable: "+err.Error())
	}
	m := module.Manifest{
		Name: in.Name, Version: in.Version, Author: in.Author, Doc: in.Doc, ABI: in.ABI, Deterministic: in.Deterministic,
		Limits: in.Limits, Syscalls: in.Syscalls, Inbox: in.Inbox,
	}
	for _, u := range in.Units {
		unit := module.Unit{Name: u.Name, Doc: u.Doc}
		for _, f := range u.Methods {
			method := module.Method{Name: f.Name, Doc: f.Doc, InputMediaTypes: f.Reads, OutputMediaType: f.Writes, InputRequired: !f.NoInput}
			if len(f.Params) > 0 {
				var b bytes.Buffer
				if err := json.Compact(&b, f.Params); err != nil {
					return module.Manifest{}, api.E(op, api.Invalid, err)
				}
				method.ParamsSchema = b.String()
			}
			unit.Methods = append(unit.Methods, method)
		}
		m.Units = append(m.Units, unit)
	}
	return m, nil
}

// attach returns wasm without its custom sections (names, producers, debug data)
// and with the manifest.
func attach(wasm []byte, m module.Manifest) ([]byte, error) {
	const op = "sdk.attach"
	raw, err := wire.EncodeModuleManifest(m)
	if err != nil {
		return nil, err
	}
	sections, err := bin.Sections(wasm)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	out := []byte(bin.Header)
	for i, s := range sections {
		end := len(wasm)
		if i+1 < len(sections) {
			end = sections[i+1].Start
		}
		if s.ID != bin.Custom {
			out = append(out, wasm[s.Start:end]...)
		}
	}
	return bin.AppendSection(out, bin.Custom, append(bin.AppendName(nil, module.Section), raw...)), nil
}
