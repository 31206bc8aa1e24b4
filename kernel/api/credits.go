package api

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Credits is an amount in integer microcredits (1 credit = 1,000,000). It is
// signed so that entries can be negative; arithmetic is checked.
type Credits int64

// Credit is one whole credit.
const Credit Credits = 1_000_000

// Add returns a+b, or Invalid on overflow.
func (a Credits) Add(b Credits) (Credits, error) {
	s := a + b
	if (b > 0 && s < a) || (b < 0 && s > a) {
		return 0, Errorf("credits.add", Invalid, "the amount overflows 64 bits")
	}
	return s, nil
}

// MulDiv returns ceil(a*n/d) in 128-bit arithmetic: the price of n units at a
// per d units, rounded up so that nothing is free by rounding. a must not be
// negative and d must not be zero.
func (a Credits) MulDiv(n, d uint64) (Credits, error) {
	const op = "credits.muldiv"
	if a < 0 || d == 0 {
		return 0, Errorf(op, Invalid, "a price is not negative and its unit is not zero")
	}
	hi, lo := bits.Mul64(uint64(a), n)
	if hi >= d {
		return 0, Errorf(op, Invalid, "the amount overflows 64 bits")
	}
	q, r := bits.Div64(hi, lo, d)
	if r > 0 {
		q++
	}
	if q > math.MaxInt64 {
		return 0, Errorf(op, Invalid, "the amount overflows 64 bits")
	}
	return Credits(q), nil
}

// String renders whole credits with up to six decimals, e.g. "12.5".
func (a Credits) String() string {
	sign, v := "", uint64(a)
	if a < 0 {
		sign, v = "-", -v
	}
	whole, frac := v/uint64(Credit), v%uint64(Credit)
	if frac == 0 {
		return sign + strconv.FormatUint(whole, 10)
	}
	return sign + strings.TrimRight(fmt.Sprintf("%d.%06d", whole, frac), "0")
}

// ParseCredits reads what String writes.
func ParseCredits(s string) (Credits, error) {
	const op = "api.parsecredits"
	bad := func() (Credits, error) {
		return 0, Errorf(op, Invalid, "an amount is a number of credits with up to six decimals, such as 12.5")
	}
	body, neg := strings.CutPrefix(s, "-")
	whole, frac, _ := strings.Cut(body, ".")
	if whole == "" || len(frac) > 6 || strings.ContainsAny(body, "+-_ ") {
		return bad()
	}
	v, err := strconv.ParseInt(whole+frac+strings.Repeat("0", 6-len(frac)), 10, 64)
	if err != nil {
		return bad()
	}
	if neg {
		v = -v
	}
	return Credits(v), nil
}

// Prices are what a node asks, gossiped in its Capability and quoted before
// use. Zero means free.
type Prices struct {
	StorageGiBMonth Credits `json:"storage_gib_month"` // per GiB kept for 30 days
	ServeGiB        Credits `json:"serve_gib"`         // per GiB sent to a reader
	ComputeGgas     Credits `json:"compute_ggas"`      // per 10^9 units of gas
}

// Price units.
const (
	GiB      = 1 << 30
	Ggas     = 1_000_000_000
	MonthSec = 30 * 24 * 3600
)

// Storage is the price of keeping n bytes for the given seconds. Free overflow
// is impossible: the product is checked.
func (p Prices) Storage(n, seconds uint64) (Credits, error) {
	perMonth, err := p.StorageGiBMonth.MulDiv(n, GiB)
	if err != nil {
		return 0, err
	}
	return perMonth.MulDiv(seconds, MonthSec)
}

// Serve is the price of sending n bytes.
func (p Prices) Serve(n uint64) (Credits, error) { return p.ServeGiB.MulDiv(n, GiB) }

// Compute is the price of g units of gas.
func (p Prices) Compute(g uint64) (Credits, error) { return p.ComputeGgas.MulDiv(g, Ggas) }
