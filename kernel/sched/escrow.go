package sched

import (
	"inos/kernel/api"
	"inos/kernel/wire"
)

// escrowPhase is where an escrow is between this machine and the ledger.
type escrowPhase uint8

const (
	escrowQueued  escrowPhase = iota // not yet in a command
	escrowOpening                    // in a command whose outcome is not known
	escrowOpen                       // open, or possibly open
	escrowClosing                    // to be closed by a proof
	escrowRefund                     // to be closed by a refund
)

// escrow is an escrow that is not known to be closed.
//
// Invariant: the job's current attempt points at it, or it is orphaned and its
// timer or a command leads to its end.
type escrow struct {
	api.Escrow
	phase   escrowPhase
	job     *job // while it is of the job's current attempt
	payLate bool // a payable result that comes late is settled
	proof   api.JobProof
	timer   timer // of an orphan: when it may be refunded
}

func (m *Machine) openEscrow(j *job, bound api.Credits) {
	price, _ := m.price(j, j.worker) // suits has checked it
	e := &escrow{job: j, Escrow: api.Escrow{
		ID: wire.EscrowID(j.Spec.ID, j.attempts()), Job: j.Spec.ID, Payer: m.cfg.Self, Worker: j.worker.node,
		Amount: bound, Price: price, Expires: m.now + m.allowance(j) + m.cfg.Slack + m.cfg.EscrowMargin,
	}}
	e.timer.due = func(int64) { m.refund(e) }
	j.escrow = e
	m.escrows[e.ID] = e
	m.active++
	m.queue(commandOpen, e)
}

// orphan separates an escrow from its attempt. One that was never sent is
// dropped; any other waits for a late proof or the time of its refund.
func (m *Machine) orphan(e *escrow) {
	e.job = nil
	switch e.phase {
	case escrowQueued:
		m.unqueue(commandOpen, e)
		m.forgetEscrow(e)
		m.active--
	case escrowOpening, escrowOpen:
		m.active--
		m.arm(&e.timer, e.Expires+api.EscrowGrace)
	}
}

func (m *Machine) forgetEscrow(e *escrow) {
	m.disarm(&e.timer)
	delete(m.escrows, e.ID)
}

// settle closes an escrow with the proof of a result.
func (m *Machine) settle(e *escrow, r *api.JobResult) {
	if e.job == nil {
		m.active++ // it was orphaned
	}
	m.disarm(&e.timer)
	e.phase, e.job, e.proof = escrowClosing, nil, wire.ProofOf(*r)
	m.queue(commandSettle, e)
}

// refund closes an orphan whose time has come.
func (m *Machine) refund(e *escrow) {
	if e.phase == escrowOpening { // its command is still being tried
		m.arm(&e.timer, m.now+api.EscrowGrace)
		return
	}
	m.active++
	e.phase = escrowRefund
	m.queue(commandRefund, e)
}

// adopt takes over escrows that a former run of this payer left open.
func (m *Machine) adopt(escrows []api.Escrow) {
	for _, v := range escrows {
		if _, known := m.escrows[v.ID]; known || v.Payer != m.cfg.Self || len(m.escrows) >= MaxEscrows {
			continue
		}
		e := &escrow{Escrow: v, phase: escrowOpen, payLate: true}
		e.timer.due = func(int64) { m.refund(e) }
		m.escrows[e.ID] = e
		m.arm(&e.timer, e.Expires+api.EscrowGrace)
	}
}

// opened dispatches the job whose escrow is now open.
func (m *Machine) opened(e *escrow, seq uint64) {
	e.phase, e.Seq = escrowOpen, seq
	if e.job != nil {
		m.dispatch(e.job)
	}
}

// notOpened deals with an escrow that the ledger refused to open.
func (m *Machine) notOpened(e *escrow, kind api.Kind, message string) {
	j := e.job
	if kind == api.Exists { // an escrow of that name is open: keep it until its refund
		e.phase = escrowOpen
		if j != nil {
			m.again(j, kind, message)
		}
		return
	}
	m.forgetEscrow(e)
	if j == nil {
		return // active was counted down when it was orphaned
	}
	m.active--
	j.escrow = nil
	switch kind {
	case api.Unfunded:
		m.broke(j, message)
	case api.NotFound: // the worker has no account, or this payer has none
		m.suspect(j.worker)
		m.retry(j, kind, message, true)
	default:
		m.end(j, JobChanged{State: api.JobFailed, Kind: kind, Message: message})
	}
}

// broke lets a job wait for credits that come back when other escrows close, and
// otherwise looks for a free worker.
func (m *Machine) broke(j *job, message string) {
	if m.active > 0 {
		m.unfunded = true
	} else {
		j.freeOnly = true
	}
	j.nodes = j.nodes[:len(j.nodes)-1] // the escrow was never opened: its attempt did not take place
	m.retry(j, api.Unfunded, message, false)
}

// ended says that the ledger has closed an escrow.
func (m *Machine) ended(e *escrow) {
	m.active--
	m.unfunded = false
	m.forgetEscrow(e)
}
