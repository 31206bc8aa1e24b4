package sched

import "inos/kernel/api"

type commandKind uint8

const (
	commandOpen commandKind = iota
	commandSettle
	commandRefund
	commandKinds
)

// command is a ledger command in flight, or waiting to be tried again.
type command struct {
	id      api.ID
	kind    commandKind
	escrows []*escrow
	tries   int
	timer   timer
}

// commandQueue collects escrows for the next command of a kind. While commands
// are in flight more gather, so commands grow with the load.
type commandQueue struct {
	escrows []*escrow   // at most MaxEscrows
	splits  [][]*escrow // parts of commands that failed as a whole; go first, one by one
	flying  int         // commands in flight or waiting to be tried again; at most maxCommands
}

func (m *Machine) queue(k commandKind, e *escrow) {
	m.queues[k].escrows = append(m.queues[k].escrows, e)
}

// unqueue removes an escrow that was not yet sent. Its place is left empty.
func (m *Machine) unqueue(k commandKind, e *escrow) {
	for _, list := range append([][]*escrow{m.queues[k].escrows}, m.queues[k].splits...) {
		for i := range list {
			if list[i] == e {
				list[i] = nil
				return
			}
		}
	}
}

// next takes the escrows of the next command.
func (q *commandQueue) next() []*escrow {
	for len(q.splits) > 0 {
		list := compact(q.splits[0])
		q.splits = q.splits[1:]
		if len(list) > 0 {
			return list
		}
	}
	n := min(len(q.escrows), api.MaxCommandItems)
	list := compact(append([]*escrow(nil), q.escrows[:n]...))
	if q.escrows = q.escrows[n:]; len(q.escrows) == 0 {
		q.escrows = nil
	}
	return list
}

func compact(list []*escrow) []*escrow {
	out := list[:0]
	for _, e := range list {
		if e != nil {
			out = append(out, e)
		}
	}
	return out
}

func (m *Machine) flushCommands() {
	for k := range m.queues {
		q := &m.queues[k]
		for q.flying < maxCommands && len(q.splits)+len(q.escrows) > 0 {
			if list := q.next(); len(list) > 0 {
				m.send(commandKind(k), list)
			}
		}
	}
}

func (m *Machine) send(k commandKind, list []*escrow) {
	c := &command{id: m.freshID(), kind: k, escrows: list}
	c.timer.due = func(int64) { m.emitCommand(c) }
	m.commands[c.id] = c
	m.queues[k].flying++
	m.emitCommand(c)
}

func (m *Machine) emitCommand(c *command) {
	switch c.kind {
	case commandOpen:
		escrows := make([]api.Escrow, len(c.escrows))
		for i, e := range c.escrows {
			e.phase = escrowOpening
			escrows[i] = e.Escrow
		}
		m.emit(OpenEscrow{Command: c.id, Escrows: escrows})
	case commandSettle:
		settlements := make([]api.Settlement, len(c.escrows))
		for i, e := range c.escrows {
			settlements[i] = api.Settlement{Escrow: e.ID, Proof: e.proof}
		}
		m.emit(Settle{Command: c.id, Settlements: settlements})
	default:
		ids := make([]api.ID, len(c.escrows))
		for i, e := range c.escrows {
			ids[i] = e.ID
		}
		m.emit(Refund{Command: c.id, Escrows: ids})
	}
}

// answered removes a command that has its answer. One whose next try is waiting
// is not in flight, and an answer to an earlier try counts too.
func (m *Machine) answered(id api.ID, open bool) *command {
	c := m.commands[id]
	if c == nil || (c.kind == commandOpen) != open {
		return nil
	}
	m.disarm(&c.timer)
	delete(m.commands, id)
	m.queues[c.kind].flying--
	return c
}

func (m *Machine) escrowOpened(ev EscrowOpened) {
	if c := m.answered(ev.Command, true); c != nil {
		for i, e := range c.escrows {
			m.opened(e, ev.First+uint64(i))
		}
	}
}

func (m *Machine) closed(id api.ID) {
	if c := m.answered(id, false); c != nil {
		for _, e := range c.escrows {
			m.ended(e)
		}
	}
}

// transient reports whether a command with this failure is to be tried again as
// it is: it had no effect, or its effect is unknown.
func transient(kind api.Kind) bool {
	switch kind {
	case api.Unavailable, api.Timeout, api.Canceled, api.Exhausted, api.NoSpace, api.Closed, api.Other, api.Corrupt:
		return true
	}
	return false
}

// maxOpenTries bounds how often an OpenEscrow is tried: about half a minute.
const maxOpenTries = 5

// tryAgain arms a command's next try, later each time, and reports whether there
// is one.
func (m *Machine) tryAgain(c *command) bool {
	if c.kind == commandOpen && c.tries+1 >= maxOpenTries {
		return false
	}
	wait := min(int64(1_000)<<min(c.tries, 16), 60_000)
	c.tries++
	m.arm(&c.timer, m.now+wait)
	return true
}

// split divides a command that failed as a whole, so that one bad item does not
// spoil the rest.
func (m *Machine) split(c *command) {
	half := len(c.escrows) / 2
	q := &m.queues[c.kind]
	q.splits = append(q.splits, c.escrows[:half:half], c.escrows[half:])
	if c.kind == commandOpen {
		for _, e := range c.escrows {
			e.phase = escrowQueued
		}
	}
}

func (m *Machine) escrowFailed(ev EscrowFailed) {
	c := m.commands[ev.Command]
	if c == nil || c.kind != commandOpen {
		return
	}
	if transient(ev.Kind) && m.tryAgain(c) {
		return
	}
	m.answered(ev.Command, true)
	if transient(ev.Kind) {
		m.unknown(c, ev)
		return
	}
	if len(c.escrows) > 1 {
		m.drop(c)
		m.split(c)
		return
	}
	m.notOpened(c.escrows[0], ev.Kind, ev.Message)
}

// drop removes escrows that nothing wants opened any more from a command that
// had no effect.
func (m *Machine) drop(c *command) {
	kept := c.escrows[:0]
	for _, e := range c.escrows {
		if e.job == nil {
			m.forgetEscrow(e)
			continue
		}
		kept = append(kept, e)
	}
	c.escrows = kept
}

// unknown gives up on a command that may have been applied: its escrows count as
// open until they are refunded, and their jobs fail.
func (m *Machine) unknown(c *command, ev EscrowFailed) {
	for _, e := range c.escrows {
		e.phase = escrowOpen
		if j := e.job; j != nil {
			m.orphan(e)
			j.escrow = nil
			m.end(j, JobChanged{State: api.JobFailed, Kind: api.Unavailable, Message: "the ledger cannot be reached: " + ev.Message})
		}
	}
}

func (m *Machine) closeFailed(ev CloseFailed) {
	c := m.commands[ev.Command]
	if c == nil || c.kind == commandOpen {
		return
	}
	if transient(ev.Kind) || ev.Kind == api.Conflict {
		m.tryAgain(c)
		return
	}
	m.answered(ev.Command, false)
	if len(c.escrows) > 1 {
		m.split(c)
		return
	}
	e := c.escrows[0]
	if ev.Kind == api.NotFound { // closed already, by the worker or by a try whose answer was lost
		m.ended(e)
		return
	}
	// The proof or the time was wrong: try a refund, later each time.
	m.active--
	e.phase = escrowOpen
	m.arm(&e.timer, max(e.Expires+api.EscrowGrace, m.now+api.EscrowGrace))
}
