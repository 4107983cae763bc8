package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/vault/keys"
	"vaultik/vault/snapshot"
)

// SignRecipients has the owner sign the recipients that the configuration names: from then on
// backups are made for them, and for no others. It tells of [events.Recipients] first.
func (e *Engine) SignRecipients(ctx context.Context, o OwnerOptions,
	sink events.Sink) (events.Totals, error) {
	j := e.begin("recipient sign", sink)
	return j.told(ctx, func() error { return j.signRecipients(ctx, o) })
}

func (j *job) signRecipients(ctx context.Context, o OwnerOptions) error {
	r, err := j.openRecipients(ctx, o.Kit)
	if err != nil {
		return err
	}
	defer r.op.Close()
	return j.signSet(ctx, r, r.conf.Recipients, o, func() error { return nil })
}

// signSet shows recipients, asks, calls first, and has the owner sign them.
func (j *job) signSet(ctx context.Context, r *recipientSet, rs keys.Recipients, o OwnerOptions,
	first func() error) error {
	op, kit := r.op, r.kit
	sum := snapshot.Sum(rs.Sum())
	host, _ := op.Store.Trust.Host(op.Host.ID)
	signed, isSigned := host.SignedFor()
	ev := events.Recipients{Type: "recipients", Recipients: rs.Strings(),
		Sum: sum.String(), Signed: signed == sum, Kit: kit.Recipient}
	j.Tell(ev)
	if ev.Signed {
		j.Note("the owner has signed them before")
		return first()
	}
	if op.savedBefore() && (isSigned || op.Host.Recipients != "" &&
		op.Host.Recipients != ev.Sum) {
		j.Warn("", "what was saved before stays encrypted for the earlier recipients, and newer "+
			"snapshots refer to it: keep their keys")
	}
	if kit.Recipient != "" && !slices.Contains(ev.Recipients, kit.Recipient) {
		j.Warn("", "the key of the recovery kit %s is not among the recipients: it will not open "+
			"what is saved from now on", o.Kit)
	}
	if o.Agree != nil && !o.Agree() {
		return ErrNotAgreed
	}
	if err := first(); err != nil {
		return err
	}
	err := j.signTrust(ctx, op, kit, func(t *snapshot.Trust) error {
		if !t.Sign(op.Host.ID, sum) {
			return fmt.Errorf("%w: host %s", snapshot.ErrUntrusted, op.Host.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.Note("signed: backups of this host are for them, and for nobody else")
	return nil
}

// otherRecipients: the configuration names others than those for whom this host's backups
// are to be.
type otherRecipients struct {
	file   string
	signed bool // by the owner; else they are only those of the backups before
	way    string
}

func (e *otherRecipients) Error() string {
	if e.signed {
		return "the recipients in " + e.file + " are not those that the owner has signed: " +
			"others could read the backups, or nobody"
	}
	return "the recipients in " + e.file + " are not those of earlier backups, " +
		"and the owner has not signed them"
}

func (*otherRecipients) Exit() fault.Code { return fault.Failed }
func (e *otherRecipients) Hint() string   { return "if you changed them: " + e.way }

// checkRecipients fails if the configuration names others than the owner has signed for this
// host, or, before the owner has signed any, than it named at the first backup.
func (j *job) checkRecipients(op *opened, conf *config.Config) error {
	sum := snapshot.Sum(conf.Recipients.Sum())
	host, _ := op.Store.Trust.Host(op.Host.ID)
	signed, isSigned := host.SignedFor()
	other := &otherRecipients{conf.File, isSigned, j.signTheirs()}
	switch {
	case isSigned && signed == sum:
		return nil
	case isSigned:
		return other
	case op.Host.Recipients == "":
		return j.rememberRecipients(op.Host, sum)
	case op.Host.Recipients != sum.String():
		return other
	}
	return nil
}

// signTheirs is the command by which the owner signs the recipients.
func (j *job) signTheirs() string { return j.vaultik("recipient sign --kit FILE") }

// rememberRecipients notes those of the first backup by which they can be compared.
func (j *job) rememberRecipients(h *config.Host, sum snapshot.Sum) error {
	if j.dry {
		return nil
	}
	j.Warn(j.signTheirs(), "the owner has not signed who can read the backups; "+
		"they are remembered, and a change is refused")
	h.Recipients = hex.EncodeToString(sum[:])
	return j.state.UpdateHost(func(now *config.Host) error {
		now.Recipients = h.Recipients
		return nil
	})
}
