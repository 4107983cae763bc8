package engine

import (
	"fmt"

	"vaultik/actors"
	"vaultik/internal/fault"
	"vaultik/vault/snapshot"
)

// notRead is the end of a command that could not read a part of the store, of which
// therefore nothing is known: neither that it is damaged, nor that it is not. again is the
// command that tries once more.
func notRead(what string, err error, again string) error {
	err = fmt.Errorf("%s could not be read, which says nothing about damage: %w", what, err)
	if _, hint := classify(err); hint != "" {
		return err
	}
	return fault.WithHint(err, "once the store can be read: "+again)
}

// onlyUnread is the first of some problems if all of them are that something could not be
// read, and nil if there is damage.
func onlyUnread(problems []snapshot.Problem) error {
	for _, p := range problems {
		if !actors.Unreadable(p.Err) || manifestKind(p.Err) != "unreadable" {
			return nil
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems[0].Err
}
