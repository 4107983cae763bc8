package engine

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"vaultik/internal/fault"
	"vaultik/vault/plan"
	"vaultik/vault/retention"
)

// verifyReads says what a check reads.
type verifyReads struct {
	any    bool
	choose func(*plan.Inventory) (plan.Choice, error) // nil: all
	period time.Duration                              // of a scrub; 0: none
}

// reads are what the options mean; at most one of them says something.
func (o *VerifyOptions) reads() (r verifyReads, err error) {
	switch {
	case o.Scrub != "":
		if o.Snapshot != "" || o.Pick != (Pick{}) {
			return r, fault.Misuse("verify", "--scrub reads what is due of the whole store: "+
				"it takes no snapshot, --set or --host")
		}
		r.any = true
		if r.period, err = retention.ParseSpan(o.Scrub); err != nil {
			return r, fault.Misuse("verify", "--scrub: "+err.Error())
		}
	case o.Subset != "":
		r.any = true
		r.choose, err = subset(o.Subset)
	default:
		r.any = o.ReadData
	}
	return r, err
}

// subset is what 5% or 1/30 chooses.
func subset(s string) (func(*plan.Inventory) (plan.Choice, error), error) {
	bad := fault.Misuse("verify", fmt.Sprintf(
		"--read-data-subset: %q is no subset; write a share like 5%%, or a part like 1/30", s))
	if number, ok := strings.CutSuffix(s, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return nil, bad
		}
		return func(inv *plan.Inventory) (plan.Choice, error) {
			r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // it chooses
			return inv.Sample(percent/100, r), nil
		}, nil
	}
	number, parts, _ := strings.Cut(s, "/")
	part, err1 := strconv.ParseUint(number, 10, 32)
	of, err2 := strconv.ParseUint(parts, 10, 32)
	if err1 != nil || err2 != nil || part < 1 || part > of {
		return nil, bad
	}
	return func(inv *plan.Inventory) (plan.Choice, error) { return inv.Part(part, of), nil }, nil
}
