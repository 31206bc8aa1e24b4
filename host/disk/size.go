package disk

import "inos/kernel/api"

// Size returns the number of wire bytes of a block without reading it, or
// NotFound.
func (s *Store) Size(addr api.Address) (int, error) {
	const op = "disk.size"
	if err := s.enter(op); err != nil {
		return 0, err
	}
	defer s.leave()
	r, ok, err := s.record(addr)
	if err != nil {
		return 0, api.E(op, api.Other, err)
	}
	if !ok {
		return 0, notHere(op, addr)
	}
	return r.size, nil
}
