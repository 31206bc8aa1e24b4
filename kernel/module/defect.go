package module

import (
	"errors"

	"inos/kernel/api"
)

// Defect marks an error as the module's own doing, for its supervisor: the
// instance it happened in is lost. Errors that a guest reports in a response,
// limits that it reached in a call and everything the node did are no defects.
type Defect struct {
	Start bool // no instance could be made, whatever the call; else the guest trapped or broke the ABI
	Err   error
}

// Error returns the cause's text.
func (d *Defect) Error() string { return d.Err.Error() }

// Unwrap returns the cause.
func (d *Defect) Unwrap() error { return d.Err }

// StartDefect marks err, a failure to make an instance, unless its kind says
// that the node is to blame or that it is stopping. Time is the node's: what a
// start may do is bounded by gas, and only a busy node takes long for it.
func StartDefect(err error) error {
	switch api.KindOf(err) {
	case api.Invalid, api.Trapped, api.Exhausted:
		return &Defect{Start: true, Err: err}
	}
	return err
}

// CallDefect marks err, a failure in a call that cost the instance, if the guest
// trapped or broke the ABI.
func CallDefect(err error) error {
	if api.KindOf(err) == api.Trapped {
		return &Defect{Err: err}
	}
	return err
}

// DefectOf returns the defect in err's chain, nil when there is none.
func DefectOf(err error) *Defect {
	var d *Defect
	if errors.As(err, &d) {
		return d
	}
	return nil
}
