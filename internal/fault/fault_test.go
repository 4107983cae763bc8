package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"vaultik/internal/fault"
)

// The code of an error is that of its outermost cause that has one, but what is only
// incomplete counts less than what else is joined with it.
func TestCodeOf(t *testing.T) {
	partial, damage, usage := fault.Incomplete("p"), fault.Damaged("d"), fault.Misuse("backup", "u")
	for _, c := range []struct {
		err  error
		want fault.Code
		ok   bool
	}{
		{errors.New("x"), 0, false},
		{fmt.Errorf("a: %w", partial), fault.Partial, true},
		{errors.Join(partial, usage), fault.Usage, true},
		{errors.Join(usage, partial), fault.Usage, true},
		{errors.Join(errors.New("x"), fmt.Errorf("%w: %w", damage, usage)), fault.Damage, true},
		{fault.WithHint(errors.Join(partial, fault.WithHint(damage, "h")), "outer"), fault.Damage, true},
	} {
		code, by, ok := fault.CodeOf(c.err)
		if code != c.want || ok != c.ok || ok && by.Exit() != code {
			t.Errorf("%v: %d, %v", c.err, code, ok)
		}
	}
}

func TestHintOf(t *testing.T) {
	inner := fault.WithHint(errors.New("x"), "inner")
	for want, err := range map[string]error{
		"inner": fmt.Errorf("a: %w", inner), "outer": fault.WithHint(inner, "outer"), "": fault.WithHint(errors.New("x"), ""),
	} {
		if hint, ok := fault.HintOf(err); !ok || hint != want {
			t.Errorf("%v: %q, want %q", err, hint, want)
		}
	}
	if _, ok := fault.HintOf(fault.Damaged("d")); ok {
		t.Error("a hint from nowhere")
	}
}
