package api

import "context"

// Bounds of the ledger. A command or table beyond its bound is refused with
// Exhausted or Invalid; nothing is evicted.
const (
	MaxCommandItems   = 256                  // escrows, settlements, refunds or payments in one command
	MaxCommandLife    = 10 * 60_000          // ms from submission to Command.Expires
	MaxEscrowLife     = 7 * 24 * 3600 * 1000 // ms from opening to Escrow.Expires
	EscrowGrace       = 10 * 60_000          // ms after Escrow.Expires in which only the worker may close
	EscrowSweep       = 2 * EscrowGrace      // ms after Escrow.Expires when anyone may refund the payer
	MaxOpenEscrows    = 1 << 18              // open at once in a ledger
	MaxLedgerAccounts = 1 << 16              // node accounts
	MaxChequePairs    = 1 << 18              // payer and payee pairs with a redeemed cheque
	MaxEntryPage      = 1000                 // entries or escrows returned by one query
	MaxMemo           = 128                  // bytes of Transfer.Memo
	MaxEntryScan      = 100_000              // entries one query looks at
)

// Command is one signed request to the ledger. The ledger applies it exactly
// once: a second command with the same ID, signer and operation returns the
// outcome of the first, even when signed again with a later Expires; a different
// one with the same ID is a Conflict. The ledger remembers an ID until the
// latest Expires it has seen with it and refuses the command afterwards, so a
// replay can never be applied. A command that failed changed nothing and leaves
// its ID free.
type Command struct {
	ID      ID       `json:"id"`
	Signer  NodeID   `json:"signer"`
	Expires int64    `json:"expires"` // Unix milliseconds
	Op      Op       `json:"op"`
	Sig     [64]byte `json:"-"` // by Signer over wire.CommandSigning
}

// Op is what a command does; it is one of the types below.
type Op interface{ op() }

// Genesis creates the supply in the treasury. The mesh's root key signs it, once.
type Genesis struct {
	Supply Credits `json:"supply"`
}

// Grant opens a member's account with Amount from the treasury, which may be
// zero. The mesh's root key signs it, once per node. Only granted nodes have
// accounts.
type Grant struct {
	Node   NodeID  `json:"node"`
	Amount Credits `json:"amount"`
}

// Transfer moves Amount from the signer to another member.
type Transfer struct {
	To     NodeID  `json:"to"`
	Amount Credits `json:"amount"`
	Memo   string  `json:"memo,omitempty"` // becomes Entry.Ref
}

// EscrowOpen sets credits of the signer, who is each escrow's payer, aside for
// jobs. It opens all of them or none. Entry Outcome.First+i opens Escrows[i].
type EscrowOpen struct {
	Escrows []Escrow `json:"escrows"`
}

// EscrowSettle closes escrows with the workers' signed proofs: each worker gets
// Escrow.Payment and the payer the rest. The payer may submit it at any time,
// the worker from Escrow.Expires on. It closes all of them or none.
type EscrowSettle struct {
	Settlements []Settlement `json:"settlements"`
}

// EscrowRefund returns escrows to their payers without a proof: by the payer
// from Expires+EscrowGrace on, by anyone from Expires+EscrowSweep on. It closes
// all of them or none.
type EscrowRefund struct {
	Escrows []ID `json:"escrows"`
}

// StoragePay pays holders for keeping blocks of an object of the signer.
type StoragePay struct {
	Root     Address          `json:"root"`
	Lease    LeaseID          `json:"lease"`
	Payments []StoragePayment `json:"payments"`
}

// StoragePayment is one holder's share of a StoragePay.
type StoragePayment struct {
	Holder NodeID  `json:"holder"`
	Amount Credits `json:"amount"`
	Bytes  uint64  `json:"bytes"`  // wire bytes kept
	Blocks Hash    `json:"blocks"` // Receipt.Blocks of the receipt it pays for; evidence, which the ledger keeps and does not check
}

// CashCheque redeems a cheque: the difference between its Cumulative and what
// was redeemed before moves from payer to payee. The payee signs the command,
// the payer has signed the cheque. When the payer's balance does not cover the
// difference it fails with Unfunded and moves nothing.
type CashCheque struct {
	Cheque Cheque `json:"cheque"`
}

func (Genesis) op()      {}
func (Grant) op()        {}
func (Transfer) op()     {}
func (EscrowOpen) op()   {}
func (EscrowSettle) op() {}
func (EscrowRefund) op() {}
func (StoragePay) op()   {}
func (CashCheque) op()   {}

// Escrow is credits set aside for one attempt at a job.
type Escrow struct {
	ID      ID      `json:"id"`  // names the escrow account; fresh for every attempt
	Job     ID      `json:"job"` // JobSpec.ID
	Payer   NodeID  `json:"payer"`
	Worker  NodeID  `json:"worker"`
	Amount  Credits `json:"amount"`  // the most the worker can get: Price for the gas limit
	Price   Credits `json:"price"`   // agreed, per Ggas
	Expires int64   `json:"expires"` // Unix milliseconds
	Seq     uint64  `json:"seq"`     // the ledger's entry that opened it; the ledger sets it
}

// Payment is what the worker gets for a proof: the agreed price of its gas and
// at most Amount, or nothing when the kind of failure is the worker's own.
func (e Escrow) Payment(kind Kind, gas uint64) Credits {
	if !GuestOutcome(kind) {
		return 0
	}
	pay, err := e.Price.MulDiv(gas, Ggas)
	if err != nil || pay > e.Amount { // an overflow is more than Amount
		return e.Amount
	}
	return pay
}

// GuestOutcome reports whether a result's kind is the outcome of the guest's
// own run: success (Other), a trap, an exhausted limit, an error the module
// returned about its input (Invalid), or its wall time running out. Such a
// result is final and its gas is paid. Every other kind is the worker's own
// failure: not paid, and the job may be tried elsewhere.
func GuestOutcome(kind Kind) bool {
	switch kind {
	case Other, Invalid, Trapped, Exhausted, Timeout:
		return true
	}
	return false
}

// Settlement closes one escrow with a proof.
type Settlement struct {
	Escrow ID       `json:"escrow"`
	Proof  JobProof `json:"proof"`
}

// JobProof is the part of a signed JobResult that a settlement needs. The rest
// of the result, whose output link is private, stands in it as a digest, and
// the signature is the result's own. wire.ProofOf makes it.
type JobProof struct {
	Job    ID       `json:"job"`
	Worker NodeID   `json:"worker"`
	Escrow uint64   `json:"escrow"` // JobResult.Escrow
	Kind   Kind     `json:"-"`
	Gas    uint64   `json:"gas"`
	Detail Hash     `json:"detail"` // BLAKE3 of the other fields
	Sig    [64]byte `json:"-"`
}

// Outcome says where a command's entries are in the ledger: Count entries from
// sequence number First. Count may be zero.
type Outcome struct {
	First    uint64 `json:"first"`
	Count    uint32 `json:"count"`
	Time     int64  `json:"time"`     // Unix milliseconds, by the ledger's clock
	Repeated bool   `json:"repeated"` // the command had been applied before
}

// EntryQuery selects a page of entries: newest first below Before, or oldest
// first from From when Before is zero and From is not.
type EntryQuery struct {
	Account *Account // only entries from or to it; nil for any. Escrow accounts are not indexed: use Ref
	Cause   *Cause   // only this cause; nil for any
	Ref     string   // only this Entry.Ref; empty for any
	Before  uint64   // newest first, sequence numbers below it; 0 for the newest
	From    uint64   // oldest first, from this sequence number; wins over Before
	Limit   int      // 1..MaxEntryPage; 0 means 100
}

// EntryPage is a page of entries. Next continues it, as Before or From in the
// same direction; zero when there is no more. A page may be short or empty and
// still have a Next, because one query looks at MaxEntryScan entries at most.
type EntryPage struct {
	Entries []Entry `json:"entries"`
	Next    uint64  `json:"next,omitempty"`
}

// EscrowQuery selects a page of open escrows in order of their IDs.
type EscrowQuery struct {
	Payer   NodeID // only of this payer; zero for any
	Worker  NodeID // only of this worker; zero for any
	Expired int64  // only those whose Expires is at or before it, Unix milliseconds; 0 for any
	After   ID     // only IDs above it
	Limit   int    // 1..MaxEntryPage; 0 means 100
}

// LedgerTotals adds up a ledger. Treasury + Nodes + Escrowed == Supply always.
type LedgerTotals struct {
	Supply   Credits `json:"supply"`
	Treasury Credits `json:"treasury"`
	Nodes    Credits `json:"nodes"`
	Escrowed Credits `json:"escrowed"`
	Accounts uint32  `json:"accounts"` // node accounts
	Escrows  uint32  `json:"escrows"`  // open
	Entries  uint64  `json:"entries"`
}

// Ledger is the mesh's account book. The embedded one on the seed implements
// it, and so does the client that forwards to the seed. Methods are safe for
// concurrent use.
type Ledger interface {
	// Submit applies a command and returns when it is durable. Errors: Invalid,
	// Unverified, Denied, Unfunded, NotFound, Exists, Conflict, Exhausted,
	// Timeout when the command has expired; then nothing changed. After
	// Unavailable, Canceled or Timeout of ctx the command may have been applied:
	// submit the same command again to learn its outcome.
	Submit(ctx context.Context, cmd Command) (Outcome, error)

	// Balance returns one account's amount; NotFound for one that does not exist.
	Balance(ctx context.Context, account Account) (Credits, error)

	// Balances returns the treasury, every node's account, and one row for all
	// open escrows together (an escrow account with the zero ID), which add up
	// to the supply.
	Balances(ctx context.Context) ([]Balance, error)

	// Entries returns one page of history.
	Entries(ctx context.Context, q EntryQuery) (EntryPage, error)

	// Escrows returns one page of open escrows.
	Escrows(ctx context.Context, q EscrowQuery) ([]Escrow, error)

	// Escrow returns one open escrow; NotFound when it is closed or was never opened.
	Escrow(ctx context.Context, id ID) (Escrow, error)

	// Totals adds up the ledger.
	Totals(ctx context.Context) (LedgerTotals, error)
}

// WorkerQuote is a worker's answer to what a call would cost there.
type WorkerQuote struct {
	Worker    NodeID  `json:"worker"`
	Compute   Credits `json:"compute_ggas"` // price per Ggas
	Workers   uint16  `json:"workers"`      // jobs run at once
	Queue     uint16  `json:"queue"`        // jobs waiting or running
	Warm      bool    `json:"warm"`         // the module is compiled
	ValidTill int64   `json:"valid_till"`   // Unix milliseconds; the worker honours Compute until then
}

// QuoteRequest asks a worker for a WorkerQuote.
type QuoteRequest struct {
	Module Hash   `json:"module"`
	Unit   string `json:"unit"`
	Method string `json:"method"`
	Limits Limits `json:"limits"`
}

// Dispatch hands a job to a worker. The worker refuses with a signed result of
// kind Conflict when Escrow.Price is below its own, Unavailable when its queue
// is full.
type Dispatch struct {
	Spec    JobSpec `json:"spec"`
	Attempt uint8   `json:"attempt"` // from 1
	Escrow  Escrow  `json:"escrow"`  // zero when the worker is free of charge
}
