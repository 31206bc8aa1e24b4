package api

import "encoding/json"

// ResidentStart asks a node to start a resident module.
type ResidentStart struct {
	Params  json.RawMessage `json:"params,omitempty"`  // of the module's method start; {} when absent
	Workers int             `json:"workers,omitempty"` // instances over the same memory, 1 to 8; 0 means 1
	Rate    float64         `json:"rate,omitempty"`    // steps a second at most; 0 means as many as it can
}

// Resident is a resident module that runs on a node, or did.
type Resident struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Hash    Hash     `json:"hash"`
	State   string   `json:"state"` // starting, running, restarting, stopped, failed or quarantined
	Error   string   `json:"error,omitempty"`
	Workers int      `json:"workers"`
	Started int64    `json:"started"` // Unix milliseconds
	Steps   uint64   `json:"steps"`   // made so far
	Gas     uint64   `json:"gas"`     // used so far
	Region  uint64   `json:"region"`  // where its place in the arena begins
	States  []string `json:"states"`  // that it shows, by name; see inos arena
}
