package api

// Account names one side of an entry.
type Account struct {
	Kind AccountKind
	Node NodeID // for NodeAccount
	ID   ID     // for EscrowAccount: the job or contract
}

// AccountKind tells the kinds of account apart.
type AccountKind uint8

// The kinds of account.
const (
	TreasuryAccount AccountKind = iota // the genesis supply not yet granted
	NodeAccount
	EscrowAccount
)

// String returns "treasury", a did:key, or "escrow:<id>".
func (a Account) String() string {
	switch a.Kind {
	case NodeAccount:
		return a.Node.String()
	case EscrowAccount:
		return "escrow:" + a.ID.String()
	default:
		return "treasury"
	}
}

// MarshalText returns String.
func (a Account) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText parses String's form.
func (a *Account) UnmarshalText(b []byte) error {
	v, err := ParseAccount(string(b))
	if err == nil {
		*a = v
	}
	return err
}

// ParseAccount reads String's form.
func ParseAccount(s string) (Account, error) {
	if s == "treasury" {
		return Account{Kind: TreasuryAccount}, nil
	}
	if len(s) > 7 && s[:7] == "escrow:" {
		id, err := ParseID(s[7:])
		return Account{Kind: EscrowAccount, ID: id}, err
	}
	n, err := ParseNodeID(s)
	return Account{Kind: NodeAccount, Node: n}, err
}

// Cause says why credits moved. Every entry has one.
type Cause uint8

// The causes.
const (
	CauseGenesis  Cause = iota // the supply enters the treasury, once
	CauseGrant                 // treasury -> new member
	CauseEscrow                // payer -> escrow, before a job
	CauseSettle                // escrow -> worker, after a job
	CauseRefund                // escrow -> payer: the rest, or all of a failed job
	CauseStorage               // owner -> holder, for bytes kept
	CauseServe                 // reader -> holder, for bytes served (a redeemed cheque)
	CauseTransfer              // between members, by hand
)

var causeNames = [...]string{"genesis", "grant", "escrow", "settle", "refund", "storage", "serve", "transfer"}

// String returns the stable lower-case name.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// MarshalText returns String.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText parses String's form.
func (c *Cause) UnmarshalText(b []byte) error {
	for i, n := range causeNames {
		if n == string(b) {
			*c = Cause(i)
			return nil
		}
	}
	return Errorf("api.cause", Invalid, "unknown cause")
}

// Entry is one transfer in the ledger: Amount leaves From and reaches To.
type Entry struct {
	Seq    uint64  `json:"seq"`  // position in the ledger, from 1
	Time   int64   `json:"time"` // Unix milliseconds, from the ledger's clock
	From   Account `json:"from"`
	To     Account `json:"to"`
	Amount Credits `json:"amount"`
	Cause  Cause   `json:"cause"`
	Ref    string  `json:"ref,omitempty"` // job id, root address or cheque pair; at most 128 bytes
}

// Cheque is a signed promise for bytes served: the payer owes the payee
// Cumulative in total since the pair began. A later cheque replaces an earlier
// one; redeeming moves only the difference.
type Cheque struct {
	Payer      NodeID
	Payee      NodeID
	Cumulative Credits
	Bytes      uint64 // cumulative bytes it pays for
	Sig        [64]byte
}

// Balance is one account's row.
type Balance struct {
	Account Account `json:"account"`
	Name    string  `json:"name,omitempty"`
	Amount  Credits `json:"amount"`
}
