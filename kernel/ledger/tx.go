package ledger

import "inos/kernel/api"

// tx is one command's changes before they are committed: reads see the changes,
// the machine does not. A command that fails leaves the machine as it was.
type tx struct {
	m        *Machine
	now      int64
	genesis  api.Credits // supply created by this command
	treasury api.Credits
	accounts map[api.NodeID]api.Credits
	escrows  map[api.ID]escrowChange
	cheques  map[pair]cheque
	entries  []api.Entry
}

// escrowChange is an escrow opened or closed by the command.
type escrowChange struct {
	escrow api.Escrow
	open   bool
}

func (t *tx) begin(now int64) {
	t.now, t.genesis, t.treasury = now, 0, t.m.treasury
	clear(t.accounts)
	clear(t.escrows)
	clear(t.cheques)
	t.entries = t.entries[:0]
}

func (t *tx) account(n api.NodeID) (api.Credits, bool) {
	if v, ok := t.accounts[n]; ok {
		return v, true
	}
	v, ok := t.m.accounts[n]
	return v, ok
}

func (t *tx) escrow(id api.ID) (api.Escrow, bool) {
	if c, ok := t.escrows[id]; ok {
		return c.escrow, c.open
	}
	e, ok := t.m.escrows[id]
	return e, ok
}

func (t *tx) cheque(p pair) cheque {
	if c, ok := t.cheques[p]; ok {
		return c
	}
	return t.m.cheques[p]
}

// take removes amount from a member's account.
func (t *tx) take(n api.NodeID, amount api.Credits) error {
	have, ok := t.account(n)
	if !ok {
		return noAccount(n)
	}
	if have < amount {
		return api.Errorf("ledger.take", api.Unfunded,
			"the account has "+have.String()+" credits and needs "+amount.String()+"; ask the mesh's owner for a transfer")
	}
	t.accounts[n] = have - amount
	return nil
}

// give adds amount to a member's account. It cannot overflow: no account holds
// more than the supply.
func (t *tx) give(n api.NodeID, amount api.Credits) error {
	have, ok := t.account(n)
	if !ok {
		return noAccount(n)
	}
	t.accounts[n] = have + amount
	return nil
}

func noAccount(n api.NodeID) error {
	return api.Errorf("ledger.account", api.NotFound, n.String()+" has no account; a member gets one when it joins the mesh")
}

// enter records a transfer. A transfer of nothing leaves no entry.
func (t *tx) enter(from, to api.Account, amount api.Credits, cause api.Cause, ref string) {
	if amount == 0 {
		return
	}
	seq := t.m.seq + uint64(len(t.entries)) + 1
	t.entries = append(t.entries, api.Entry{Seq: seq, Time: t.now, From: from, To: to, Amount: amount, Cause: cause, Ref: ref})
}

func nodeAccount(n api.NodeID) api.Account { return api.Account{Kind: api.NodeAccount, Node: n} }
func escrowAccount(id api.ID) api.Account  { return api.Account{Kind: api.EscrowAccount, ID: id} }

// commit makes the changes the machine's.
func (t *tx) commit() {
	m := t.m
	nodes, escrowed := t.sums()
	if t.treasury < 0 || nodes < 0 || escrowed < 0 || t.treasury+nodes+escrowed != m.supply+t.genesis {
		panic("ledger: a command would change the sum of all credits")
	}
	m.supply += t.genesis
	m.treasury, m.nodes, m.escrowed = t.treasury, nodes, escrowed
	m.now, m.seq = t.now, m.seq+uint64(len(t.entries))
	for n, v := range t.accounts {
		m.accounts[n] = v
		m.mark(rowKey{kind: rowAccount, a: n})
	}
	for id, c := range t.escrows {
		if c.open {
			m.escrows[id] = c.escrow
		} else {
			delete(m.escrows, id)
		}
		m.mark(rowKey{kind: rowEscrow, a: widen(id)})
	}
	for p, c := range t.cheques {
		m.cheques[p] = c
		m.mark(rowKey{kind: rowCheque, a: p.payer, b: p.payee})
	}
	m.mark(rowKey{kind: rowMeta})
}

// sums returns what the members and the escrows will hold.
func (t *tx) sums() (nodes, escrowed api.Credits) {
	nodes, escrowed = t.m.nodes, t.m.escrowed
	for n, v := range t.accounts {
		if v < 0 {
			panic("ledger: a command would make an account negative")
		}
		nodes += v - t.m.accounts[n]
	}
	for id, c := range t.escrows {
		escrowed -= t.m.escrows[id].Amount
		if c.open {
			escrowed += c.escrow.Amount
		}
	}
	return nodes, escrowed
}
